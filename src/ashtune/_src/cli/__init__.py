"""The command ``ashtune``. Each subcommand has its own file."""
