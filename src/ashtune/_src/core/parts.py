"""The parts of a study, such as search and scheduler: their names, and their records in the
journal.

A part's record has the options that differ from their defaults, and the part's name in ``kind``. A
part's name is the tag of one of ashtune's own parts, the name of an entry point, or
``module:Class``.

Rule: a report imports no module that a journal names. A report may import the entry points of
installed packages. Only a driver calls :meth:`Registry.read`, which imports the module that a
record names.
"""

import sys
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from importlib import import_module
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import msgspec

from ashtune._src.core.checks import MOST_NAME
from ashtune._src.core.errors import SettingsError
from ashtune._src.core.plaintext import error_line, instead_of, one_line, shown

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
    """The base class of the parts of a study. By default, the tag of a part is its class name in
    lower case.

    The annotation of an option gives its range: ``first: Annotated[int, msgspec.Meta(ge=1)] = 10``.
    A subclass with its own ``__post_init__`` must call the ``__post_init__`` of :class:`Part`.

    Raises:
        SettingsError: If an option has a wrong type or is out of its range.
    """

    def __post_init__(self) -> None:
        for field in msgspec.structs.fields(type(self)):
            given = getattr(self, field.name)
            # A default is right by its declaration. Most options of most parts have their default.
            if given is field.default:
                continue
            try:
                value = _without_numpy(given)
                msgspec.convert(value, field.type)
            except Exception as error:  # noqa: BLE001 - a list may contain itself; an object may have any methods
                why = (
                    str(error)
                    .replace("object | null", "dict | null")
                    .replace("| null", "| None")
                    .replace(" - at `$[...]`", " in each value")
                )
                raise SettingsError(
                    f"{field.name}={shown(given)} does not fit {type(self).__name__}: {why}"
                ) from None
            msgspec.structs.force_setattr(self, field.name, value)


def _without_numpy(value: Any) -> Any:
    """Convert the numbers and arrays of numpy in an option to numbers and lists of Python."""
    if type(value) is dict:
        return {name: _without_numpy(each) for name, each in value.items()}
    if type(value) in (list, tuple):
        return type(value)(map(_without_numpy, value))
    if type(value).__module__ == "numpy" and hasattr(value, "tolist"):
        return value.tolist()
    return value


T = TypeVar("T")
PartT = TypeVar("PartT", bound=Part)


class Names(Generic[T]):
    """The names of all parts of one kind: ashtune's own parts, and entry points of installed
    packages.

    Args:
        what: The kind of part, as in error messages: "engine".
        built_in: The classes of ashtune's own parts, by name. A class given as "module:Class" is
            imported on first use.
        group: The group of entry points in which installed packages register their parts.
    """

    def __init__(self, what: str, built_in: Mapping[str, type[T] | str], group: str) -> None:
        self._what = what
        self._built_in = built_in
        self._group = group

    @property
    def names(self) -> list[str]:
        """The names of all known parts: ashtune's own parts first, then parts of installed
        packages.
        """
        return [
            *self._built_in,
            *(
                entry.name
                for entry in entry_points(self._group)
                if entry.name not in self._built_in
            ),
        ]

    def make(self, name: str, *arguments: Any) -> Any:
        """Create the part that is named ``name``. The class of a part from an installed package is
        not checked.

        Raises:
            SettingsError: If the name is unknown, or a part of an installed package cannot be
                created.
            AshtuneError: If one of ashtune's own parts cannot be created.
        """
        if name in self._built_in:
            return self._own(name)(*arguments)
        entry = self._entry_point(name)
        if entry is None:
            raise SettingsError(
                f"{self._what} {shown(name)} is unknown; {instead_of(name, self.names)}"
            )
        try:
            return entry.load()(*arguments)
        except Exception as error:  # noqa: BLE001 - importing or creating a class can raise anything
            raise SettingsError(
                f"{self._what} {shown(name)} cannot be created: {error_line(error)}; correct its "
                f"package, or give one of {', '.join(self._built_in)}"
            ) from None

    def name_of(self, kind: type) -> str:
        """Return the registered name of a part's class. If the class is not registered, return
        ``module:Class``.
        """
        place = f"{kind.__module__}:{kind.__qualname__}"
        for name, own in self._built_in.items():
            if own in (kind, place):
                return name
        entries = (entry.name for entry in entry_points(self._group) if entry.value == place)
        return next((name for name in entries if name not in self._built_in), place)

    def missing(self, name: str) -> str:
        """Return "" if the named part is installed, or else a one-line message. No module is
        imported.
        """
        return (
            "" if self.is_known(name) else f"the {self._what} {shown(name)} is not installed here"
        )

    def is_known(self, name: str) -> bool:
        """Return whether the named part, or the package of a ``module:Class``, is installed. No
        module is imported.
        """
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

    def _own(self, name: str) -> type[T]:
        own = self._built_in[name]
        kind: type[T] = _import_place(own) if isinstance(own, str) else own
        return kind

    def _entry_point(self, name: str) -> "EntryPoint | None":
        return next((entry for entry in entry_points(self._group) if entry.name == name), None)


def entry_points(group: str) -> "Iterable[EntryPoint]":
    """Return the entry points of a group, from all installed packages, without importing the entry
    points.
    """
    from importlib import metadata  # slow to import

    return metadata.entry_points(group=group)


class Registry(Names[PartT]):
    """Names of the parts of one kind, and functions that create these parts from text or from
    records.

    Args:
        what: As for :class:`Names`.
        base: The base class of the parts.
        built_in: The classes of ashtune's own parts.
        group: As for :class:`Names`.
    """

    def __init__(
        self, what: str, base: type[PartT], built_in: Sequence[type[PartT]], group: str
    ) -> None:
        super().__init__(what, {str(part.__struct_config__.tag): part for part in built_in}, group)
        self._base = base

    def part(self, given: object) -> PartT:
        """Return a part that a user gave as an object, or as text: ``name``, or
        ``name:option=value:option=value``.

        Raises:
            SettingsError: If the part is unknown, an option is unknown, or an option without
                default is missing.
        """
        if isinstance(given, self._base):
            return given
        words = given.split(":") if isinstance(given, str) else []
        first = next((place for place, word in enumerate(words) if "=" in word), len(words))
        name = ":".join(words[:first])
        options = dict(word.partition("=")[::2] for word in words[first:])
        if not self.is_known(name):
            module, colon, _ = name.partition(":")
            path = (
                f", or add the folder of the module {shown(module)} to PYTHONPATH"
                if module and colon
                else ""
            )
            raise SettingsError(
                f"{self._what}={shown(given)} is unknown; {instead_of(name, self.names)}{path}"
            )
        kind = self._class(name)
        try:
            return msgspec.convert(
                options | {"kind": kind.__struct_config__.tag}, kind, strict=False
            )
        except msgspec.ValidationError as error:
            fields = ", ".join(kind.__struct_fields__) or "none"
            raise SettingsError(
                f"{self._what}={shown(given)} has a wrong option ({one_line(str(error), 100)}); "
                f"give {kind.__name__}(...), whose options are {fields}"
            ) from None

    def record(self, part: PartT) -> dict[str, Any]:
        """Return the record of a part for the journal.

        Raises:
            SettingsError: If another process could not import the part's class, or an option cannot
                be written as JSON.
        """
        name = self._importable_name(type(part))
        try:
            record: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(part)) | {"kind": name}
            is_same = self.read(record) == part
        except (TypeError, ValueError, RecursionError, msgspec.MsgspecError) as error:
            raise SettingsError(
                f"{self._what}={shown(part)} cannot be stored in the journal: "
                f"{one_line(str(error))}"
            ) from None
        if not is_same:
            raise SettingsError(
                f"{self._what}={shown(part)} changes when it is stored and read again; use only "
                "plain values as options, such as numbers and texts"
            )
        return record

    def read(self, record: Mapping[str, Any]) -> PartT:
        """Return the part that a record describes, and import the module that the record names.

        Raises:
            SettingsError: If the part is not installed, or does not have these options.
        """
        name = self._name_in(record)
        # One of ashtune's own parts is never missing, so only its options can be wrong.
        if name not in self._built_in and (missing := self.missing_of(record)):
            raise SettingsError(missing)
        return self._convert(record, self._class(name))

    def part_or_reason(self, record: Mapping[str, Any]) -> PartT | str:
        """Return the part that a record describes, or a one-line reason why the part is not
        available.

        A module is imported only if an entry point names the module.

        Raises:
            SettingsError: If the record names no part, or has options that one of ashtune's own
                parts does not have.
        """
        name = self._name_in(record)
        if name in self._built_in:
            return self.read(record)
        if missing := self.missing_of(record):
            return missing
        if not self._entry_point(name) and not _is_imported(name):
            return (
                f"reading a study does not import the module of the {self._what} {shown(name)}; "
                "import the module before ashtune.Study.load(), or give it an entry point"
            )
        try:
            return self.read(record)
        except SettingsError as error:
            return str(error)

    def text(self, part: PartT) -> str:
        """Return a part as text. :meth:`part` can read this text unless an option is a list."""
        return as_text(self.record(part))

    def check(self, record: Mapping[str, Any]) -> str:
        """Return the name of the part in a record, without importing a user's module.

        Raises:
            SettingsError: If the record names no part, or has options that one of ashtune's own
                parts does not have.
        """
        name = self._name_in(record)
        if name in self._built_in:
            self.read(record)
        return name

    def _name_in(self, record: Mapping[str, Any]) -> str:
        name = record.get("kind")
        if not isinstance(name, str) or not 0 < len(name) <= MOST_NAME:
            raise SettingsError(f"{shown(dict(record))} does not name a {self._what}")
        return name

    def missing_of(self, record: Mapping[str, Any]) -> str:
        """Return one line that says what to install to use a record's part again, or "" if nothing
        is missing.
        """
        name = str(record.get("kind"))
        missing = self.missing(name)
        todo = "; add the folder of its module to PYTHONPATH" if ":" in name else ""
        return missing and f"{missing}, but is needed to continue with this study{todo}"

    def _convert(self, record: Mapping[str, Any], kind: type[PartT]) -> PartT:
        """Return the part of a record as an object of the class ``kind``, or raise if the record's
        options do not fit the class.
        """
        try:
            return msgspec.convert(dict(record) | {"kind": kind.__struct_config__.tag}, kind)
        except msgspec.ValidationError as error:
            name = shown(record["kind"])
            raise SettingsError(
                f"the recorded options of the {self._what} {name} do not fit: "
                f"{one_line(str(error))}"
            ) from None

    def _class(self, name: str) -> type[PartT]:
        """Return the class of a part, or raise if the class cannot be imported, or is not a class
        of a part of this kind.
        """
        if name in self._built_in:
            return self._own(name)
        try:
            entry = self._entry_point(name)
            kind = _import_place(name) if entry is None else entry.load()
        except Exception as error:  # noqa: BLE001 - importing a module can raise anything
            reason = error_line(error)
            raise SettingsError(
                f"the {self._what} {shown(name)} cannot be imported ({reason})"
            ) from None
        if not (isinstance(kind, type) and issubclass(kind, self._base)):
            raise SettingsError(
                f"{shown(name)} is not a {self._what}; derive its class from {self._base.__name__}"
            )
        return kind

    def _importable_name(self, kind: type[PartT]) -> str:
        """Return a name by which another process can import a class, or raise if the class has no
        such name.
        """
        name = self.name_of(kind)
        place = f"{kind.__module__}:{kind.__qualname__}"
        if name != place:
            return name
        imported = None
        with suppress(Exception):
            imported = _import_place(place)
        if imported is not kind or kind.__module__ == "__main__":
            raise SettingsError(
                f"{self._what}={kind.__qualname__}(...): a resumed study could not import this "
                "class; move it from the script to the top level of a module that can be imported"
            )
        return place


def as_text(record: Mapping[str, Any]) -> str:
    """Return a part's record as text: the part's name, followed by ``:option=value`` for each
    option.
    """
    options = (f":{name}={value}" for name, value in record.items() if name != "kind")
    return one_line(f"{record.get('kind')}{''.join(options)}")


def _is_imported(place: str) -> bool:
    """Return whether a class is already imported. ``getattr`` is not used, since it imports a lazy
    module.
    """
    module, _, name = place.partition(":")
    found: Any = sys.modules.get(module)
    for part in name.split("."):
        found = vars(found).get(part) if hasattr(found, "__dict__") else None
    return found is not None


def _import_place(place: str) -> Any:
    module, _, name = place.partition(":")
    target: Any = import_module(module)
    for part in name.split("."):
        target = getattr(target, part)
    return target
