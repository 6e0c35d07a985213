"""Numbers that look random and depend on nothing but what is put in: for choices that have to be the same again."""

MASK = (1 << 64) - 1


def mixed(*numbers: int) -> int:
    """Return 64 bits, as good as random, that depend on whole numbers and their order.

    Source: the finalizer of splitmix64 (Steele, Lea, Flood, *Fast splittable pseudorandom number generators*,
    OOPSLA 2014), once for each number.

    Example:
        >>> mixed(1, 2) == mixed(1, 2) != mixed(2, 1)
        True
    """
    bits = 0
    for number in numbers:
        bits = (bits + number + 0x9E3779B97F4A7C15) & MASK
        bits = ((bits ^ (bits >> 30)) * 0xBF58476D1CE4E5B9) & MASK
        bits = ((bits ^ (bits >> 27)) * 0x94D049BB133111EB) & MASK
        bits ^= bits >> 31
    return bits
