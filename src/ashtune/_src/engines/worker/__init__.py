"""The programs of a worker process and of its guardian process."""
