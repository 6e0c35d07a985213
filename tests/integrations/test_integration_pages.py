"""The pages on other libraries do what they say."""

import re
import shlex
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

import ashtune
from tests.helpers import pages

PAGES = "docs/guide/integrations"


def needs(*libraries: str) -> pytest.MarkDecorator:
    missing = [library for library in libraries if find_spec(library) is None]
    return pytest.mark.skipif(bool(missing), reason=f"{', '.join(missing)} is not installed")


@pytest.mark.slow
@needs("xgboost", "lightgbm", "catboost", "sklearn")
def test_the_example_on_the_page_about_boosters_works(tmp_path: Path) -> None:
    steps = pages.carried_out(f"{PAGES}/boosters.md", tmp_path)
    printed = "".join(step.printed for step in steps)
    assert printed.count("best_round") == len(steps)


@pytest.mark.slow
@pytest.mark.timeout(600)
@needs("keras", "jax")
@pytest.mark.filterwarnings("ignore")
def test_the_example_on_the_page_about_keras_works(tmp_path: Path) -> None:
    (step,) = pages.carried_out(f"{PAGES}/keras.md", tmp_path)
    assert "'rate': " in step.printed


@pytest.mark.filterwarnings("ignore")  # Lightning's own
def test_the_example_on_the_page_about_lightning_works(tmp_path: Path) -> None:
    (step,) = pages.carried_out(f"{PAGES}/lightning.md", tmp_path)
    assert "'width': " in step.printed
    assert "['last.ckpt', 'random-0.pt']" in step.printed


@needs("optuna")
@pytest.mark.filterwarnings("ignore::optuna.exceptions.ExperimentalWarning")
def test_the_example_on_the_page_about_optuna_works(tmp_path: Path) -> None:
    block, command, _ = pages.carried_out(f"{PAGES}/optuna.md", tmp_path)
    assert block.printed.startswith("True {'rate': ")
    assert command.printed == "study.log\n"


def test_the_example_on_the_page_about_pytorch_works(tmp_path: Path) -> None:
    (step,) = pages.carried_out(f"{PAGES}/pytorch.md", tmp_path)
    assert "'dropout': " in step.printed
    assert "['model', 'optimizer', 'scheduler']" in step.printed


def test_the_example_on_the_page_about_scikit_learn_works(tmp_path: Path) -> None:
    (step,) = pages.carried_out(f"{PAGES}/scikit-learn.md", tmp_path)
    assert "'batch_size': " in step.printed


@pytest.mark.timeout(300)
# of MLflow to SQLAlchemy
@pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy is deprecated")
def test_the_example_on_the_page_about_trackers_works(tmp_path: Path) -> None:
    steps = pages.carried_out(f"{PAGES}/trackers.md", tmp_path)
    (block,) = [step for step in steps if "MlflowClient" in step.text]
    first, *runs = block.printed.strip().splitlines()
    assert first == f"tensorboard --logdir {tmp_path / 'runs' / 'tracked' / 'tensorboard'}"
    assert runs, "trials that were trained to the top"
    assert all(run.startswith("trial ") for run in runs)
    assert list((tmp_path / "exported" / "wandb").glob("offline-run-*"))


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.timeout(600)
@needs("torch", "lightning")
@pytest.mark.filterwarnings("ignore")
def test_the_example_on_the_page_about_several_processes_works(tmp_path: Path) -> None:
    gloo, *_, lightning = pages.carried_out(f"{PAGES}/several-processes.md", tmp_path)
    assert "'width': " in gloo.printed
    assert "'rate': " in lightning.printed


@needs("transformers")
@pytest.mark.filterwarnings("ignore")
def test_the_example_on_the_page_about_transformers_works(tmp_path: Path) -> None:
    step, _ = pages.carried_out(f"{PAGES}/transformers.md", tmp_path)
    assert "'eval_accuracy': " in step.printed


@needs("transformers", "peft")
@pytest.mark.filterwarnings("ignore")
def test_the_example_on_the_page_about_peft_works(tmp_path: Path) -> None:
    (step,) = pages.carried_out(f"{PAGES}/peft.md", tmp_path)
    assert "['adapter_config.json', 'adapter_model.safetensors']" in step.printed


@needs("hydra")
def test_the_example_on_the_page_about_hydra_works(tmp_path: Path) -> None:
    page = (pages.ROOT / PAGES / "hydra.md").read_text()

    def block(kind: str) -> str:
        (found,) = re.findall(rf"^```{kind}\n(.*?)^```", page, re.MULTILINE | re.DOTALL)
        return str(found)

    def run(*arguments: str) -> str:
        done = subprocess.run(
            [sys.executable, *arguments], cwd=tmp_path, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    (tmp_path / "conf").mkdir()
    (tmp_path / "conf" / "config.yaml").write_text(block("yaml"))
    (tmp_path / "main.py").write_text(block("python"))
    assert "epoch 9: loss" in run("main.py"), "it runs without a sweep too"
    program, *arguments = shlex.split(block("sh"))
    assert program == "python"
    printed = run(*arguments, "hydra.sweeper.workers=2")
    assert "Best: loss=" in printed.strip().splitlines()[-1]
    folder = tmp_path / "multirun" / "first"
    assert "epoch 1: loss" in (folder / "0" / "main.log").read_text()
    assert (folder / "0" / ".hydra" / "config.yaml").exists()
    study = ashtune.Study.load(folder / "study")
    assert study.is_complete
    assert 0.9 < study.best.metrics["loss"] < 1.2, "the noise of the page's data"
    assert "best_params" in (folder / "optimization_results.yaml").read_text()
