"""Words and tools that every floor uses."""
