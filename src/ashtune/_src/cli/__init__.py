"""The command ``ashtune``: one file a command."""
