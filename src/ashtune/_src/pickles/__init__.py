"""What a script, a notebook or a file defines: pickled by value, and found under its own names where it arrives."""
