"""The search by a sampler of Optuna: what the sampler sees, how it is written down, and the studies
that it makes.
"""

import math
import random
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import ashtune
from ashtune._src.core.errors import SettingsError
from ashtune._src.core.jobs import Job, Result, TrialId
from ashtune._src.search.optuna_search import OptunaSearch, SampledAxis
from ashtune._src.search.random import Random
from ashtune._src.search.scalarisation import scalarise, weights_for
from ashtune._src.search.search_protocol import Proposer
from ashtune._src.search.search_registry import SEARCHES
from ashtune._src.space.space import Space
from ashtune.testing.search_suite import check_proposer
from tests.helpers.studies import started
from tests.search.spaces import SPACE, bowl, conditional, finite_conditional, of_every_kind

optuna = pytest.importorskip("optuna")
from tests.search import samplers_for_tests as samplers  # noqa: E402 - it imports Optuna

pytestmark = pytest.mark.filterwarnings("ignore::optuna.exceptions.ExperimentalWarning")
RECORDING = "tests.search.samplers_for_tests:Recording"


@pytest.mark.slow
@pytest.mark.parametrize(
    "space",
    [
        SPACE,
        of_every_kind(),
        Space.parse(conditional()),
        Space.parse(finite_conditional()),
        {"c": ["one"], "n": (1, 9)},
    ],
    ids=["plain", "every kind", "conditional", "finite and conditional", "few"],
)
def test_the_optuna_proposer_passes_the_suite_of_proposers(space: Any) -> None:
    check_proposer(OptunaSearch(), space, trials=36)


def test_the_stand_in_search_of_optuna_depends_only_on_the_seed() -> None:
    def proposed(seed: int) -> list[object]:
        space = Space.parse(SPACE)
        stand_in, design = OptunaSearch().stand_in(space, seed), Random().build(space, 0)
        for trial in range(20):
            stand_in.observe(
                Result(TrialId(trial), 0, 1, (float(trial),), 1.0), design.configuration(trial)
            )
        return [stand_in.propose(trial) for trial in range(20, 40)]

    assert proposed(1) == proposed(1) != proposed(2)


class Played:
    """A study on three rungs: what happened, and the proposer that it was told to."""

    def __init__(self, search: OptunaSearch, space: Any, seed: int) -> None:
        self.space = Space.parse(space)
        self.design, self.proposer = (
            search.build(self.space, seed),
            search.proposer(self.space, seed, 9),
        )
        self.chance = random.Random(seed)
        # trial, rung, loss; None for a start
        self.happened: list[tuple[int, int, float | None]] = []
        self.configurations: dict[int, dict[str, object]] = {}

    def start(self, trial: int, rung: int, configuration: dict[str, object]) -> None:
        self.configurations[trial] = configuration
        self.happened.append((trial, rung, None))
        self.proposer.started(Job(TrialId(trial), rung), configuration)

    def end(self, trial: int, rung: int, loss: float) -> None:
        self.happened.append((trial, rung, loss))
        self.proposer.observe(
            Result(TrialId(trial), rung, 3**rung, (loss,), 1.0), self.configurations[trial]
        )

    def expected(self, hyperparameters: int) -> list[tuple[str, int, float | None]] | None:
        """Return what BOHB's rule shows, worked out over the whole history."""
        results: dict[int, dict[int, float]] = {}
        for trial, rung, loss in self.happened:
            if loss is not None:
                results.setdefault(rung, {})[trial] = loss
        enough = [
            rung
            for rung, losses in results.items()
            if len(losses) >= max(10, 2 * (hyperparameters + 1))
        ]
        if not enough:
            return None
        there = results[max(enough)]
        by_loss = sorted(there, key=lambda trial: (there[trial], trial))
        shown = set(by_loss[:100]) | set(sorted(there)[-100:])
        worst = max((there[trial] for trial in shown if there[trial] < math.inf), default=None)
        if worst is None:
            return None
        last = {trial: loss for trial, _, loss in self.happened}
        training = [trial for trial in sorted(last) if last[trial] is None and trial not in there][
            -100:
        ]
        finished: list[tuple[str, int, float | None]] = [
            ("COMPLETE", trial, min(there[trial], worst)) for trial in sorted(shown)
        ]
        return [*finished, *(("RUNNING", trial, None) for trial in training)]


@pytest.mark.parametrize("seed", range(6))
def test_the_sampler_sees_the_rung_that_the_rule_of_bohb_selects(seed: int) -> None:
    """A long study with few results above, a short one with failures, and trials that never come to
    a result.
    """
    played = Played(
        OptunaSearch(RECORDING, random_share=0.0), {"x": (0.0, 1.0), "y": (0.0, 1.0)}, seed
    )
    chance, training = played.chance, {}  # type: ignore[var-annotated]
    fails = [0.0, 0.1, 0.5, 1.0, 0.1, 0.3][seed]
    proposed = 0
    for trial in range(600 if seed == 4 else 80):
        samplers.SEEN.clear()
        proposal = played.proposer.propose(trial)
        expected = played.expected(2)
        if expected is None:
            assert proposal is None
            assert not samplers.SEEN
        else:
            proposed += 1
            assert proposal is not None
            values = [
                (state, played.configurations[number], None if loss is None else [loss])
                for state, number, loss in expected
            ]
            assert samplers.SEEN[0] == values
        played.start(
            trial,
            0,
            played.design.configuration(trial) if proposal is None else proposal.configuration,
        )
        training[trial] = 0
        while len(training) > 4:
            number = chance.choice(sorted(training))
            rung = training.pop(number)
            loss = math.inf if chance.random() < fails else chance.random()
            if chance.random() < 0.95:  # of the others nothing is heard again
                played.end(number, rung, loss)
                if loss < 0.4 and rung < 2:
                    training[number] = rung + 1
                    played.start(number, rung + 1, played.configurations[number])
    assert (proposed == 0) == (fails == 1.0)


def proposals_of(
    search: OptunaSearch, space: Any, results: int, more: int
) -> tuple[Proposer, list[Any]]:
    """Return the proposer and what it proposes after some results, with
    each proposal in training.
    """
    played = Played(search, space, 0)
    for trial in range(results):
        played.start(trial, 0, played.design.configuration(trial))
        played.end(trial, 0, played.chance.random())
    proposals = []
    for trial in range(results, results + more):
        proposals.append(played.proposer.propose(trial))
        if proposals[-1] is not None:
            played.start(trial, 0, proposals[-1].configuration)
            played.end(trial, 0, played.chance.random())
    return played.proposer, proposals


def test_optuna_gets_long_integer_ranges_as_floats_and_short_ranges_as_integers() -> None:
    from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

    samplers.DISTRIBUTIONS.clear()
    _, proposals = proposals_of(OptunaSearch(RECORDING, random_share=0.0), of_every_kind(), 40, 30)
    assert {
        "lr": FloatDistribution(1e-4, 1.0, log=True),
        "units": FloatDistribution(7.5, 512.5, log=True),
        "momentum": FloatDistribution(0.0, 0.99),
        "layers": IntDistribution(1, 8),
        "noise": FloatDistribution(0.0, 1.0),
        "depth": IntDistribution(1, 9, log=True),
        "heads": IntDistribution(1, 6),
        "size": IntDistribution(0, 2),
        "act": CategoricalDistribution([0, 1]),
        "widths": CategoricalDistribution([0, 1, 2]),
        "mixed": CategoricalDistribution([0, 1, 2, 3, 4]),
        "flags": CategoricalDistribution([0, 1]),
        "numbers": IntDistribution(0, 1),
    } == samplers.DISTRIBUTIONS
    for proposal in proposals:
        assert proposal is not None
        assert of_every_kind().check(proposal.configuration) == proposal.configuration


class Asked:
    """In place of a trial of Optuna: notes what it is asked for, and answers with the lowest."""

    def __init__(self) -> None:
        self.calls: list[tuple[object, ...]] = []

    def suggest_categorical(self, name: str, choices: Any) -> Any:
        self.calls.append((name, list(choices)))
        return choices[0]

    def suggest_int(self, name: str, low: int, high: int, *, log: bool) -> int:
        self.calls.append((name, low, high, log))
        return low

    def suggest_float(self, name: str, low: float, high: float, *, log: bool) -> float:
        self.calls.append((name, low, high, log))
        return low


def test_a_sampler_gets_the_range_and_scale_of_each_hyperparameter() -> None:
    asked: Any = Asked()
    space = of_every_kind()
    names = ["lr", "units", "momentum", "layers", "depth", "size", "act"]
    found = [SampledAxis(name, space.columns[name]).ask(asked) for name in names]
    assert asked.calls == [
        ("lr", 1e-4, 1.0, True),
        ("units", 7.5, 512.5, True),
        ("momentum", 0.0, 0.99, False),
        ("layers", 1, 8, False),
        ("depth", 1, 9, True),
        ("size", 0, 2, False),
        ("act", [0, 1]),
    ]
    assert found[:5] == [1e-4, 8, 0.0, 1, 1]
    assert [type(value) for value in found[:3]] == [float, int, float]


def test_a_sampler_sees_several_losses_combined_as_one_number() -> None:
    proposer = OptunaSearch(RECORDING, random_share=0.0).proposer(Space.parse(SPACE), 0, 9)
    keys = []
    for trial in range(12):
        its = (float(trial), 10.0 - trial)
        keys.append((0.0, *its))
        result = Result(TrialId(trial - 2), 0, 9, its, 1.0)
        tell = proposer.know if trial < 2 else proposer.observe
        tell(result, {"x": trial / 12})
    samplers.SEEN.clear()
    proposal = proposer.propose(40)
    assert proposal is not None
    assert proposal.origin == "Recording, 12 results, 2 from before"
    expected = scalarise(np.array(keys), weights_for(0, 40, 2)).tolist()
    assert samplers.SEEN[0] == [
        ("COMPLETE", {"x": trial / 12}, [expected[trial]]) for trial in range(12)
    ]


def test_for_the_optuna_sampler_a_waiting_proposal_is_a_running_trial() -> None:
    proposer, _ = proposals_of(OptunaSearch(RECORDING, random_share=0.0), SPACE, 20, 0)
    first = proposer.propose(20)
    assert first is not None
    samplers.SEEN.clear()
    proposer.propose(21)
    running = [params for state, params, _ in samplers.SEEN[0] if state == "RUNNING"]
    assert [params["x"] for params in running] == [first.configuration["x"]]
    proposer.started(Job(TrialId(20), 0), first.configuration)
    samplers.SEEN.clear()
    proposer.propose(22)
    assert [state for state, _, _ in samplers.SEEN[0]].count("RUNNING") == 2


@pytest.mark.slow
def test_on_smooth_functions_optuna_reaches_half_the_loss_of_random_search() -> None:
    ours, drawn = [], []
    for seed in range(3):
        played = Played(OptunaSearch(), SPACE, seed)
        for trial in range(80):
            proposal = played.proposer.propose(trial)
            played.start(
                trial,
                0,
                played.design.configuration(trial) if proposal is None else proposal.configuration,
            )
            played.end(trial, 0, bowl(played.configurations[trial]))
        ours += sorted(loss for _, _, loss in played.happened if loss is not None)[:5]
        drawn += sorted(bowl(played.design.configuration(trial)) for trial in range(80))[:5]
    assert sum(ours) < 0.5 * sum(drawn)


@pytest.mark.parametrize(
    ("kind", "options", "name"),
    [
        (optuna.samplers.TPESampler, {"n_ei_candidates": 48}, "TPESampler"),
        (optuna.samplers.GPSampler, {"deterministic_objective": True}, "GPSampler"),
        (optuna.samplers.NSGAIISampler, {"population_size": 20}, "NSGAIISampler"),
        (samplers.Recording, {"note": "a note"}, RECORDING),
    ],
)
def test_a_sampler_is_recorded_as_class_and_options(
    kind: Any, options: dict[str, Any], name: str
) -> None:
    search = OptunaSearch(kind, options)
    assert (search.sampler, search.options) == (name, options)
    assert search == OptunaSearch(name, options)
    assert SEARCHES.read(SEARCHES.record(search)) == search
    assert type(search.new_sampler(0)) is kind


class InScript(samplers.Recording):
    pass


InScript.__module__ = "__main__"


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ([5], "sampler=5 does not fit OptunaSearch"),
        ([optuna.samplers.TPESampler()], "TPESampler object .* does not fit OptunaSearch"),
        ([InScript], "could not import this class"),
        (["TPESampler", None, 1.5], "random_share=1.5"),
        (["TPESampler", None, 0.1, -1], "ahead=-1"),
    ],
)
def test_an_invalid_option_is_refused_with_its_value(arguments: list[Any], says: str) -> None:
    with pytest.raises(SettingsError, match=says):
        OptunaSearch(*arguments)


@pytest.mark.parametrize(
    ("search", "says"),
    [
        (OptunaSearch("Nothing"), "sampler='Nothing' is not a sampler of Optuna"),
        (OptunaSearch("no class"), "'no class' is not a sampler of Optuna"),
        (OptunaSearch("no_such_module:Sampler"), "No module named 'no_such_module'"),
        (
            OptunaSearch("TPESampler", {"seed": 3}),
            "cannot be created .*multiple values for keyword argument 'seed'",
        ),
        (OptunaSearch("random:Random"), "'random:Random' is not a sampler of Optuna"),
        (OptunaSearch("TPESampler", {"gamma": len}), "cannot be stored"),
        (
            OptunaSearch("TPESampler", {"candidates": 5}),
            "cannot be created .*unexpected keyword argument 'candidates'",
        ),
        (OptunaSearch("tests.search.samplers_for_tests:Seedless"), "must accept a seed"),
    ],
)
def test_a_sampler_that_cannot_be_made_is_refused(
    search: OptunaSearch, says: str, tmp_path: Path
) -> None:
    with pytest.raises(SettingsError, match=says) as refusal:
        ashtune.tune(
            train, SPACE, metric="loss", mode="min", trials=4, max_resource=1, search=search,
            quiet=True,
            directory=tmp_path / "study",
        )  # fmt: skip
    assert "\n" not in str(refusal.value)
    assert not (tmp_path / "study").exists()


def test_the_optuna_search_is_refused_if_optuna_is_not_installed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "optuna", None)
    with pytest.raises(SettingsError):
        OptunaSearch().build(Space.parse(SPACE), 0)
    assert SEARCHES.read({"kind": "optuna"}) == OptunaSearch()  # a study is read without it


def test_the_command_help_and_search_names_do_not_import_optuna() -> None:
    modules = "ashtune._src.search.search_registry, ashtune._src.cli.main"
    code = f"import sys, {modules}; ashtune.OptunaSearch(); print('optuna' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"


def train(trial: Any) -> None:
    for epoch in trial.epochs():
        time.sleep(0.005)
        trial.report(loss=(trial["x"] - 0.3) ** 2 + 1 / epoch)


def tuned(directory: Path, search: Any, **given: Any) -> ashtune.Study:
    options = {"trials": 24, "workers": 1, "quiet": True, **given}
    return ashtune.tune(
        train,
        SPACE,
        metric="loss",
        mode="min",
        max_resource=2,
        search=search,
        directory=directory,
        **options,
    )


@pytest.mark.slow
def test_the_sampler_of_a_resumed_study_knows_all_results(tmp_path: Path) -> None:
    search = OptunaSearch(
        optuna.samplers.TPESampler, {"n_ei_candidates": 12}, random_share=0.0, ahead=0
    )
    first = {"x": 0.3, "y": 0.1, "n": 5, "kind": "b"}
    study = tuned(tmp_path, search, trials=12, enqueue=[first])
    study.resume(trials=16, workers=1, quiet=True)
    trials = started(tmp_path)
    assert trials[0].origin == "enqueued"
    assert trials[0].configuration == first
    assert [one.origin for one in trials[12:]] == [
        f"TPESampler, {trial} results" for trial in range(12, 16)
    ]


@pytest.mark.slow
def test_a_sampler_that_raises_an_error_does_not_stop_the_study(
    tmp_path: Path, capfd: Any, monkeypatch: Any
) -> None:
    study = tuned(
        tmp_path, OptunaSearch("tests.search.samplers_for_tests:Raising", random_share=0.0, ahead=0)
    )
    assert study.is_complete
    origins = [one.origin for one in started(tmp_path)]
    assert len(origins) == 24
    assert [origin.split(",")[0] for origin in origins[10:12]] == ["Raising", "Raising"]
    assert all(origin.startswith(("random", "mutation")) for origin in origins[12:])
    lines = [line for line in capfd.readouterr().err.splitlines() if "has failed" in line]
    assert lines == [
        "search OptunaSearch has failed, so new trials are chosen without regard to results: "
        "StudyError: ZeroDivisionError: twelve"
    ]
