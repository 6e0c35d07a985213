"""Views of a study: every one of them is a fold over its events."""
