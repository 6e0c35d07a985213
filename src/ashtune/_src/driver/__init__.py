"""One driver's work on a study."""
