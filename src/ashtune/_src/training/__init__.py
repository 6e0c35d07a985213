"""What a worker does: run the user's training function on a trial."""
