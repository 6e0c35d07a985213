"""The search space: hyperparameters with their ranges, conditions and forbidden combinations."""
