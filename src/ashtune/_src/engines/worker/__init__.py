"""The process that trains: what runs in it, and what guards it."""
