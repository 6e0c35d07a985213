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

for _name in __all__:
    # as a traceback names it; ``import ashtune`` always imports this module
    globals()[_name].__module__ = __name__
