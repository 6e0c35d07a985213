"""Shows the importance of hyperparameters as numbers in the terminal. The page shows it as a
figure.
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from ashtune._src.analysis.study_reader import StudyReader
from ashtune._src.core.errors import AshtuneError
from ashtune._src.core.plaintext import one_line
from ashtune._src.figures.importance_figure import BARS, importance_of
from ashtune._src.reports.tables import HEADING, QUIET, bare_table, indented, line

if TYPE_CHECKING:
    from rich.console import RenderableType


def importance_lines(study: StudyReader) -> "Iterator[RenderableType]":
    """Yield the lines that show importance. If something is missing, the line names it."""
    from rich.text import Text

    try:
        measured = study.computed(importance_of)
    except (
        AshtuneError
    ) as error:  # scikit-learn is not installed, or the journal's record of the space is damaged
        yield line(f"\n{error}", QUIET)
        return
    yield line("\nimportance", HEADING)
    if measured.weights:
        table = bare_table()
        table.show_header = False
        for weight in measured.weights[:BARS]:
            table.add_row(Text(one_line(weight.name)), f"{weight.share:.2f}")
        yield indented(table)
    yield indented(line(measured.words(), QUIET))
