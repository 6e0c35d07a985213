"""Parts of a study that are values, such as its search: named, written into the journal, and read again.

The journal holds a part's options that differ from their defaults, and in ``kind`` its name: the tag of a part that
ashtune has, the name of an entry point, or ``module:Class``.

Rule: reading a journal imports no module that it names, but for the entry points of installed packages.
:meth:`Registry.read` imports, and a driver calls it, as it loads the training function; reports do not.
"""

import sys
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from difflib import get_close_matches
from importlib import import_module
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import msgspec

from ashtune._src.core.checks import MOST_NAME
from ashtune._src.core.errors import SettingsError
from ashtune._src.core.plaintext import error_line, one_line, shown

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint


class Part(
    msgspec.Struct,
    frozen=True,
    tag_field="kind",
    tag=str.lower,
    omit_defaults=True,
    forbid_unknown_fields=True,
    repr_omit_defaults=True,
):
    """A part of a study as a value. Its tag is the name of its class in small letters, unless it gives another.

    The range of an option stands in its annotation: ``first: Annotated[int, msgspec.Meta(ge=1)] = 10``. A class with a
    ``__post_init__`` of its own calls this one.

    Raises:
        SettingsError: If an option has another type than its field, or is out of its range.
    """

    def __post_init__(self) -> None:
        for field in msgspec.structs.fields(type(self)):
            value = getattr(self, field.name)
            try:
                msgspec.convert(value, field.type)
            except Exception as error:  # noqa: BLE001 - msgspec takes numpy's numbers for mappings, and asks for their keys
                why = str(error).replace("object | null", "dict | null").replace("| null", "| None")
                raise SettingsError(f"{field.name}={shown(value)} does not fit {type(self).__name__}: {why}") from None


T = TypeVar("T")
PartT = TypeVar("PartT", bound=Part)


class Names(Generic[T]):
    """The names of one sort of parts: ashtune's own, and those of the entry points of installed packages.

    Args:
        what: The sort, as users give it: "engine".
        built_in: The classes that ashtune has, by name; as "module:Class" one that is imported when it is made.
        group: The group of entry points by which an installed package names its own.
    """

    def __init__(self, what: str, built_in: Mapping[str, type[T] | str], group: str) -> None:
        self._what = what
        self._built_in = built_in
        self._group = group

    @property
    def names(self) -> list[str]:
        """The names that can be given, those of installed packages last."""
        return [*self._built_in, *(entry.name for entry in self._entry_points() if entry.name not in self._built_in)]

    def make(self, name: str, *arguments: Any) -> Any:
        """Return a new part, made with these arguments. An installed package's may be of another class than it should.

        Raises:
            SettingsError: If there is none of this name, or it cannot be made.
            AshtuneError: What the class of one of ashtune's own raises.
        """
        if name in self._built_in:
            return self._own(name)(*arguments)
        entry = self._entry_point(name)
        if entry is None:
            raise SettingsError(f"{self._what} {shown(name)} is unknown; {self._instead(name)}")
        try:
            return entry.load()(*arguments)
        except Exception as error:  # noqa: BLE001 - whatever importing and making another's class raises
            raise SettingsError(
                f"{self._what} {shown(name)} cannot be made: {error_line(error)}; mend the package that it is from, or "
                f"give one of {', '.join(self._built_in)}"
            ) from None

    def name_of(self, kind: type) -> str:
        """Return the name of a class, which is ``module:Class`` if it has no other."""
        place = f"{kind.__module__}:{kind.__qualname__}"
        for name, own in self._built_in.items():
            if own in (kind, place):
                return name
        entries = (entry.name for entry in self._entry_points() if entry.value == place)
        return next((name for name in entries if name not in self._built_in), place)

    def missing(self, name: str) -> str:
        """Return in one line that there is no such part here; "" if there is. Nothing is imported."""
        return "" if self.is_known(name) else f"the {self._what} {shown(name)} is not installed here"

    def is_known(self, name: str) -> bool:
        """Whether there is such a part here; of ``module:Class`` whether its package is. Nothing is imported."""
        if name in self._built_in or self._entry_point(name):
            return True
        module, _, kind = name.partition(":")
        if not kind or not all(part.isidentifier() for part in module.split(".")):
            return False
        from importlib.util import find_spec

        try:
            return module in sys.modules or find_spec(module.split(".")[0]) is not None
        except ValueError:
            return False

    def _instead(self, name: str) -> str:
        """Return in words what may be given in place of a name that is unknown."""
        near = " or ".join(map(repr, get_close_matches(name.lower(), self.names, 2)))
        return f"did you mean {near}?" if near else f"give one of {', '.join(self.names)}"

    def _own(self, name: str) -> type[T]:
        """Return a class of ashtune's own."""
        own = self._built_in[name]
        kind: type[T] = _import_place(own) if isinstance(own, str) else own
        return kind

    def _entry_points(self) -> "Iterable[EntryPoint]":
        return entry_points(self._group)

    def _entry_point(self, name: str) -> "EntryPoint | None":
        return next((entry for entry in self._entry_points() if entry.name == name), None)


def entry_points(group: str) -> "Iterable[EntryPoint]":
    """Return what installed packages name in a group of entry points. Nothing of them is imported."""
    from importlib import metadata  # it takes longer than all else that `--help` imports

    return metadata.entry_points(group=group)


class Registry(Names[PartT]):
    """The parts of one sort that are values.

    Args:
        what: As of :class:`Names`, like ``group``: "search".
        base: The class of all these parts.
        built_in: Those that ashtune has.
        group: Of entry points.
    """

    def __init__(self, what: str, base: type[PartT], built_in: Sequence[type[PartT]], group: str) -> None:
        super().__init__(what, {str(part.__struct_config__.tag): part for part in built_in}, group)
        self._base = base

    def part(self, given: object) -> PartT:
        """Return the part that a user gave: as it is, or as text: its name, or ``name:option=value``.

        More options follow after more colons; those left out have their defaults.

        Raises:
            SettingsError: If there is no such part, or it has an option without default, or not those given.
        """
        if isinstance(given, self._base):
            return given
        words = given.split(":") if isinstance(given, str) else []
        first = next((place for place, word in enumerate(words) if "=" in word), len(words))
        name, options = ":".join(words[:first]), dict(word.partition("=")[::2] for word in words[first:])
        if not self.is_known(name):
            module, colon, _ = name.partition(":")
            path = f", or add the folder of the module {shown(module)} to PYTHONPATH" if module and colon else ""
            raise SettingsError(f"{self._what}={shown(given)} is unknown; {self._instead(name)}{path}")
        kind = self._class(name)
        try:
            return msgspec.convert(options | {"kind": kind.__struct_config__.tag}, kind, strict=False)
        except msgspec.ValidationError as error:
            fields = ", ".join(kind.__struct_fields__) or "none"
            raise SettingsError(
                f"{self._what}={shown(given)} needs options that fit, which are {fields} "
                f"({one_line(str(error), 100)}); give a {kind.__name__}(...) in place of its name"
            ) from None

    def record(self, part: PartT) -> dict[str, Any]:
        """Return what a journal holds of a part.

        Raises:
            SettingsError: If its class cannot be imported by another process, or an option is not one for JSON.
        """
        name = self._importable_name(type(part))
        try:
            record: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(part)) | {"kind": name}
            is_same = self.read(record) == part
        except (TypeError, ValueError, RecursionError, msgspec.MsgspecError) as error:
            raise SettingsError(f"{self._what}={shown(part)} cannot be written down: {one_line(str(error))}") from None
        if not is_same:
            raise SettingsError(f"{self._what}={shown(part)} is another when it is read again; use plain options")
        return record

    def read(self, record: Mapping[str, Any]) -> PartT:
        """Return the part of a record. This imports the module that the record names.

        Raises:
            SettingsError: If it is not there, or the options are not its own.
        """
        name = self.check(record)
        if missing := self.missing_of(record):
            raise SettingsError(f"{missing}; there are {', '.join(self.names)}")
        return self._convert(record, self._class(name))

    def part_or_reason(self, record: Mapping[str, Any]) -> PartT | str:
        """Return the part of a record for those who only read, or in one line why it is not there.

        A module that is not imported yet is imported for entry points only.

        Raises:
            SettingsError: If the record holds none, or options that a part of ashtune has not.
        """
        name = self.check(record)
        if missing := self.missing_of(record):
            return missing
        is_named = name in self._built_in or self._entry_point(name)
        if not is_named and name.partition(":")[0] not in sys.modules:
            return (
                f"the {self._what} {shown(name)} is of a module that reading a study does not import; import it before "
                "ashtune.Study.load, or name it by an entry point"
            )
        try:
            return self.read(record)
        except SettingsError as error:
            return str(error)

    def text(self, part: PartT) -> str:
        """Return a part as :meth:`part` takes it as text, but for options that are lists."""
        return as_text(self.record(part))

    def check(self, record: Mapping[str, Any]) -> str:
        """Return the name of the part in a record; nothing is imported.

        Raises:
            SettingsError: If the record holds none, or options that a part of ashtune has not.
        """
        name = record.get("kind")
        if not isinstance(name, str) or not 0 < len(name) <= MOST_NAME:
            raise SettingsError(f"{shown(dict(record))} names no {self._what}")
        if name in self._built_in:
            self._convert(record, self._own(name))
        return name

    def missing_of(self, record: Mapping[str, Any]) -> str:
        """Return in one line what has to be installed before a study with this part can go on; "" for nothing."""
        name = str(record.get("kind"))
        missing = self.missing(name)
        todo = ": add the folder of its module to PYTHONPATH" if ":" in name else ""
        return missing and f"{missing}, which is needed to go on with this study{todo}"

    def _convert(self, record: Mapping[str, Any], kind: type[PartT]) -> PartT:
        """Return the part of a record whose class is known, or refuse options that it does not have."""
        try:
            return msgspec.convert(dict(record) | {"kind": kind.__struct_config__.tag}, kind)
        except msgspec.ValidationError as error:
            name = shown(record["kind"])
            raise SettingsError(f"the {self._what} {name} has other options: {one_line(str(error))}") from None

    def _class(self, name: str) -> type[PartT]:
        """Return the class of a part that is known, or refuse it."""
        if name in self._built_in:
            return self._own(name)
        try:
            entry = self._entry_point(name)
            kind = _import_place(name) if entry is None else entry.load()
        except Exception as error:  # noqa: BLE001 - whatever importing another's module raises
            reason = error_line(error)
            raise SettingsError(f"the {self._what} {shown(name)} cannot be imported ({reason})") from None
        if not (isinstance(kind, type) and issubclass(kind, self._base)):
            raise SettingsError(f"{shown(name)} is no {self._what}: derive its class from {self._base.__name__}")
        return kind

    def _importable_name(self, kind: type[PartT]) -> str:
        """Return the name of a class that another process can import, or refuse it."""
        name, place = self.name_of(kind), f"{kind.__module__}:{kind.__qualname__}"
        if name != place:
            return name
        imported = None
        with suppress(Exception):
            imported = _import_place(place)
        if imported is not kind or kind.__module__ == "__main__":
            raise SettingsError(
                f"{self._what}={kind.__qualname__}(...): a resumed study could not import this class; define it at the "
                "top of a module that can be imported, not in the script itself"
            )
        return place


def as_text(record: Mapping[str, Any]) -> str:
    """Return a record as text: its name, and its options after colons."""
    options = (f":{name}={value}" for name, value in record.items() if name != "kind")
    return one_line(f"{record.get('kind')}{''.join(options)}")


def _import_place(place: str) -> Any:
    module, _, name = place.partition(":")
    target: Any = import_module(module)
    for part in name.split("."):
        target = getattr(target, part)
    return target
