"""Views of a study: every one of them is an observer."""
