"""Tells which reasons of failures are the same."""

import re

from ashtune._src.core.orders import OUT_OF_MEMORY

_A_DECIMAL = re.compile(r"[-+]?\d+\.\d*(?:[eE][-+]?\d+)?|[-+]?\d+[eE][-+]?\d+|(?<=\btrial )\d+")
_A_NUMBER = re.compile(r"(?<!signal )(?<!status )\b\d[\d,]*")
_OURS = re.compile(r"(?:Objective|Space|Settings|Study)Error: |.* is not finite ")
"""The beginnings of failure messages from this package."""


def without_numbers(reason: str) -> str:
    """Replace decimals and trial numbers in a failure reason by "_", so that similar reasons become
    equal.

    Other whole numbers are replaced only in messages of this package, where whole numbers count
    epochs or bytes. In messages from other code, a whole number may be an error code. Signal
    numbers and exit statuses are not replaced. All reasons of trials that ran out of memory become
    equal.
    """
    if reason.startswith(f"{OUT_OF_MEMORY}: "):
        return OUT_OF_MEMORY
    reason = _A_DECIMAL.sub("_", reason)
    if _OURS.match(reason):
        return _A_NUMBER.sub("_", reason)
    return reason
