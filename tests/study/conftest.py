from houses import house

__all__ = ["house"]
