"""Fused training with PyTorch: modules with stacked weights, called by ``torch.func.vmap``."""
