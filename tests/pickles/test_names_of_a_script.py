"""What a script defines is in its workers, and in what they start, what it is in the script;
however it is started.
"""

import os
import subprocess
import textwrap
from pathlib import Path

import pytest

import ashtune
from ashtune._src.study.journal import NAME, read_events
from tests.helpers.launching import PYTHON

SCRIPT = '''
    """A script that defines what a training function may need; tests start it in many ways."""
    import abc
    import dataclasses
    import enum
    import functools
    import multiprocessing
    import os
    import pickle
    import sys
    import tempfile
    import typing

    import numpy as np

    LIMIT = 0.5
    COUNTED = {"reads": 0}

    @functools.cache
    def data():
        COUNTED["reads"] += 1
        return np.arange(10.0)

    @functools.lru_cache(maxsize=7, typed=True)
    def fib(n):
        return n if n < 2 else fib(n - 1) + fib(n - 2)

    class Colour(enum.Enum):
        RED = 1
        BLUE = "b"

        @property
        def other(self):
            return Colour.BLUE if self is Colour.RED else Colour.RED

    class Flags(enum.IntFlag):
        A = 1
        B = 2

    class Base(abc.ABC):
        made = 0

        def __init__(self, width):
            self.width = width

        @abc.abstractmethod
        def area(self): ...

    class Model(Base):
        class Inner:
            depth = 3

        def __init__(self, width, colour=Colour.RED):
            super().__init__(width)
            self.colour, self.inner, self.epochs = colour, Model.Inner(), 0

        def area(self):
            return self.width * LIMIT

        @functools.cached_property
        def heavy(self):
            return [self.width] * 3

        @functools.lru_cache
        def twice(self):
            return 2 * self.width

    @dataclasses.dataclass(frozen=True)
    class Settings:
        rate: float
        names: list = dataclasses.field(default_factory=list)
        colour: Colour = Colour.BLUE

    class Point(typing.NamedTuple):
        x: float
        y: float = 0.0

    DEFAULTS = Settings(0.1)

    power = functools.partial(pow, 2)

    def squared(value):
        return value**2

    def area_of(model):
        assert isinstance(model, Model) and isinstance(model.colour, Colour)
        assert model.colour is Colour.RED and model.colour.other is Colour.BLUE
        return model.area()

    def again(value):
        return pickle.loads(pickle.dumps(value))

    def check_names(trial):
        model = Model(4)
        assert data() is data() and COUNTED["reads"] == 1, COUNTED
        assert fib(50) == 12586269025 and fib.cache_info().maxsize == 7 and fib.cache_parameters()["typed"]
        assert type(again(model)) is Model and again(Model) is Model and again(model).colour is Colour.RED
        assert again(model.inner).depth == 3 and again(Colour.RED) is Colour.RED and Colour("b") is Colour.BLUE
        assert again(Flags.A | Flags.B) == 3 and again(Settings(2.0)) == Settings(2.0)
        assert again(Point(1.0)) == Point(1.0, 0.0) and again(squared)(3) == 9 and again(data) is data
        assert again(area_of) is area_of and again(trial_function()) is trial_function()
        assert model.area() == 2.0 and model.heavy is model.heavy and model.twice() == 8
        assert DEFAULTS == Settings(0.1) and type(DEFAULTS) is Settings and DEFAULTS.colour is Colour.BLUE
        assert dataclasses.replace(DEFAULTS, rate=1.0).rate == 1.0

        @dataclasses.dataclass(frozen=True)
        class More(Settings):
            momentum: float = 0.9

        try:
            More()
        except TypeError:
            pass
        else:
            raise AssertionError("the rate of Settings has no default value")
        assert power(3) == 8
        assert sys.modules[Model.__module__].Model is Model and Model.Inner.__qualname__ == "Model.Inner"
        try:
            Base(1)
        except TypeError:
            pass
        else:
            raise AssertionError("Base is abstract")

    def check_processes():
        for method in ("fork", "spawn", "forkserver") if "forkserver" in CHECKS else ("spawn",):
            with multiprocessing.get_context(method).Pool(1) as pool:
                assert pool.map(area_of, [Model(2), Model(4)]) == [1.0, 2.0], method
                (back,) = pool.map(Model, [3])
            assert type(back) is Model and back.colour is Colour.RED, method

    def trial_function():
        return train

    def train(trial):
        if trial.number == 0 and trial.start == 0:
            if "names" in CHECKS:
                check_names(trial)
            if "spawn" in CHECKS:
                check_processes()
            if "torch" in CHECKS:
                check_torch(trial)
        model = trial.restore() or Model(trial["width"])
        assert type(model) is Model and model.colour is Colour.RED and type(model.inner) is Model.Inner
        for epoch in trial.epochs():
            model.epochs += 1
            assert model.epochs == epoch
            trial.report(loss=(model.width - LIMIT) ** 2 / epoch + 0 * data().sum())
        trial.save(model)

    CHECKS = os.environ["CHECKS"].split()
'''
TORCH = """
    import torch
    from torch.utils.data import DataLoader

    class Net(torch.nn.Module):
        def __init__(self, width):
            super().__init__()
            self.layer = torch.nn.Linear(width, 1)

    class Squares(torch.utils.data.Dataset):
        def __len__(self):
            return 4

        def __getitem__(self, at):
            return torch.tensor(squared(at))

    def check_torch(trial):
        path = os.path.join(str(trial.checkpoint_dir), "net.pt")
        torch.save(Net(3), path)
        assert type(torch.load(path, weights_only=False)) is Net
        loader = DataLoader(Squares(), batch_size=2, num_workers=1, multiprocessing_context="spawn")
        assert torch.cat(list(loader)).tolist() == [0, 1, 4, 9]
"""
RUN = """
    if __name__ == "__main__":
        import ashtune
        print("the main part runs")
        ashtune.tune(
            train, {"width": (0.0, 1.0)}, metric="loss", mode="min", trials=8, max_resource=4, workers=2,
            directory=os.environ["STUDY"], quiet=True, engine=ashtune.Auto(isolate=os.environ.get("ISOLATE") != "0"),
        )
        assert type(pickle.loads(pickle.dumps(Model(1)))) is Model
"""


def script() -> str:
    return textwrap.dedent(SCRIPT)


def whole() -> str:
    return script() + textwrap.dedent(RUN)


def run(study: Path, *command: str, checks: str = "names spawn", stdin: str = "") -> None:
    environment = {**os.environ, "STUDY": str(study), "CHECKS": checks}
    done = subprocess.run(
        [PYTHON, *command],
        cwd=study.parent,
        env=environment,
        input=stdin,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("the main part runs") == ("given.py:train" not in command)
    assert_all_were_trained(study)


def assert_all_were_trained(study: Path) -> None:
    loaded = ashtune.Study.load(study)
    failures = [
        (event.reason, event.traceback)
        for event in read_events(study / NAME)
        if hasattr(event, "reason")
    ]
    assert not failures, failures[0]
    assert len(loaded.dataframe()) == 8
    problems = [
        event.problem for event in read_events(study / NAME) if getattr(event, "problem", "")
    ]
    assert problems == []
    logs = "".join(log.read_text() for log in (study / "logs").iterdir())
    assert "the main part runs" not in logs


def test_workers_and_their_subprocesses_see_the_globals_of_a_script(tmp_path: Path) -> None:
    (tmp_path / "script.py").write_text(whole())
    run(tmp_path / "study", "script.py", checks="names spawn forkserver")


def test_workers_see_the_globals_of_a_script_run_as_a_module(tmp_path: Path) -> None:
    (tmp_path / "package").mkdir()
    (tmp_path / "package" / "__init__.py").touch()
    (tmp_path / "package" / "near.py").write_text("NEAR = 5")
    near = script().replace(
        "model = Model(4)\n",
        "model = Model(4)\n    from . import near\n    assert near.NEAR == 5\n",
    )
    assert near != script()
    (tmp_path / "package" / "script.py").write_text(near + textwrap.dedent(RUN))
    run(tmp_path / "study", "-W", "error", "-m", "package.script")


def test_workers_see_the_globals_of_a_script_read_from_stdin(tmp_path: Path) -> None:
    run(tmp_path / "of_c", "-c", whole(), checks="names")
    run(tmp_path / "of_stdin", "-", stdin=whole(), checks="names")


def test_workers_see_the_globals_of_a_script_given_to_the_command(tmp_path: Path) -> None:
    (tmp_path / "space.json").write_text("")
    (tmp_path / "given.py").write_text(script() + "\nspace = {'width': (0.0, 1.0)}\n")
    study = tmp_path / "study"
    options = [
        "--space",
        "space",
        "--metric",
        "loss",
        "--mode",
        "min",
        "--trials",
        "8",
        "--max-resource",
        "4",
    ]
    run(
        study,
        "-m",
        "ashtune",
        "run",
        "given.py:train",
        *options,
        "--workers",
        "2",
        "--dir",
        str(study),
    )


def test_pytorch_modules_defined_in_a_script_can_be_saved_and_loaded(
    tmp_path: Path,
) -> None:
    pytest.importorskip("torch", reason="PyTorch is not installed")
    (tmp_path / "script.py").write_text(script() + textwrap.dedent(TORCH) + textwrap.dedent(RUN))
    run(tmp_path / "study", "script.py", checks="torch")
