"""The commands and the code of README and guide do what the pages say."""

import re
import shutil
from pathlib import Path

import pytest

from ashtune._src.core.events import JobFinished
from ashtune._src.study.journal import NAME, read_events
from tests.helpers import commands, pages
from tests.helpers.notebooks import executed
from tests.helpers.pages import INTEGRATION_PAGES, PAGES, PageStep

pytestmark = pytest.mark.timeout(300)


@pytest.fixture(scope="module")
def _prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("reader")
    pages.prepare(folder)
    return folder


@pytest.fixture
def folder(_prepared: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(_prepared, tmp_path, dirs_exist_ok=True))


def printed(steps: list[PageStep], text: str) -> str:
    """Return what the one step that has a text printed."""
    (step,) = [step for step in steps if text in step.text]
    return step.printed


def test_each_reason_for_skipping_a_command_applies_to_at_least_one_page() -> None:
    texts = [
        str(example.parsed)
        for page in PAGES + INTEGRATION_PAGES
        for example in pages.parsed(page).examples()
    ]
    reasons = [pages.reason_not_to_run(text) for text in texts]
    assert set(reasons) - {""} == set(pages.NOT_RUN.values()), "a reason that no command needs"
    assert reasons.count("") > 30


def test_each_page_with_runnable_code_is_run_by_a_test() -> None:
    tests = (
        Path(__file__).read_text()
        + (pages.ROOT / "tests/integrations/test_integration_pages.py").read_text()
    )
    for page in PAGES + INTEGRATION_PAGES:
        texts = [str(example.parsed) for example in pages.parsed(page).examples()]
        if not all(map(pages.reason_not_to_run, texts)):
            assert re.search(rf'"{Path(page).stem}"|{Path(page).name}"', tests), (
                f"no test carries out {page}"
            )


def test_no_example_in_the_readme_fails(folder: Path) -> None:
    steps = pages.carried_out("README.md", folder)
    configuration = printed(steps, "MLPClassifier")
    assert "'width': " in configuration
    assert "'accuracy': 0." in configuration


@pytest.mark.thorough
def test_no_example_on_the_page_about_tuning_fails(folder: Path) -> None:
    before = set((folder / "runs").iterdir())
    steps = pages.carried_out("docs/guide/tuning.md", folder)
    assert printed(steps, "@functools.cache").startswith("{'rate': ")
    logs = [
        log.read_text()
        for study in set((folder / "runs").iterdir()) - before
        for log in study.glob("logs/*")
    ]
    readings = [log.count("reading\n") for log in logs]
    assert max(readings) == 1, (
        "a worker that came too late for any trial reads nothing, none reads twice"
    )


@pytest.mark.thorough
def test_no_example_on_the_page_about_fused_training_fails(folder: Path) -> None:
    pytest.importorskip("jax", reason="JAX is not installed")
    pytest.importorskip("torch", reason="PyTorch is not installed")
    steps = pages.carried_out("docs/guide/fused.md", folder)
    assert "'rate': " in printed(steps, "ashtune.fused(")
    assert "'learning_rate': " in printed(steps, "ashtune.fused_torch(")


@pytest.mark.thorough
def test_no_example_on_the_page_about_several_metrics_fails(folder: Path) -> None:
    (step,) = pages.carried_out("docs/guide/several-metrics.md", folder)
    assert step.printed.endswith(" True\n")


@pytest.mark.parametrize(
    "page",
    [
        "confirming",
        "first-study",
        "following",
        "limits",
        "results",
        "schedulers",
        "searches",
        "space",
        "when-it-fails",
        "workers-that-join",
    ],
)
@pytest.mark.thorough
def test_no_code_on_a_page_of_the_guide_fails(page: str, folder: Path) -> None:
    assert pages.carried_out(f"docs/guide/{page}.md", folder)


@pytest.mark.thorough
def test_no_example_on_the_page_about_places_to_run_ashtune_fails(folder: Path) -> None:
    steps = pages.carried_out("docs/guide/where-it-runs.md", folder)
    assert "'accuracy': 0." in printed(steps, "from train import train, space")


@pytest.mark.thorough
def test_no_example_on_the_page_about_programs_in_any_language_fails(folder: Path) -> None:
    text = (pages.ROOT / "docs/guide/any-program.md").read_text()
    for name, kind in (("train.sh", "sh"), ("space.json", "json")):
        (block,) = re.findall(rf"^```{kind}\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
        assert block == (pages.ROOT / "examples" / "program" / name).read_text(), (
            "as in examples/program"
        )
        (folder / name).write_text(block)
    steps = pages.carried_out("docs/guide/any-program.md", folder)
    assert "best  loss = " in printed(steps, "ashtune run --space space.json")
    assert "'momentum': " in printed(steps, "ashtune.Program(")


@pytest.mark.thorough
def test_no_example_on_the_page_about_own_training_loops_fails(folder: Path) -> None:
    steps = pages.carried_out("docs/guide/own-loop.md", folder)
    assert "'heat': " in printed(steps, 'directory="runs/oven"\n)')
    assert printed(steps, "go_on=True").strip() == "True"
    assert printed(steps, "ask(wait=False)").strip() == "24"
    results = [
        event
        for event in read_events(folder / "runs/oven-2" / NAME)
        if isinstance(event, JobFinished)
    ]
    assert {event.resource for event in results} == {1, 3, 9}
    assert [at for at, _ in next(event.curve for event in results if event.resource == 9)] == [
        4,
        5,
        6,
        7,
        8,
    ]


@pytest.mark.thorough
def test_no_example_on_the_page_about_understanding_a_study_fails(folder: Path) -> None:
    assert pages.carried_out("docs/guide/understanding.md", folder)
    assert "<!doctype html>" in (folder / "digits.html").read_text()[:100].lower()


@pytest.mark.thorough
def test_no_example_on_the_page_about_speed_fails(folder: Path) -> None:
    steps = pages.carried_out("docs/guide/speed.md", folder)
    assert "537.6" in printed(steps, "ashtune roofline --roof")
    assert "train.py" in printed(steps, "--profile    # all functions")


@pytest.mark.thorough
def test_no_example_on_the_page_about_the_number_of_nodes_fails(folder: Path) -> None:
    shutil.rmtree(folder / "runs")
    outputs = [step.printed for step in pages.carried_out("docs/guide/how-many-nodes.md", folder)]
    small, nodes, choices, deadline, budget, from_python, large, again, nothing, table = outputs
    assert nothing == ""
    assert "wall time 2 h 00 min" in " ".join(small.split())
    rows = {
        line.split()[2]: line.split()[3:]
        for line in nodes.splitlines()
        if line.startswith("ash 1/2 ")
    }
    assert {"1", "8", "64", "512"} <= rows.keys()
    assert rows["8"][:4] == ["2", "h", "00", "min"]
    assert float(rows["8"][4]) / 8 == pytest.approx(float(rows["8"][5]) / 100, abs=0.01)
    for name in ("ash", "stopping", "sh"):
        for factor in (2, 3, 4):
            assert f"\n{name} 1/{factor} " in choices
    assert "\nfull " in choices
    assert (
        len(
            re.findall(
                r"\d+ workers are needed to finish within 2 h 00 min; the study takes 1 h", deadline
            )
        )
        == 2
    )
    (hours,) = re.findall(
        r"Best use of 20 core-hours: .* takes .* and\s+(\S+)\s+core-hours",
        budget.replace("\n", " "),
    )
    assert 0 < float(hours) <= 20
    seconds, workers = from_python.splitlines()[-2:]
    assert 2400 < float(seconds) < 3600
    assert 1 < int(workers) <= 64
    assert "10,000 trials" in large
    assert "stopping on 32 workers, 256 trials" in again
    assert "on 8 workers, 100 trials" in table


@pytest.mark.thorough
def test_no_example_on_the_page_about_notebooks_fails_in_a_notebook(folder: Path) -> None:
    examples = [example.parsed for example in pages.parsed("docs/guide/notebooks.md").examples()]
    blocks = [str(parsed) for parsed in examples if not isinstance(parsed, pages.Command)]
    cells = dict(zip(blocks, executed(folder, *blocks)["cells"], strict=True))
    (tune,) = [outputs for block, outputs in cells.items() if "ashtune.tune(" in block]
    assert "60 of 60 trials" in tune[0]["data"]["text/plain"]
    (study,) = cells["study\n"]
    assert "best  loss = " in study["data"]["text/plain"]
    for figure in ("study.plot_ladder()\n", 'study.plot_contour("rate", "noise")\n'):
        output = cells[figure][-1]  # the first figure of a notebook loads plotly's script before it
        assert output["data"]["application/vnd.plotly.v1+json"]["data"]
    assert "best.html" in {path.name for path in folder.iterdir()}


@pytest.mark.thorough
def test_no_example_on_the_front_page_of_the_site_fails(folder: Path) -> None:
    (step,) = pages.carried_out("docs/index.md", folder)
    assert "'loss': " in step.printed


@pytest.mark.thorough
def test_no_example_in_the_file_skill_md_fails(folder: Path) -> None:
    steps = pages.carried_out("src/ashtune/SKILL.md", folder)
    assert "'loss': " in printed(steps, "ashtune.tune(train, space")
    assert "best  accuracy = " in printed(steps, "study.report()")


def test_the_command_ashtune_skill_prints_the_file_skill_md(tmp_path: Path) -> None:
    done = commands.ashtune(tmp_path, "skill")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == (pages.ROOT / "src/ashtune/SKILL.md").read_text()


@pytest.mark.thorough
def test_no_example_on_the_page_for_users_of_optuna_fails(folder: Path) -> None:
    steps = pages.carried_out("docs/guide/coming-from/optuna.md", folder)
    assert "'width': " in printed(steps, "optuna.create_study(")
    assert "'width': " in printed(steps, "def train(trial)")
    assert printed(steps, "warm_start=before") != "random\n"


@pytest.mark.thorough
def test_no_example_on_the_page_for_users_of_ray_tune_fails(folder: Path) -> None:
    steps = pages.carried_out("docs/guide/coming-from/ray-tune.md", folder)
    assert "'width': " in printed(steps, "def train(trial)")
    assert "'width': " in printed(steps, "warm_start=before")


@pytest.mark.thorough
def test_no_example_on_the_page_for_users_of_scikit_learn_fails(folder: Path) -> None:
    steps = pages.carried_out("docs/guide/coming-from/scikit-learn.md", folder)
    assert "'max_depth': " in printed(steps, "HalvingRandomSearchCV(")
    assert "'max_depth': " in printed(steps, "AshSearchCV(")
    assert printed(steps, "ashtune.tune(").strip().endswith(f" {pages.TOP}")
