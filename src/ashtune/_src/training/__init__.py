"""The code that trains in a worker: it calls the user's training function for each trial."""
