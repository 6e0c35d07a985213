"""The private modules of ashtune. The public names are in the modules beside this folder."""
