"""In a notebook: what runs is one output that is drawn anew, and a study, its best and its figures
show themselves.
"""

import re
from pathlib import Path
from typing import Any

import pytest

from tests.helpers.html_parts import Parts
from tests.helpers.notebooks import executed

TRAIN = """
import ashtune

def train(trial):
    print("trial", trial.number, "begins at", trial.start)
    trial.restore()  # otherwise a trial that continues in another process fails, and a line says so
    for epoch in trial.epochs():
        trial.report(score=trial["x"] * epoch)
    trial.save(epoch)
"""
TUNE = """
print("before")
study = ashtune.tune(train, {"x": (0.0, 1.0)}, metric="score", mode="max", trials=16, max_resource=4, workers=2,
                     search="random", directory="study")
print("after")
"""


class Notebook:
    """A notebook that was executed, and what its cells show.

    Args:
        folder: Where it is executed.
        cells: Their code, by the name that a test gives them.
    """

    def __init__(self, folder: Path, cells: dict[str, str]) -> None:
        printed = executed(folder, *cells.values())
        self.folder = folder
        self._outputs = dict(zip(cells, printed["cells"], strict=True))
        self.redrawn = {list(cells)[number] for number in printed["updates"]}
        """The cells during which an output was drawn anew."""

    def outputs(self, cell: str) -> list[dict[str, Any]]:
        """Return the outputs of a cell."""
        outputs: list[dict[str, Any]] = self._outputs[cell]
        return outputs

    def output(self, cell: str) -> dict[str, Any]:
        """Return the one output of a cell."""
        (output,) = self._outputs[cell]
        return dict(output)


@pytest.fixture(scope="module")
def notebook(tmp_path_factory: pytest.TempPathFactory) -> Notebook:
    cells = {
        "train": TRAIN,
        "tune": TUNE,
        "best": "study.best",
        "top": "study.top(2)",
        "report": "study.report()",
        "study": "study",
        "loaded": 'ashtune.Study.load("study")',
        "line": "print(repr(study))",
        "plot_best": "study.plot_best()",
        "plot_ladder": "study.plot_ladder()",
        "whatif": "study.whatif(workers=[1, 2], draws=0)",
        "resume": "study = study.resume(trials=32)",
    }
    return Notebook(tmp_path_factory.mktemp("notebook"), cells)


def forms(output: dict[str, Any]) -> tuple[str, str]:
    """Return both forms of an output: the texts of its HTML, and what it shows where there is no
    HTML.
    """
    return " ".join(Parts(output["data"]["text/html"]).texts), output["data"]["text/plain"]


def contrast(one: str, other: str) -> float:
    """Return the contrast of two colours as WCAG 2 defines it, from 1 to 21."""

    def luminance(color: str) -> float:
        parts = (int(color[at : at + 2], 16) / 255 for at in (1, 3, 5))
        linear = [
            part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts
        ]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    light, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def test_the_progress_in_a_notebook_is_one_output_that_is_updated(notebook: Notebook) -> None:
    outputs = notebook.outputs("tune")
    assert [output["output_type"] for output in outputs] == ["stream", "display_data", "stream"]
    # the cell's own; no trial's
    assert [outputs[0]["text"], outputs[2]["text"]] == ["before\n", "after\n"]
    for form in forms(outputs[1]):
        assert "16 of 16 trials" in form
        assert "study.log(trial) returns it" in form
        assert " left" not in form
        assert "idle" not in form
        assert "\x1b" not in form
    assert str(notebook.folder / "study" / "logs") in outputs[1]["data"]["text/plain"]
    assert "tune" in notebook.redrawn


def test_the_notebook_colors_are_readable_on_light_and_dark_backgrounds(notebook: Notebook) -> None:
    markup = notebook.outputs("tune")[1]["data"]["text/html"]
    assert "background" not in markup
    colors = set(re.findall("color: (#[0-9a-f]{6})", markup))
    assert len(colors) > 2
    for color in colors:
        assert contrast(color, "#ffffff") > 3.5
        assert contrast(color, "#1e1e1e") > 3.5
    assert '<span style="font-weight: bold">train</span>' in markup, (
        "the study's name has the notebook's own colour"
    )


def test_a_notebook_shows_best_trials_as_tables_and_the_report_as_text(notebook: Notebook) -> None:
    assert "<table>" in notebook.output("best")["data"]["text/html"]
    assert notebook.output("top")["data"]["text/plain"].count("score=") == 2
    report = notebook.output("report")
    assert report["name"] == "stdout"
    assert "Time by rung" in report["text"]


def test_a_notebook_displays_state_best_trial_and_rungs_of_a_study(notebook: Notebook) -> None:
    markup, text = forms(notebook.output("study"))
    (trial,) = re.findall(r"best  score = \S+ at epoch 4, the top rung \(trial (\d+)\)\n", text)
    assert f"<td>{trial}</td><td>4</td>" in notebook.output("best")["data"]["text/html"]
    for form in (markup, text):
        for part in (
            "study",
            "complete",
            "16 trials",
            f"trial {trial})",
            "  x  ",
            "to epoch",
            "saved in ",
        ):
            assert part in form
    assert notebook.output("study")["data"] == notebook.output("loaded")["data"]
    assert notebook.output("line")["text"] == "Study('study')\n", "a log has one line of it"


def test_a_notebook_cell_shows_a_link_to_the_live_page(tmp_path: Path) -> None:
    watched = TUNE.replace('directory="study"', 'directory="study", watch=True, trials=4').replace(
        "trials=16, ", ""
    )
    outputs = Notebook(tmp_path, {"train": TRAIN, "tune": watched}).outputs("tune")
    links = [
        each for each in outputs if "live page: " in each.get("data", {}).get("text/plain", "")
    ]
    assert len(links) == 1
    address = links[0]["data"]["text/plain"].removeprefix("live page: ")
    assert re.fullmatch(r"http://127\.0\.0\.1:\d+/[\w-]+/", address)
    assert f'<a href="{address}"' in links[0]["data"]["text/html"]
    assert not [each for each in outputs if each.get("name") == "stderr"]


def test_a_figure_has_html_for_an_exported_notebook(notebook: Notebook) -> None:
    for cell in ("plot_best", "plot_ladder"):
        data = notebook.outputs(cell)[-1]["data"]
        assert data["application/vnd.plotly.v1+json"]["data"]
        assert "plotly-graph-div" in data["text/html"]
