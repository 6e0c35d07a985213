"""Child processes, and the messages that this process and a child send each other."""
