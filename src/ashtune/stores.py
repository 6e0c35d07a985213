"""Checkpoint stores, in which workers save trials and from which they restore trials."""

from ashtune._src.engines.checkpoint_store import CheckpointStore, SharedDirectory

__all__ = ["CheckpointStore", "SharedDirectory"]
