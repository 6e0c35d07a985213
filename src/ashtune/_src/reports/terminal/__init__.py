"""Views of a study for a terminal, a notebook or a log."""
