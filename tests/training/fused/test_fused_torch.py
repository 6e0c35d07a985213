"""Lanes of a PyTorch module: each is what it would be alone, and what a plain loop with torch.optim
makes of it.
"""

import random
from collections.abc import Callable, Iterator, Mapping
from itertools import pairwise
from typing import Any

import numpy as np
import pytest

from ashtune._src.core.errors import InvalidConfiguration, ObjectiveError
from ashtune._src.training.fused.fused_protocol import LaneMetrics, Variant
from ashtune._src.training.fused.torch.module import TorchRecipe, own_randomness, torch_seed
from ashtune._src.training.fused.torch.optimizers import numbers_of, rule
from ashtune._src.training.fused.torch.torch_backend import TorchProgram, TorchShape
from ashtune._src.training.fused.torch.torch_objective import cross_entropy

torch = pytest.importorskip("torch", reason="PyTorch is not installed")
nn = torch.nn
EXAMPLES, FEATURES, CLASSES = 50, 6, 3


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def data(seed: int, dtype: Any = np.float64) -> tuple[np.ndarray, np.ndarray]:
    chance = np.random.default_rng(seed)
    x = chance.normal(size=(EXAMPLES, FEATURES))
    return x.astype(dtype), (x @ chance.normal(size=(FEATURES, CLASSES))).argmax(axis=1)


def perceptron(config: Mapping[str, Any]) -> Any:
    return nn.Sequential(
        nn.Linear(FEATURES, config["width"]), nn.ReLU(), nn.Linear(config["width"], CLASSES)
    )


def normalised(config: Mapping[str, Any]) -> Any:
    """Batch norm takes away a bias below it: its gradient is rounding alone, which Adam would make
    steps of.
    """
    width = config["width"]
    return nn.Sequential(
        nn.Linear(FEATURES, width, bias=False),
        nn.BatchNorm1d(width),
        nn.Tanh(),
        nn.Linear(width, CLASSES),
    )


def convolved(config: Mapping[str, Any]) -> Any:
    return nn.Sequential(
        nn.Unflatten(1, (1, FEATURES)), nn.Conv1d(1, 4, 3, bias=False), nn.BatchNorm1d(4),
        nn.ReLU(),
        nn.Conv1d(4, 2, 2), nn.MaxPool1d(2), nn.Flatten(), nn.Linear(2, CLASSES),
    )  # fmt: skip


def dropping(config: Mapping[str, Any]) -> Any:
    return nn.Sequential(nn.Linear(FEATURES, 8), nn.Dropout(0.3), nn.ReLU(), nn.Linear(8, CLASSES))


class Attentive(nn.Module):
    """Draws masks in a layout of memory that differs with and without vmap."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = nn.TransformerEncoderLayer(2, 1, 4, dropout=0.1, batch_first=True)
        self.last = nn.Linear(2, CLASSES)

    def forward(self, x: Any) -> Any:
        return self.last(self.inner(x.reshape(len(x), -1, 2)).mean(dim=1))


def scores(outputs: Any, labels: Any) -> dict[str, Any]:
    right = (outputs.argmax(dim=1) == labels).to(outputs.dtype).mean()
    return {"loss": nn.functional.cross_entropy(outputs, labels), "accuracy": right}


def recipe(module: Callable[..., Any] = perceptron, **more: Any) -> TorchRecipe:
    given = {
        "train": data(0),
        "validation": data(1),
        "batch_size": "batch",
        "static": ("width", "batch"),
        **more,
    }
    return TorchRecipe(module=module, **{"evaluate": scores, "loss": cross_entropy, **given})


STATIC = (("width", 5), ("batch", 16))  # three whole batches and a rest of two
LANES = {
    "sgd": [
        {"learning_rate": 0.3 / (1 + n), "momentum": 0.15 * n, "weight_decay": 0.01 * n}
        for n in range(5)
    ],
    "adam": [
        {
            "learning_rate": 0.1 / (1 + n),
            "beta1": 0.5 + 0.1 * n,
            "beta2": 0.999 - 0.01 * n,
            "weight_decay": 0.1 * n,
        }
        for n in range(5)
    ],
}


def trained(
    given: TorchRecipe,
    lanes: list[dict[str, float]],
    cuts: list[int],
    static: Any = STATIC,
    seed: int = 3,
) -> tuple[Any, list[LaneMetrics]]:
    program = TorchProgram(TorchShape(given, static, seed), Variant(len(lanes)))
    state, metrics = program.fresh(lanes), []
    for start, stop in pairwise(cuts):
        state, part = program.train(state, lanes, start, stop)
        metrics.append(part)
    return state, metrics


def torch_s_own(optimizer: str, parameters: Any, lane: dict[str, float]) -> Any:
    rate, decay = lane["learning_rate"], lane.get("weight_decay", 0.0)
    if optimizer == "sgd":
        return torch.optim.SGD(
            parameters, lr=rate, momentum=lane.get("momentum", 0.0), weight_decay=decay
        )
    betas = lane.get("beta1", 0.9), lane.get("beta2", 0.999)
    return torch.optim.AdamW(
        parameters, lr=rate, betas=betas, eps=lane.get("epsilon", 1e-8), weight_decay=decay
    )


def plain_loop(
    given: TorchRecipe, lane: dict[str, float], epochs: int, static: Any = STATIC, seed: int = 3
) -> tuple[Any, dict[str, list[float]]]:
    """Train one module as a user of PyTorch would, on the same batches from the same initial
    weights.
    """
    with own_randomness(seed):
        module = given.module(dict(static)).to(torch.from_numpy(given.train[0]).dtype)
    optimizer = torch_s_own(given.optimizer, module.parameters(), lane)
    x, y = map(torch.from_numpy, given.train)
    rows: dict[str, list[float]] = {}
    for epoch in range(epochs):
        order = torch.randperm(
            len(x), generator=torch.Generator().manual_seed(torch_seed(seed, epoch, 0))
        )
        with own_randomness(seed, epoch, 1):
            module.train()
            for places in order.split(given.examples_a_batch(static)):
                optimizer.zero_grad()
                given.loss(module(x[places]), y[places]).backward()
                optimizer.step()
            module.eval()
            with torch.no_grad():
                metrics = given.evaluate(
                    module(torch.from_numpy(given.validation[0])),
                    *map(torch.from_numpy, given.validation[1:]),
                )
        for name, value in metrics.items():
            rows.setdefault(name, []).append(float(value))
    return module, rows


@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
def test_each_step_of_a_fused_optimizer_equals_torch_optim(optimizer: str) -> None:
    lanes = [
        *LANES[optimizer],
        {"learning_rate": 0.05},
        {**LANES[optimizer][1], "learning_rate": 0.0},
    ]
    if optimizer == "adam":
        lanes.append({"learning_rate": 0.01, "epsilon": 0.1})
    generator = torch.Generator().manual_seed(0)
    shapes = {"weight": (3, 2), "bias": (3,), "scale": ()}

    def drawn() -> dict[str, Any]:
        return {
            name: torch.randn(len(lanes), *shape, generator=generator, dtype=torch.float64)
            for name, shape in shapes.items()
        }

    ours = drawn()
    theirs = [
        {name: nn.Parameter(values[lane].clone()) for name, values in ours.items()}
        for lane in range(len(lanes))
    ]
    others = [
        torch_s_own(optimizer, theirs[lane].values(), numbers) for lane, numbers in enumerate(lanes)
    ]
    stepping, state = (
        rule(optimizer)(numbers_of(optimizer, lanes), ours),
        rule(optimizer).fresh(ours),
    )
    for _ in range(50):
        slopes = drawn()
        stepping.step(ours, slopes, state)
        for lane, other in enumerate(others):
            for name, parameter in theirs[lane].items():
                parameter.grad = slopes[name][lane].clone()
            other.step()
            for name, parameter in theirs[lane].items():
                torch.testing.assert_close(
                    ours[name][lane], parameter.detach(), rtol=1e-12, atol=1e-12
                )


MODULES = [perceptron, normalised, convolved, dropping, lambda config: Attentive()]


@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
@pytest.mark.parametrize(
    "module", MODULES, ids=["perceptron", "normalised", "convolved", "dropping", "attentive"]
)
# attention under vmap: right, but slow
@pytest.mark.filterwarnings("ignore:There is a performance drop")
def test_each_lane_has_at_every_epoch_the_results_of_separate_training(
    module: Any, optimizer: str
) -> None:
    given = recipe(module, optimizer=optimizer)
    state, (together,) = trained(given, LANES[optimizer], [0, 8])
    assert together.metrics["loss"].shape == together.finite.shape == (8, 5)
    assert together.finite.all()
    for lane, numbers in enumerate(LANES[optimizer]):
        own, (alone,) = trained(given, [numbers], [0, 8])
        for name in ("loss", "accuracy"):
            np.testing.assert_allclose(
                together.metrics[name][:, lane], alone.metrics[name][:, 0], rtol=1e-9
            )
        for part in ("parameters", "buffers"):
            for name, values in state[part].items():
                np.testing.assert_allclose(values[lane], own[part][name][0], rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("module", [perceptron, convolved])
@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
def test_the_result_marks_the_epoch_at_which_a_torch_lane_becomes_nonfinite(
    module: Any, optimizer: str
) -> None:
    given, calm = recipe(module, optimizer=optimizer), LANES[optimizer]
    _, (quiet,) = trained(given, calm, [0, 6])
    _, (result,) = trained(given, [*calm[:2], {"learning_rate": 1e200}, *calm[2:]], [0, 6])
    assert not result.finite[-1, 2]
    assert np.delete(result.finite, 2, axis=1).all()
    np.testing.assert_allclose(
        np.delete(result.metrics["loss"], 2, axis=1), quiet.metrics["loss"], rtol=1e-9
    )


@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
@pytest.mark.parametrize("module", [normalised, dropping])
def test_torch_training_split_into_rungs_gives_bitwise_identical_results(
    module: Any, optimizer: str
) -> None:
    given = recipe(module, optimizer=optimizer)
    last, (whole,) = trained(given, LANES[optimizer], [0, 7])
    end, parts = trained(given, LANES[optimizer], [0, 3, 3, 7])
    for name, values in whole.metrics.items():
        np.testing.assert_array_equal(
            values, np.concatenate([part.metrics[name] for part in parts])
        )
    for name, values in last["parameters"].items():
        assert values.equal(end["parameters"][name])


@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
def test_the_result_of_a_lane_does_not_depend_on_other_lanes(optimizer: str) -> None:
    given, lanes = recipe(normalised, optimizer=optimizer), LANES[optimizer]
    _, (whole,) = trained(given, lanes, [0, 7])
    state, _ = trained(given, lanes, [0, 3])
    program = TorchProgram(TorchShape(given, STATIC, 3), Variant(4))
    parts = [program.apart(state, place) for place in (4, 1)]
    for array in (*parts[0]["parameters"].values(), *parts[1]["buffers"].values()):
        assert isinstance(array, np.ndarray)
        assert len(array) == 1
        array.flags.writeable = False  # as arrays read from a checkpoint may be
    chosen = [lanes[4], lanes[1]]
    _, losses = program.train(program.together(parts, chosen), chosen, 3, 7)
    assert losses.finite.shape == (4, 4)
    np.testing.assert_allclose(
        losses.metrics["loss"][:, :2], whole.metrics["loss"][3:, [4, 1]], rtol=1e-9
    )
    _, anew = program.train(program.together([None, None], chosen), chosen, 0, 7)
    np.testing.assert_allclose(
        anew.metrics["loss"][:, :2], whole.metrics["loss"][:, [4, 1]], rtol=1e-9
    )


def test_training_does_not_change_the_users_random_numbers() -> None:
    torch.manual_seed(11)
    np.random.seed(11)
    random.seed(11)
    expected = torch.rand(3), np.random.rand(), random.random()
    torch.manual_seed(11)
    np.random.seed(11)
    random.seed(11)
    trained(recipe(dropping), LANES["sgd"], [0, 2])
    with pytest.raises(ObjectiveError):
        trained(
            recipe(lambda config: nn.Sequential(nn.Linear(FEATURES, CLASSES), nn.RReLU())),
            LANES["sgd"],
            [0, 2],
        )
    assert expected[0].equal(torch.rand(3))
    assert expected[1:] == (np.random.rand(), random.random())


def test_frozen_shared_and_unused_parameters_are_trained_as_in_a_plain_loop() -> None:
    class Partly(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.same = nn.Linear(FEATURES, FEATURES), nn.Linear(FEATURES, FEATURES)
            self.same.weight = self.first.weight
            self.frozen, self.unreached = (
                nn.Linear(FEATURES, FEATURES).requires_grad_(False),
                nn.Linear(2, 2),
            )
            self.last = nn.Linear(FEATURES, CLASSES)

        def forward(self, x: Any) -> Any:
            return self.last(self.frozen(torch.tanh(self.same(self.first(x)))))

    given = recipe(lambda config: Partly())
    state, (result,) = trained(given, LANES["sgd"], [0, 4])
    assert set(state["buffers"]) == {
        "frozen.weight",
        "frozen.bias",
        "unreached.weight",
        "unreached.bias",
    }
    module, rows = plain_loop(given, LANES["sgd"][3], 4)
    np.testing.assert_allclose(result.metrics["loss"][:, 3], rows["loss"], rtol=1e-9)
    for name, values in module.named_parameters():
        ours = {**state["parameters"], **state["buffers"]}[name][3]
        np.testing.assert_allclose(ours, values.detach(), rtol=1e-9, atol=1e-12)


class Stateful(nn.Module):
    def __init__(self, doing: Callable[[Any, Any], Any]) -> None:
        super().__init__()
        self.inner, self.doing, self.calls = nn.Linear(FEATURES, CLASSES), doing, 0
        self.register_buffer("seen", torch.zeros(()))

    def forward(self, x: Any) -> Any:
        return self.doing(self, x)


class Recurrent(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.inner = nn.GRU(4, CLASSES, batch_first=True)

    def forward(self, x: Any) -> Any:
        outputs, _ = self.inner(x[:, None])
        return outputs[:, 0]


def counts(layer: Any, x: Any) -> Any:
    layer.calls += 1
    return layer.inner(x) / layer.calls


def clips(layer: Any, x: Any) -> Any:
    with torch.no_grad():
        layer.inner.weight.clamp_(-0.1, 0.1)
    return layer.inner(x)


def spies(layer: Any, x: Any) -> Any:
    """Compute another thing under vmap: stands for a rule of PyTorch's for lanes that is wrong."""
    return layer.inner(x) * (2 if torch._C._functorch.maybe_current_level() else 1)


ONE = nn.Linear(FEATURES, CLASSES)
REFUSED = {
    "gru": (
        lambda config: nn.Sequential(nn.Linear(FEATURES, 4), Recurrent()),
        r"layer '1\.inner' \(GRU\) fails under torch.func.vmap; leave fused_torch out: "
        r"RuntimeError: Batching rule",
    ),
    "cumulative": (
        lambda config: nn.Sequential(nn.Linear(FEATURES, CLASSES), nn.BatchNorm1d(CLASSES,
        momentum=None)),
        r"layer '1' \(BatchNorm1d\) fails under torch.func.vmap; leave fused_torch out",
    ),
    "rrelu": (
        lambda config: nn.Sequential(nn.Linear(FEATURES, CLASSES), nn.RReLU()),
        r"layer '1' \(RReLU\) fails under torch.func.vmap; leave fused_torch out",
    ),
    "inplace": (
        lambda config: Stateful(lambda layer, x: layer.inner(x.mul_(2))),
        "is different at a second call",
    ),
    "counts": (lambda config: Stateful(counts), "is different at a second call"),
    "clips": (lambda config: Stateful(clips), r"changes its parameter 'inner\.weight' in place"),
    "numpy_s": (
        lambda config: Stateful(lambda layer, x: layer.inner(x) * np.random.rand()),
        "is different at a second call; draw random numbers only with torch",
    ),
    "shape": (
        lambda config: nn.Sequential(nn.Linear(FEATURES + 1, CLASSES)),
        r"layer '0' \(Linear\) cannot be called with a batch of 16; change the module, or the batch size: "
        r"RuntimeError: mat1",
    ),
    "item": (
        lambda config: Stateful(lambda layer, x: layer.inner(x) * layer.inner.weight.sum().item()),
        r"the module \(Stateful\) fails under torch.func.vmap; leave fused_torch out",
    ),
    "not static": (lambda config: nn.Linear(config["depth"], 2),
    r"'depth', which is not in static; add it to static="),
    "no module": (lambda config: torch.relu, "module returns a builtin_function_or_method"),
    "unseeded": (
        lambda config: nn.Linear(FEATURES,
        CLASSES).requires_grad_(bool(np.random.rand())).to(torch.float64).apply(
            lambda layer: layer.weight.data.mul_(np.random.rand())
        ),
        "draws 'weight' differently at each call",
    ),
    "one object": (lambda config: ONE, r"module\(\) returned the same object twice"),
    "untrainable": (lambda config: nn.Softmax(dim=1),
    r"the module \(Softmax\) has no parameter to train"),
    "detached": (
        lambda config: Stateful(lambda layer, x: layer.inner(x).detach()),
        "does not require grad",
    ),
    "spied on": (
        lambda config: Stateful(spies),
        "is different under torch.func.vmap",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_a_module_that_lanes_cannot_train_is_refused_in_one_line(name: str) -> None:
    module, words = REFUSED[name]
    with pytest.raises(ObjectiveError, match=words) as raised:
        TorchShape(recipe(module), STATIC, 0)
    assert "\n" not in str(raised.value)


def test_an_invalid_recipe_is_refused() -> None:
    def refused(words: str, **more: Any) -> None:
        with pytest.raises(ObjectiveError, match=words):
            TorchShape(recipe(**more), STATIC, 0)

    refused("optimizer='lion' is unknown; give one of sgd, adam", optimizer="lion")
    refused("train is a ndarray; give a tuple", train=data(0)[0])
    refused(r"the arrays of train have \[49, 50\] examples", train=(data(0)[0], data(0)[1][1:]))
    refused(
        r"train\[1\] cannot be converted to a tensor: can't convert np.ndarray of type numpy.str_",
        train=(data(0)[0], np.full(EXAMPLES, "a")),
    )
    refused(
        r"loss returns a tensor of shape \(16,\)", loss=lambda outputs, labels: outputs.mean(dim=1)
    )
    refused(
        r"evaluate returns x=a tensor of shape \(3,\)",
        evaluate=lambda outputs, labels: {"x": outputs[0]},
    )
    refused(
        "evaluate returns x=a float; return a dict of scalar tensors, without .item",
        evaluate=lambda outputs, labels: {"x": 1.0},
    )
    refused(
        r"evaluate returns a tensor of shape \(\) and type float64",
        evaluate=lambda outputs, labels: outputs.mean(),
    )
    refused(
        "loss or evaluate cannot be called",
        evaluate=lambda outputs, labels: outputs @ outputs,
    )


def reports_configuration(outputs: Any, labels: Any, config: Mapping[str, Any]) -> dict[str, Any]:
    """Report what the configuration holds; static hyperparameters are no tensors, the optimizer's
    are scalar ones.
    """
    static = {name: outputs.new_tensor(config[name]) for name in ("width", "batch")}
    numbers = {name: number + 0.0 for name, number in config.items() if name not in static}
    return {**scores(outputs, labels), **static, **numbers}


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
def test_evaluate_receives_the_configuration_of_each_lane(optimizer: str, dtype: Any) -> None:
    types = set()

    def evaluate(outputs: Any, labels: Any, config: Mapping[str, Any]) -> dict[str, Any]:
        types.add(
            (type(config["width"]), config["learning_rate"].dtype, config["learning_rate"].shape)
        )
        return reports_configuration(outputs, labels, config)

    given = {"optimizer": optimizer, "train": data(0, dtype), "validation": data(1, dtype)}
    lanes = LANES[optimizer]
    defaults = {
        name: value for name, value in rule(optimizer).defaults.items() if value is not None
    }
    _, (plain,) = trained(recipe(**given), lanes, [0, 3])
    _, (together,) = trained(recipe(evaluate=evaluate, **given), lanes, [0, 3])
    _, (alone,) = trained(recipe(evaluate=evaluate, **given), lanes[:1], [0, 3])
    assert types == {(int, getattr(torch, np.dtype(dtype).name), ())}
    assert together.metrics.keys() == {
        "loss",
        "accuracy",
        *dict(STATIC),
        "learning_rate",
        *defaults,
    }
    np.testing.assert_array_equal(together.metrics["loss"], plain.metrics["loss"])
    for number, lane in enumerate(lanes):
        for name, value in {**defaults, **lane, **dict(STATIC)}.items():
            assert together.metrics[name][:, number].tolist() == [float(dtype(value))] * 3
    for name, value in {**defaults, **lanes[0], **dict(STATIC)}.items():
        assert alone.metrics[name][:, 0].tolist() == [float(dtype(value))] * 3


def test_a_torch_configuration_is_split_into_static_and_lane_values() -> None:
    given = recipe()
    parted = given.split({"learning_rate": 1, "width": 8, "batch": 2})
    assert parted == ((("width", 8), ("batch", 2)), {"learning_rate": 1.0})
    with pytest.raises(ObjectiveError):
        given.split({"learning_rate": "fast", "width": 8, "batch": 2})
    with pytest.raises(InvalidConfiguration):
        given.split({"learning_rate": float("inf"), "width": 8, "batch": 2})
    with pytest.raises(ObjectiveError):
        TorchShape(given, (("width", 8), ("batch", 0)), 0)
