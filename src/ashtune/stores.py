"""Stores of checkpoints: where workers save trials and restore them."""

from ashtune._src.engines.checkpoint_store import CheckpointStore, SharedDirectory

__all__ = ["CheckpointStore", "SharedDirectory"]
