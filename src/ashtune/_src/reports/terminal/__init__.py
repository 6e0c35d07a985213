"""Views for a terminal, a notebook or a log."""
