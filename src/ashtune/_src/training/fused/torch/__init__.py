"""Lanes by PyTorch: modules whose weights are stacked, by ``torch.func.vmap``."""
