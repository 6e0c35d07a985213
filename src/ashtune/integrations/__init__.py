"""Integrations of other libraries. Each library has a file and needs an extra of ashtune."""
