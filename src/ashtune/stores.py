"""Stores for the checkpoints of trials."""

from ashtune._src.engines.checkpoint_store import CheckpointStore, SharedDirectory

__all__ = ["CheckpointStore", "SharedDirectory"]
