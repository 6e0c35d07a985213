"""What this machine can do, and how near a training step comes to it."""
