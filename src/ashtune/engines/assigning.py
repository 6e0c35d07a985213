"""From an order to train to what its worker is told."""

import msgspec

from ashtune.orders import Train
from ashtune.study.configurations import Configurations
from ashtune.training.messages import Assignment

NO_CONFIGURATION = msgspec.Raw(b"\x80")  # an empty map in msgpack


def assignment_of(order: Train, configurations: Configurations) -> Assignment:
    """Return the message for an order to train; one that goes on in place knows its configuration."""
    configuration = NO_CONFIGURATION if order.in_place else msgspec.Raw(configurations.encoded(order.trial))
    return Assignment(
        order.worker, order.trial, order.rung, order.start, order.target, order.in_place, configuration, size=order.size
    )
