"""Other libraries, one file each: ashtune from inside the tools that its users have open. Each is an extra."""
