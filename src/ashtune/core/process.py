"""Whether this process runs a user's script or the ``ashtune`` command."""

is_our_command = False
"""True in ``ashtune`` and ``python -m ashtune``: there is no user's script, so that of the training function may become
``__main__``. The command sets it, as the script that an installer writes for the command looks like a user's."""
