"""Other libraries, one file each: ashtune from inside the tools that its users have open. Each is an extra."""

from ashtune.core.errors import AshtuneError


class ExtraMissing(AshtuneError, ImportError):  # noqa: N818 - it names what is missing
    """A library is not installed that one of these modules is for."""

    def __init__(self, module: str, extra: str) -> None:
        super().__init__(f"{module} is not installed; pip install 'ashtune[{extra}]'")
