"""The worker's task: run the user's training function on a trial."""
