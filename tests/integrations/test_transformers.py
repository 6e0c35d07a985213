"""The Trainer in pieces: a trial that was paused, stopped and killed has
the curve of one training.
"""

import json
import sys
import textwrap
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

import pytest

import ashtune
from ashtune._src.core.errors import ObjectiveError
from ashtune.integrations.launched import LaunchedTrial
from tests.integrations import pieces

pytestmark = [
    pytest.mark.skipif(find_spec("transformers") is None, reason="transformers is not installed"),
    pytest.mark.timeout(600),
]

COMMON = """
    import random

    from transformers import BertConfig, BertForSequenceClassification, Trainer, TrainingArguments, set_seed

    from ashtune.integrations.transformers import TransformersCallback

    TOP = 4
    dice = random.Random(0)
    words = [dice.choices(range(16), k=8) for _ in range(80)]
    texts = [{"input_ids": text, "labels": int(text.count(1) > text.count(2))} for text in words]


    def trained(config, seed, folder, callbacks=(), checkpoint=None, held_out=texts[48:], data=texts[:48], **arguments):
        set_seed(seed)
        model = BertForSequenceClassification(BertConfig(
            vocab_size=16, hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16,
        ))
        by_epoch = {"num_train_epochs": TOP, "eval_strategy": "epoch", "logging_strategy": "epoch"}
        trainer = Trainer(
            model,
            TrainingArguments(
                output_dir=folder, seed=seed, learning_rate=config["rate"], per_device_train_batch_size=16,
                disable_tqdm=True, report_to="none", use_cpu=True,
                **{"save_strategy": "no", **by_epoch, **arguments},
            ),
            train_dataset=data, eval_dataset=held_out, callbacks=list(callbacks),
        )
        trainer.train(resume_from_checkpoint=checkpoint)
        return trainer
"""

SCRIPT = (
    COMMON
    + """
    import json, os, signal, tempfile, time

    import torch
    from transformers import EarlyStoppingCallback, TrainerCallback

    import ashtune

    BY_STEPS = {  # two steps are a unit; an epoch has three
        "max_steps": 2 * TOP, "eval_strategy": "steps", "eval_steps": 2, "logging_strategy": "steps",
        "logging_steps": 2,
    }


    class Stopped(Exception):
        pass


    def calls_so_far():
        return len(open("calls").readlines())


    def stop(*signalled):
        raise Stopped


    class Disturbance(TrainerCallback):
        def on_evaluate(self, args, state, control, **more):
            if is_stopping and round(state.epoch) == 3:  # between the rungs at 2 and at 4
                os.kill(os.getpid(), signal.SIGTERM)
                while "stop_requested" not in open("study/journal.jsonl").read():
                    time.sleep(0.02)
                time.sleep(1)  # until the order that follows has come
            while is_begun_again and calls_so_far() >= held_at:
                time.sleep(0.2)


    def train(trial):
        with open("calls", "a") as calls:
            print(trial.number, trial.start, file=calls)
        callback = TransformersCallback(trial)
        trained(trial.config, trial.number, trial.checkpoint_dir, [Disturbance(), callback], callback.checkpoint)


    def train_by_steps(trial):
        callback = TransformersCallback(trial)
        arguments = {**BY_STEPS, "save_strategy": "steps", "save_steps": 2}
        trained(trial.config, trial.number, trial.checkpoint_dir, [callback], callback.checkpoint, **arguments)
        if trial.target == TOP:
            assert os.listdir(trial.checkpoint_dir) == ["checkpoint-8"]


    def reports(trainer):
        found, names = {}, ("loss", "eval_loss", "learning_rate", "grad_norm")
        for logs in trainer.state.log_history[:-1]:
            unit = logs["step"] // 2 if trainer.args.max_steps > 0 else round(logs["epoch"])
            found.setdefault(unit, {}).update(
                {name: value for name, value in logs.items() if name in names}
            )
        return found


    def tried(objective, *resources):
        with tempfile.TemporaryDirectory() as folder:
            try:
                for resource in resources:
                    result = study.train({"rate": 0.01}, resource, objective=objective, directory=folder)
            except ashtune.AshtuneError as error:
                return str(error)
            return result.resource


    class Early(TrainerCallback):
        def on_evaluate(self, args, state, control, **more):
            control.should_training_stop = control.should_training_stop or round(state.epoch) == 2
            return control


    class Worse(TrainerCallback):
        def on_evaluate(self, args, state, control, metrics, **more):
            metrics["eval_order"] = -state.epoch  # the first evaluation is the best


    def mistakes():
        def with_arguments(**arguments):
            def train(trial):
                callback = TransformersCallback(trial)
                trained(trial.config, 0, trial.checkpoint_dir, [callback], callback.checkpoint, **arguments)
            return train

        def with_callbacks(*callbacks, **arguments):
            def train(trial):
                own = TransformersCallback(trial)
                all_of_them = [own if callback is None else callback for callback in callbacks]
                trained(trial.config, 0, trial.checkpoint_dir, all_of_them, own.checkpoint, **arguments)
            return train

        def saves_elsewhere(trial):
            with tempfile.TemporaryDirectory() as folder:
                trained(trial.config, 0, folder, [TransformersCallback(trial)])

        def forgets_the_checkpoint(trial):
            trained(trial.config, 0, trial.checkpoint_dir, [TransformersCallback(trial)])

        class Endless(torch.utils.data.IterableDataset):
            def __iter__(self):
                return iter(texts[:48])

        best = {"load_best_model_at_end": True, "save_strategy": "epoch"}
        one = {"save_strategy": "epoch", "save_total_limit": 1, "metric_for_best_model": "order"}
        return {
            "saves elsewhere": tried(saves_elsewhere, 1),
            "forgets the checkpoint": tried(forgets_the_checkpoint, 1, 2),
            "does not evaluate": tried(with_arguments(eval_strategy="no"), 1),
            "keeps the best": tried(with_arguments(**best), 1),
            "saves the model only": tried(with_arguments(save_only_model=True), 1),
            "restores callbacks": tried(with_arguments(restore_callback_states_from_checkpoint=True), 1),
            "delays": tried(with_arguments(eval_delay=2), 2),
            "ends too early": tried(with_arguments(num_train_epochs=1), 2),
            "another metric": tried(with_arguments(logging_strategy="no"), 2),
            "stops before": tried(with_callbacks(Early(), None), 4),
            "stops behind": tried(with_callbacks(None, Early()), 4),
            "keeps one checkpoint": tried(with_callbacks(Worse(), EarlyStoppingCallback(1), None, **one), 4),
            "has no length": tried(with_arguments(data=Endless(), max_steps=12), 1),
            "evaluates at the start": tried(with_arguments(eval_on_start=True), 1, 2),
            "ends at the rung": tried(with_arguments(num_train_epochs=2), 2),
        }


    def with_data_sets():
        def train(trial):
            held_out = {"first": texts[48:64], "second": texts[64:], "third": texts[48:]}
            trained(trial.config, 0, trial.checkpoint_dir, [TransformersCallback(trial)], held_out=held_out)

        return ashtune.tune(
            train, {"rate": (1e-3, 1e-1)}, metric="eval_second_loss", mode="min", trials=1, max_resource=2,
            min_resource=2, engine="threads", workers=1, quiet=True, directory="data-sets",
        ).best.metrics


    def tuned(objective, directory):
        return ashtune.tune(
            objective, {"rate": (1e-6, 1e-1, "log")}, metric="eval_loss", mode="min",
            constraints={"loss": "<= 1e9"}, trials=6, min_resource=1, max_resource=TOP, reduction_factor=2,
            search="random", engine="threads", workers=1, directory=directory, quiet=True,
            enqueue=[{"rate": rate} for rate in (2e-2, 1e-6) * 3],  # the best of a rung waits there for the next
        )


    is_stopping, is_begun_again, held_at = bool(os.environ.get("STOP")), False, 0
    signal.signal(signal.SIGTERM, stop)
    try:
        study = tuned(train, "study")
        assert not is_stopping
    except Stopped:
        is_stopping, is_begun_again, held_at = False, True, calls_so_far() + 3
        with open("stopped", "w") as stopped:
            print(held_at, file=stopped)
        study = tuned(train, "study")
    by_steps = tuned(train_by_steps, "by-steps")
    plain = {}
    for number in {int(line.split()[0]) for line in open("calls") if int(line.split()[1])}:
        plain[number] = reports(trained(study.trials[number].configuration, number, "elsewhere"))
    best = by_steps.best
    plain_by_steps = {best.trial: reports(trained(best.config, best.trial, "elsewhere", **BY_STEPS))}
    (checkpoint,) = study.best.load().glob("checkpoint-*")
    again = Trainer(
        BertForSequenceClassification.from_pretrained(checkpoint),
        TrainingArguments("elsewhere", report_to="none", disable_tqdm=True, use_cpu=True), eval_dataset=texts[48:],
    )
    print(json.dumps({
        "study": plain, "by-steps": plain_by_steps, "mistakes": mistakes(), "data sets": with_data_sets(),
        "loaded": again.evaluate()["eval_loss"], "best": study.best.metrics["eval_loss"],
    }))
"""
)


class Outcome(NamedTuple):
    """What came of a study that was stopped, then killed, then went to its end."""

    folder: Path
    calls: list[tuple[int, int]]
    """Of each call of the training function the trial and where it began."""
    said: dict[str, Any]


@pytest.fixture(scope="module")
def outcome(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Outcome]:
    folder = tmp_path_factory.mktemp("trainer")
    pieces.stopped_then_killed(SCRIPT, folder)
    said = pieces.printed(SCRIPT, folder)
    yield Outcome(folder, pieces.calls(folder), said)


@pytest.mark.slow
@pytest.mark.parametrize("study", ["study", "by-steps"])
def test_an_interrupted_transformers_trial_has_the_curve_of_uninterrupted_training(
    outcome: Outcome, study: str
) -> None:
    curves = pieces.curves(outcome.folder / study)
    assert outcome.said[study], "there is something to compare"
    for number, expected in outcome.said[study].items():
        for unit, metrics in curves[int(number)].items():
            assert metrics == pytest.approx(expected[str(unit)], rel=1e-5)
    assert max(len(curves[int(number)]) for number in outcome.said[study]) == 4


@pytest.mark.slow
def test_transformers_trials_resume_from_checkpoints_at_and_between_rungs(outcome: Outcome) -> None:
    assert {1, 3} <= {start for _, start in outcome.calls}, (
        "from a rung's checkpoint, and from one between two rungs"
    )
    assert len(set(outcome.calls)) == len(outcome.calls) - 1, "the job that was killed began again"
    results = [(event.trial, event.rung) for event in pieces.finished(outcome.folder / "study")]
    assert len(results) == len(set(results)), "nothing counts twice"


@pytest.mark.slow
def test_at_each_rung_the_learning_rate_schedule_extends_to_the_top_resource(
    outcome: Outcome,
) -> None:
    for epochs in pieces.curves(outcome.folder / "study").values():
        first = epochs[1]["learning_rate"]
        for epoch, metrics in epochs.items():
            steps, all_steps = 3 * epoch - 1, 12  # it is read before the last step of an epoch
            assert metrics["learning_rate"] == pytest.approx(
                first * (all_steps - steps) / (all_steps - 2)
            )


EXPECTED = {
    "saves elsewhere": "which is kept",
    "forgets the checkpoint": "begins at epoch 0, but trial 6 continues from epoch 1; give "
    "output_dir",
    "does not evaluate": "the Trainer has eval_strategy='no'",
    "keeps the best": "the Trainer has load_best_model_at_end=True",
    "saves the model only": "the Trainer has save_only_model=True",
    "restores callbacks": "the Trainer has restore_callback_states_from_checkpoint=True",
    "delays": "the Trainer has eval_delay=2",
    "ends too early": "the Trainer ended at step 3, evaluation 1, but the target of trial 6 is 2",
    "another metric": "but not 'loss'",
    "stops before": 2,
    "stops behind": 2,
    "keeps one checkpoint": 2,
    "has no length": "give eval_strategy='steps'",
    "evaluates at the start": 2,
    "ends at the rung": 2,
}


@pytest.mark.slow
@pytest.mark.parametrize("what", EXPECTED)
def test_mistakes_in_the_use_of_the_trainer_give_clear_errors(outcome: Outcome, what: str) -> None:
    said, expected = outcome.said["mistakes"][what], EXPECTED[what]
    assert said == expected if isinstance(expected, int) else expected in said, said


RANK = (
    COMMON
    + """
    import json, os

    from ashtune.integrations.launched import LaunchedTrial

    ARGUMENTS = {"num_train_epochs": 2, "ddp_backend": "gloo"}


    trial = LaunchedTrial()
    callback = TransformersCallback(trial)
    trainer = trained(trial.config, 0, trial.checkpoint_dir, [callback], callback.checkpoint, **ARGUMENTS)
    assert trainer.args.world_size == 2
    if trial.target == 2:
        logs = trained(trial.config, 0, "plain", **ARGUMENTS).state.log_history
        if os.environ["RANK"] == "0":
            with open("plain.json", "w") as plain:
                json.dump([entry["eval_loss"] for entry in logs if "eval_loss" in entry], plain)
"""
)
TORCHRUN = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]


@pytest.mark.slow
def test_two_torchrun_ranks_train_an_interrupted_trial(tmp_path: Path) -> None:
    (tmp_path / "rank.py").write_text(textwrap.dedent(RANK))
    program = ashtune.Program([sys.executable, *TORCHRUN, "rank.py"], folder=str(tmp_path))
    space, options = (
        {"rate": (1e-3, 1e-1, "log")},
        {"workers": 1, "directory": tmp_path / "study", "quiet": True},
    )
    ashtune.tune(
        program,
        space,
        metric="eval_loss",
        mode="min",
        trials=1,
        max_resource=1,
        scheduler="full",
        **options,
    )
    study = ashtune.Study.load(tmp_path / "study").resume(max_resource=2, workers=1, quiet=True)
    assert [(event.start, event.resource) for event in pieces.finished(study.directory)] == [
        (0, 1),
        (1, 2),
    ]
    curve = pieces.curves(study.directory)[study.best.trial]
    assert [curve[epoch]["eval_loss"] for epoch in (1, 2)] == pytest.approx(
        json.loads((tmp_path / "plain.json").read_text()), rel=1e-5
    )


def test_only_rank_0_of_a_launched_trial_writes_reports(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(ObjectiveError):
        LaunchedTrial()
    result = tmp_path / "result.json"
    given = {
        "TRIAL": "3", "CONFIG": '{"rate": 0.5}', "METRICS": '["loss"]', "SEED": "7", "START": "1",
        "TARGET": "4",
        "CHECKPOINT": str(tmp_path), "RESULT": str(result),
    }  # fmt: skip
    for name, value in given.items():
        monkeypatch.setenv(f"ASHTUNE_{name}", value)
    for rank in ("1", "0"):
        monkeypatch.setenv("RANK", rank)
        trial = LaunchedTrial()
        for epoch in trial.epochs():
            trial.report({"loss": trial["rate"] * epoch})
            if epoch == 3:
                trial.stop()
        assert result.exists() == (rank == "0")
    assert json.loads(result.read_text()) == [{"loss": 1.0}, {"loss": 1.5, "stopped": True}]
    trial.report(loss=2)
    trial.report(3)
    assert json.loads(result.read_text())[2:] == [{"loss": 2.0}, {"loss": 3.0, "stopped": True}]
    with pytest.raises(ObjectiveError):
        trial.report(3, loss=2)
    assert (trial.number, trial.metrics, trial.seed, trial.checkpoint_dir) == (
        3,
        ("loss",),
        7,
        tmp_path,
    )
