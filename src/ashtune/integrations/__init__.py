"""Other libraries, one file each: ashtune from inside the tools that its users have open. Each is an extra."""

from collections.abc import Iterator
from contextlib import contextmanager

from ashtune.core.errors import ExtraMissing

__all__ = ["ExtraMissing", "needs_extra"]


@contextmanager
def needs_extra(extra: str, module: str = "") -> Iterator[None]:
    """Say which extra to install if what is imported here is missing.

    Args:
        extra: The extra of ashtune.
        module: The name by which its library is imported; by default that of the extra.

    Raises:
        ExtraMissing: If the library is not installed.
    """
    module = module or extra
    try:
        yield
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] != module:  # of another library, which says so
            raise
        raise ExtraMissing(module, extra) from None
