"""Views of a study: reports, tables and displays."""
