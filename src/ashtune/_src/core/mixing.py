"""Pseudorandom numbers that are computed from other numbers, for choices
that must be reproducible.
"""

INCREMENT = 0x9E3779B97F4A7C15
"""The increment of splitmix64's state: 2**64 divided by the golden ratio."""
_MASK = (1 << 64) - 1


def scramble(number: int) -> int:
    """Return 64 pseudorandom bits, computed from the last 64 bits of a whole number.

    Source: the finalizer of splitmix64 (Steele, Lea, Flood, *Fast splittable pseudorandom number
    generators*, OOPSLA 2014).
    """
    bits = number & _MASK
    bits = ((bits ^ (bits >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
    bits = ((bits ^ (bits >> 27)) * 0x94D049BB133111EB) & _MASK
    return bits ^ (bits >> 31)


def mix(*numbers: int) -> int:
    """Return 64 pseudorandom bits, computed from whole numbers and their order.

    Example:
        >>> mix(1, 2) == mix(1, 2) != mix(2, 1)
        True
    """
    # Not Python's ``random``: a choice must be the same in a replay on another version of Python.
    bits = 0
    for number in numbers:
        bits = scramble(bits + number + INCREMENT)
    return bits
