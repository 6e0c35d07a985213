"""What a training function saved is loaded by the script, and by a process
that has nothing of it.
"""

import os
import subprocess
import textwrap
from pathlib import Path

import numpy as np
import pytest

import ashtune
from ashtune._src.pickles.arrival import load
from ashtune._src.study.objective_file import NAME
from ashtune._src.training.objectives import load_objective
from tests.helpers.launching import PYTHON

SCRIPT = """
    import functools
    import sys

    import ashtune

    FACTOR = 2

    class Model:
        class Part:
            size = 3

        def __init__(self, x):
            self.x, self.part, self.applied = x, Model.Part(), lambda value: FACTOR * value

        def area(self):
            return FACTOR * self.x

    def train(trial):
        model = trial.restore() or Model(trial["x"])
        for epoch in trial.epochs():
            trial.report(loss=model.x)
        trial.save(model)

    if __name__ == "__main__":
        ashtune.tune(
            train, {"x": (0.0, 1.0)}, metric="loss", mode="min", trials=4, max_resource=2, workers=1,
            directory="study", quiet=True,
        )
        from pathlib import Path
        from ashtune._src.pickles.arrival import load
        for path in Path("study/checkpoints").iterdir():
            with path.open("rb") as file:
                loaded = load(file, Path("study/objective.pickle"))
            assert type(loaded) is Model, "the script's own class"
            assert loaded.area() == FACTOR * loaded.x == loaded.applied(loaded.x)
        print("loaded")
"""


def test_a_saved_model_can_be_loaded_without_its_script(tmp_path: Path) -> None:
    (tmp_path / "script.py").write_text(textwrap.dedent(SCRIPT))
    done = subprocess.run(
        [PYTHON, "script.py"],
        cwd=tmp_path,
        env=dict(os.environ),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout == "loaded\n", done.stderr
    import sys

    main, arguments = sys.modules["__main__"], list(sys.argv)
    (path, *_) = sorted((tmp_path / "study" / "checkpoints").iterdir())
    with path.open("rb") as file:
        loaded = load(file, tmp_path / "study" / NAME)
    assert loaded.area() == 2 * loaded.x
    assert loaded.part.size == 3
    function, name = load_objective(tmp_path / "study" / NAME)
    assert (function.__name__, Path(name).name) == ("train", "script.py")
    assert (sys.modules["__main__"], sys.argv) == (main, arguments), "this process is what it was"
    assert not hasattr(main, "Model")


@pytest.mark.parametrize("library", ["jax", "torch"])
def test_a_model_can_be_built_from_the_saved_state_of_a_lane(
    library: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip(library, reason=f"{library} is not installed")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    x = np.linspace(-1, 1, 32, dtype=np.float32)[:, None]

    class Once:
        def __init__(self) -> None:
            self.config = {"learning_rate": 0.1}

        def restore(self) -> None: ...
        def report(self, **metrics: float) -> None: ...

        def epochs(self) -> range:
            return range(1, 3)

        def save(self, state: object) -> None:
            self.saved = state

    if library == "jax":
        objective = ashtune.fused(
            lambda key, config: {"w": np.zeros(1, np.float32)},
            lambda state, batch, config: ({"w": state["w"] + config["learning_rate"]}, {}),
            lambda state, data: {"loss": state["w"].sum()},
            train=x, validation=x, batch_size=16,
        )  # fmt: skip
    else:
        import torch

        objective = ashtune.fused_torch(
            lambda config: torch.nn.Linear(1, 1), train=(x, x), validation=(x, x), batch_size=16,
            loss=torch.nn.functional.mse_loss,
        )  # fmt: skip
    trial = Once()
    objective(trial)  # type: ignore[arg-type]
    model = objective.restore(trial.config, trial.saved)
    if library == "jax":
        np.testing.assert_allclose(model["w"], [0.4], rtol=1e-6)
    else:
        assert model(torch.zeros(5, 1)).shape == (5, 1)
        np.testing.assert_array_equal(
            model.weight.detach().numpy(), trial.saved.state["parameters"]["weight"][0]
        )
