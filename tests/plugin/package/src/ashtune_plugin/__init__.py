"""Parts of another package."""
