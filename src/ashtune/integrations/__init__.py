"""Integrations of other libraries: one module per library. Each module needs an optional extra of ashtune."""
