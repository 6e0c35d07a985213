"""What ``import ashtune`` gives."""
