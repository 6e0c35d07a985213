"""The hyperparameters: which mattered, the result over each of them, and all of them at once."""

from collections.abc import Iterator

from ashtune.core.errors import SettingsError
from ashtune.reports.figures.coordinates import coordinates_figure
from ashtune.reports.figures.importance import importance, importance_figure
from ashtune.reports.figures.slices import Slices
from ashtune.reports.page import html
from ashtune.reports.sections import Section


class HyperparametersSection(Section):
    """Importance, slices and parallel coordinates."""

    name, title = "hyperparameters", "Hyperparameters"
    uses = ("results", "trials")
    needs_result = True

    def blocks(self) -> Iterator[html.Block]:
        study, unit = self.study, self.study.unit
        of = (study.results, study.trials.configuration, study.settings.space)
        names: list[str] = []
        try:
            measured = importance(*of)
        except SettingsError as error:
            yield html.words(f"Importance is left out: {error}.", style="quiet")
        else:
            yield html.figures(importance=importance_figure(measured))
            names = [weight.name for weight in measured.weights]
        slices = Slices(*of, important=names, rungs=len(study.ladder.rungs), unit=unit, origin=study.trials.origin)
        yield html.legend(slices.colors())
        yield html.figures(layout="panels", **slices.figures())
        yield html.words(*slices.words(), style="quiet")
        yield html.figures(coordinates=coordinates_figure(*of, important=names, unit=unit))
