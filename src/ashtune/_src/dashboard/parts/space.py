"""The part ``space`` shows the hyperparameters of the study's search space."""

from collections.abc import Mapping
from typing import Any, ClassVar

import msgspec

from ashtune._src.analysis.hyperparameters import hyperparameters
from ashtune._src.dashboard.parts.part import PagePart, Subject, short_value

MOST_CHOICES_SHOWN = 2_000


class SpacePart(PagePart):
    """The hyperparameters of a study, which never change."""

    name = "space"
    empty: ClassVar[Mapping[str, Any]] = {"hyperparameters": []}

    def __init__(self, subject: Subject) -> None:
        self.hyperparameters = hyperparameters(subject.settings.space)

    def value(self, ran: float) -> Mapping[str, Any]:
        """Return the hyperparameters, with at most MOST_CHOICES_SHOWN choices in total."""
        left, records = MOST_CHOICES_SHOWN, []
        for each in self.hyperparameters:
            choices = [short_value(choice) for choice in each.choices] if len(each.choices) <= left else []
            left -= len(choices)
            records.append({**msgspec.structs.asdict(each), "choices": choices})
        return {"hyperparameters": records}
