"""What this process was started as: a script of somebody's, or our own command."""

is_our_command = False
"""Whether it is ``ashtune``, or ``python -m ashtune``, so that the training function's script may take the place of
its script. The command itself says so: the script that an installer makes of it has nothing to tell it by."""
