"""Lanes with PyTorch: modules with stacked weights, by ``torch.func.vmap``."""
