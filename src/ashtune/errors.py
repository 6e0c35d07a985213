"""The errors that ashtune raises on purpose. Each error message is one line."""

from ashtune._src.core.errors import (
    AshtuneError,
    CannotGoOn,
    CheckpointUnread,
    EngineError,
    ExtraMissing,
    FunctionChanged,
    InvalidConfiguration,
    JournalError,
    NoResultError,
    ObjectiveError,
    ProgramFailed,
    SettingsError,
    SpaceError,
    StudyError,
)

__all__ = [
    "AshtuneError",
    "CannotGoOn",
    "CheckpointUnread",
    "EngineError",
    "ExtraMissing",
    "FunctionChanged",
    "InvalidConfiguration",
    "JournalError",
    "NoResultError",
    "ObjectiveError",
    "ProgramFailed",
    "SettingsError",
    "SpaceError",
    "StudyError",
]
