"""The worker process and its guardian."""
