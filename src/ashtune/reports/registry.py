"""The sections of a report, in its order.

An installed package adds a section by an entry point of the group ``ashtune.report_sections``: its name, and a class
derived from :class:`~ashtune.reports.sections.Section`. It stands before the last section, which says how to go on.
"""

from collections.abc import Mapping

from ashtune.core.parts import entry_points
from ashtune.core.plaintext import error_line, one_line, shown
from ashtune.reports.audit_view import AuditSection
from ashtune.reports.best import BestSection, CurvesSection, ProgressSection
from ashtune.reports.confirm import ConfirmedSection
from ashtune.reports.cost import CostSection
from ashtune.reports.front import FrontSection
from ashtune.reports.hyperparameters import HyperparametersSection
from ashtune.reports.model import ModelSection
from ashtune.reports.profile import ProfileSection
from ashtune.reports.roofline import RooflineSection
from ashtune.reports.rungs import RungsSection
from ashtune.reports.sections import Section
from ashtune.reports.the_run import FactsSection, TroubleSection
from ashtune.reports.timeline_view import TimelineSection

GROUP = "ashtune.report_sections"
BUILT_IN: tuple[type[Section], ...] = (
    BestSection,
    FrontSection,
    ConfirmedSection,
    ProgressSection,
    RungsSection,
    TimelineSection,
    CurvesSection,
    HyperparametersSection,
    CostSection,
    AuditSection,
    ModelSection,
    RooflineSection,
    ProfileSection,
    TroubleSection,
    FactsSection,
)


def sections() -> Mapping[str, type[Section] | str]:
    """Return the sections by name; of one that cannot be used, why, in one line."""
    built_in: dict[str, type[Section] | str] = {kind.name: kind for kind in BUILT_IN}
    installed: dict[str, type[Section] | str] = {}
    for entry in entry_points(GROUP):
        try:
            kind = entry.load()
        except Exception as error:  # noqa: BLE001 - whatever importing another's module raises
            kind = f"it cannot be imported ({error_line(error)})"
        if not isinstance(kind, str) and not (isinstance(kind, type) and issubclass(kind, Section)):
            kind = f"{shown(kind)} is no section; derive its class from {Section.__module__}.Section"
        name = one_line(entry.name)
        if name in built_in:
            name, kind = (
                one_line(f"{name} ({entry.value})"),
                f"a section of ashtune is called {name}; give another name",
            )
        installed[name] = kind
    last = built_in.popitem()
    return {**built_in, **installed, last[0]: last[1]}
