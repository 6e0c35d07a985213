"""The command ``ashtune``: one file per subcommand."""
