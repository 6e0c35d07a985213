"""Whether this process runs a user's script or the ``ashtune`` command, and whether it loads a function from a file."""

is_our_command = False
"""True in ``ashtune`` and ``python -m ashtune``: there is no user's script, so that of the training function may become
``__main__``. The command sets it, as the script that an installer writes for the command looks like a user's."""

loads_a_function = False
"""True while a file is executed for the training function in it. What such a file tunes would be a study of its own."""
