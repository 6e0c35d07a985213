"""What was known before a study began: results of configurations, from another study, a table or another tuner."""

from typing import Annotated, Any

import msgspec


class KnownResult(msgspec.Struct, frozen=True, gc=False):
    """The finite metrics that a configuration of the space had at a resource. It is no trial of the study."""

    configuration: dict[str, Any]
    resource: Annotated[int, msgspec.Meta(ge=1, le=1 << 53)]
    metrics: dict[str, float]
