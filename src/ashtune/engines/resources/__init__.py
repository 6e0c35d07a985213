"""The cores and GPUs of a machine, and each worker's share of them."""
