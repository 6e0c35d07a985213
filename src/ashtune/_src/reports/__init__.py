"""Views of a study."""
