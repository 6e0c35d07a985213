"""Child processes, and the messages between this process and a child."""
