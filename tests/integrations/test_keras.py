"""Keras in pieces: on each backend a trial that was paused, stopped and killed has the curve of one
fit.

The backend is chosen when Keras is imported, so each has processes of its own, and the tests of one
share a study.
"""

from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tests.integrations import pieces

pytestmark = [
    pytest.mark.skipif(find_spec("keras") is None, reason="Keras is not installed"),
    pytest.mark.timeout(600)
]  # fmt: skip

SCRIPT = """
    import json, os, signal, tempfile, time

    import keras
    import numpy as np

    import ashtune
    from ashtune.integrations.keras import KerasCallback, load_state

    TOP, STEPS = 4, 3
    random = np.random.default_rng(0)
    x = random.normal(size=(24 * STEPS + 24, 6)).astype("float32")
    y = (x @ random.normal(size=(6, 1)) + 0.1 * random.normal(size=(len(x), 1))).astype("float32")
    x, y, held_out = x[24:], y[24:], (x[:24], y[:24])


    def build(config, seed, width=8):
        keras.utils.set_random_seed(seed)
        model = keras.Sequential([
            keras.layers.Input((6,)), keras.layers.Dense(width, "relu"), keras.layers.BatchNormalization(),
            keras.layers.Dropout(0.3), keras.layers.Dense(1),
        ])
        rate = keras.optimizers.schedules.CosineDecay(config["rate"], TOP * STEPS)
        model.compile(keras.optimizers.Adam(rate), "mse")
        return model


    def fit(model, *callbacks, start=0, epochs=TOP, held_out=held_out):
        return model.fit(
            x, y, batch_size=24, validation_data=held_out, verbose=0, initial_epoch=start, epochs=epochs,
            callbacks=list(callbacks),
        ).history


    class Stopped(Exception):
        pass


    def calls_so_far():
        return len(open("calls").readlines())


    def stop(*signalled):
        raise Stopped


    class Disturbance(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            if is_stopping and epoch == 2:  # between the rungs at 2 and at 4
                os.kill(os.getpid(), signal.SIGTERM)
                while "stop_requested" not in open("study/journal.jsonl").read():
                    time.sleep(0.02)
                time.sleep(1)  # until the order that follows has come
            while is_begun_again and calls_so_far() >= held_at:
                time.sleep(0.2)


    def train(trial):
        with open("calls", "a") as calls:
            print(trial.number, trial.start, file=calls)
        fit(build(trial.config, trial.number), Disturbance(), KerasCallback(trial), start=trial.start)


    def tried(objective, *resources):
        with tempfile.TemporaryDirectory() as folder:
            try:
                for resource in resources:
                    trained = study.train({"rate": 0.01}, resource, objective=objective, directory=folder)
            except ashtune.AshtuneError as error:
                return str(error)
            return trained.resource


    def from_a_loader():
        import torch

        def loaded(model, *callbacks, start=0):
            data = torch.utils.data.TensorDataset(torch.from_numpy(x), torch.from_numpy(y))
            loader = torch.utils.data.DataLoader(data, 24, shuffle=True)
            return model.fit(loader, epochs=TOP, initial_epoch=start, validation_data=held_out, verbose=0,
                             callbacks=list(callbacks)).history

        def train(trial):
            loaded(build(trial.config, 0), KerasCallback(trial), start=trial.start)

        with tempfile.TemporaryDirectory() as folder:
            study.train({"rate": 0.01}, 2, objective=train, directory=folder)
            metrics = study.train({"rate": 0.01}, 4, objective=train, directory=folder).metrics
        return [metrics, {name: values[-1] for name, values in loaded(build({"rate": 0.01}, 0)).items()}]


    class Two(keras.Model):
        def __init__(self):
            super().__init__()
            self.body, self.head = keras.layers.Dense(8, "relu"), keras.layers.Dense(1)
            self.own = keras.optimizers.Adam(keras.optimizers.schedules.CosineDecay(0.1, TOP * STEPS))

        def call(self, inputs):
            return self.head(self.body(inputs))

        def train_step(self, data):
            import torch

            inputs, wanted, _ = keras.utils.unpack_x_y_sample_weight(data)
            self.zero_grad()
            loss = ((self(inputs) - wanted) ** 2).mean()
            loss.backward()
            for optimizer, layer in (self.optimizer, self.body), (self.own, self.head):
                weights = layer.trainable_weights
                with torch.no_grad():
                    optimizer.apply([weight.value.grad for weight in weights], weights)
            return {"loss": loss}


    def by_two_optimizers():
        def fitted(*callbacks, start=0):
            keras.utils.set_random_seed(0)
            model = Two()
            model.compile(keras.optimizers.Adam(0.01), "mse")
            return fit(model, *callbacks, start=start)

        def train(trial):
            fitted(KerasCallback(trial), start=trial.start)

        with tempfile.TemporaryDirectory() as folder:
            study.train({"rate": 0.01}, 2, objective=train, directory=folder)
            metrics = study.train({"rate": 0.01}, 4, objective=train, directory=folder).metrics
        return [metrics, {name: values[-1] for name, values in fitted().items()}]


    class Early(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            self.model.stop_training = epoch == 1


    def mistakes():
        def forgets_the_start(trial):
            fit(build(trial.config, 0), KerasCallback(trial))

        def ends_too_early(trial):
            fit(build(trial.config, 0), KerasCallback(trial), epochs=1)

        def begins_at_the_end(trial):
            fit(build(trial.config, 0), KerasCallback(trial), start=trial.start, epochs=1)

        def builds_another(trial):
            fit(build(trial.config, 0, 8 + trial.start), KerasCallback(trial), start=trial.start)

        def does_not_validate(trial):
            fit(build(trial.config, 0), KerasCallback(trial), start=trial.start, held_out=None)

        def saves_itself(trial):
            fit(build(trial.config, 0), KerasCallback(trial), start=trial.start)
            trial.save("weights")

        def stops_before(trial):
            fit(build(trial.config, 0), Early(), KerasCallback(trial), start=trial.start)

        def stops_behind(trial):
            fit(build(trial.config, 0), KerasCallback(trial), Early(), start=trial.start)

        def ends_at_the_rung(trial):
            fit(build(trial.config, 0), KerasCallback(trial), start=trial.start, epochs=trial.target)

        def averages(trial, *callbacks):
            model = build(trial.config, 0)
            model.compile(keras.optimizers.Adam(0.01, use_ema=True), "mse")
            fit(model, *callbacks, start=trial.start)

        def swaps_behind(trial):
            averages(trial, KerasCallback(trial), keras.callbacks.SwapEMAWeights(swap_on_epoch=True))

        def swaps_to_evaluate(trial):
            averages(trial, keras.callbacks.SwapEMAWeights(), KerasCallback(trial))

        return {
            "forgets the start": tried(forgets_the_start, 1, 2), "ends too early": tried(ends_too_early, 2),
            "begins at the end": tried(begins_at_the_end, 1, 2),
            "builds another": tried(builds_another, 1, 2), "does not validate": tried(does_not_validate, 1),
            "saves itself": tried(saves_itself, 1, 2), "stops before": tried(stops_before, 4),
            "stops behind": tried(stops_behind, 4), "ends at the rung": tried(ends_at_the_rung, 1, 3),
            "swaps behind": tried(swaps_behind, 2, 4),
            "swaps to evaluate": tried(swaps_to_evaluate, 2, 4),
        }


    def tuned():
        return ashtune.tune(
            train, {"rate": (1e-6, 1e-1, "log")}, metric="val_loss", mode="min", constraints={"loss": "<= 1e9"},
            trials=6, min_resource=1, max_resource=TOP, reduction_factor=2, search="random", engine="threads",
            workers=1, directory="study", quiet=True,
            enqueue=[{"rate": rate} for rate in (2e-2, 1e-6) * 3],  # the best of a rung waits there for the next
        )


    is_stopping, is_begun_again, held_at = bool(os.environ.get("STOP")), False, 0
    signal.signal(signal.SIGTERM, stop)
    try:
        study = tuned()
        assert not is_stopping
    except Stopped:
        is_stopping, is_begun_again, held_at = False, True, calls_so_far() + 3
        with open("stopped", "w") as stopped:
            print(held_at, file=stopped)
        study = tuned()
    plain = {}
    for number in {int(line.split()[0]) for line in open("calls") if int(line.split()[1])}:
        plain[number] = fit(build(study.trials[number].configuration, number))
    best = build(study.best.config, 0)
    load_state(best, study.best.load())
    print(json.dumps({
        "plain": plain, "loaded": best.evaluate(*held_out, verbose=0), "best": study.best.metrics["val_loss"],
        "mistakes": mistakes() if keras.backend.backend() == "torch" else {},
        "loader": from_a_loader() if keras.backend.backend() == "torch" else [],
        "two optimizers": by_two_optimizers() if keras.backend.backend() == "torch" else [],
    }))
"""


class Outcome(NamedTuple):
    """What came of a study that was stopped, then killed, then went to its end."""

    calls: list[tuple[int, int]]
    """Of each call of the training function the trial and where it began."""
    curves: pieces.Curves
    said: dict[str, Any]


def carried_out(backend: str, folder: Path) -> Outcome:
    if find_spec(backend) is None:
        pytest.skip(f"{backend} is not installed")
    pieces.stopped_then_killed(SCRIPT, folder, KERAS_BACKEND=backend)
    said = pieces.printed(SCRIPT, folder, KERAS_BACKEND=backend)
    return Outcome(pieces.calls(folder), pieces.curves(folder / "study"), said)


@pytest.fixture(scope="module", params=["jax", "torch"])
def outcome(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Outcome]:
    yield carried_out(request.param, tmp_path_factory.mktemp(request.param))


@pytest.mark.slow
def test_an_interrupted_keras_trial_has_the_curve_of_uninterrupted_training(
    outcome: Outcome,
) -> None:
    assert {1, 3} <= {start for _, start in outcome.calls}, (
        "from a rung's checkpoint, and from one between two rungs"
    )
    assert len(set(outcome.calls)) == len(outcome.calls) - 1, "the job that was killed began again"
    assert outcome.said["plain"], "there is something to compare"
    for number, history in outcome.said["plain"].items():
        curve = outcome.curves[int(number)]
        for epoch, metrics in curve.items():
            expected = {name: values[epoch - 1] for name, values in history.items()}
            assert metrics == pytest.approx(expected, rel=1e-6)
    longest = max(len(outcome.curves[int(number)]) for number in outcome.said["plain"])
    assert longest == 4


@pytest.mark.slow
@pytest.mark.parametrize("outcome", ["torch"], indirect=True)
def test_a_resumed_keras_data_loader_keeps_the_order_of_uninterrupted_training(
    outcome: Outcome,
) -> None:
    in_pieces, in_one = outcome.said["loader"]
    assert in_pieces == pytest.approx(in_one, rel=1e-6)


EXPECTED = {
    "forgets the start": "model.fit() trains epoch 1, but the next epoch of trial 6 is 2; add "
    "initial_epoch=trial.start",
    "ends too early": "model.fit() ended at epoch 1, but the target of trial 6 is 2",
    "begins at the end": "model.fit() ended at epoch 1, but the target of trial 6 is 2",
    "builds another": "the model has the shape",
    "does not validate": "reports 'loss', but not 'val_loss'",
    "saves itself": "trial 6 saved a str, but KerasCallback saves its own state",
    "stops before": 2,
    "stops behind": 2,
    "ends at the rung": 3,
    "swaps behind": 4,
    "swaps to evaluate": 4,
}


@pytest.mark.slow
@pytest.mark.parametrize("outcome", ["torch"], indirect=True)
@pytest.mark.parametrize("what", EXPECTED)
def test_mistakes_in_the_use_of_keras_fit_give_clear_errors(outcome: Outcome, what: str) -> None:
    said, expected = outcome.said["mistakes"][what], EXPECTED[what]
    assert said == expected if isinstance(expected, int) else expected in said, said
