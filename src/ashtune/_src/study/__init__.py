"""The state of a study: the controller, the journal, its replay, and checkpoints."""
