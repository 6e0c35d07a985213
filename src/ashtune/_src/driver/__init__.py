"""The driver: one session of work on a study."""
