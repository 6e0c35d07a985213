"""Libraries of networks in fused studies: two workers train what either has compiled and saved."""

import os
import re
import subprocess
import textwrap
from collections import defaultdict
from importlib.util import find_spec
from pathlib import Path

import pytest

import ashtune
from ashtune._src.core.events import JobFinished
from ashtune._src.study.journal import NAME, read_events
from tests import ROOT
from tests.helpers.launching import PYTHON

pytestmark = pytest.mark.thorough

pytest.importorskip("jax", reason="JAX is not installed")
EQUINOX = """
    import equinox as eqx
    import jax
    import jax.numpy as jnp
    import optax

    def scaled(x):
        return SCALE * jnp.tanh(x)

    class Net(eqx.Module):
        below: eqx.nn.Linear
        above: eqx.nn.Linear
        activation: callable = eqx.field(static=True)
        scale: jax.Array
        name: str = eqx.field(static=True, default="net")

        def __init__(self, width, key):
            below, above = jax.random.split(key)
            self.below = eqx.nn.Linear(4, width, key=below)
            self.above = eqx.nn.Linear(width, 1, key=above)
            self.activation = scaled
            self.scale = jnp.ones(())

        def __call__(self, x):
            return self.scale * self.above(self.activation(self.below(x)))[0]

    SCALE = 1.0
"""
EQUINOX_STUDY = """
    from functools import partial

    def optimizer(rate):
        return optax.adam(rate)

    def init(key, config):
        net = Net(config["width"], key)
        parameters, fixed = eqx.partition(net, eqx.is_inexact_array)
        return net, optimizer(0.1).init(parameters)

    def loss(net, batch):
        x, y = batch
        return ((jax.vmap(net)(x) - y) ** 2).mean()

    def step(state, batch, config):
        net, kept = state
        slope = eqx.filter_grad(loss)(net, batch)
        change, kept = optimizer(config["rate"]).update(slope, kept, eqx.filter(net, eqx.is_inexact_array))
        return (eqx.apply_updates(net, change), kept), {}

    def evaluate(state, data):
        return {"loss": loss(state[0], data)}
"""
FLAX = """
    from typing import Any

    import flax.linen as nn
    import jax
    import jax.numpy as jnp
    from flax.training import train_state

    class Net(nn.Module):
        width: int

        @nn.compact
        def __call__(self, x):
            return nn.Dense(1)(nn.tanh(nn.Dense(self.width)(x)))[:, 0]

    class MeanState(train_state.TrainState):
        mean: Any

"""
FLAX_STUDY = """
    import optax

    def init(key, config):
        net = Net(config["width"])
        weights = net.init(key, jnp.zeros((1, 4)))
        optimizer = optax.inject_hyperparams(optax.sgd)(learning_rate=0.1, momentum=0.5)
        return MeanState.create(apply_fn=net.apply, params=weights, tx=optimizer, mean=jnp.zeros(()))

    def loss(weights, state, batch):
        x, y = batch
        return ((state.apply_fn(weights, x) - y) ** 2).mean()

    def step(state, batch, config):
        state.opt_state.hyperparams["learning_rate"] = config["rate"]
        slope = jax.grad(loss)(state.params, state, batch)
        return state.apply_gradients(grads=slope, mean=0.9 * state.mean + 0.1 * batch[1].mean()), {}

    def evaluate(state, data, config):
        return {"loss": loss(state.params, state, data) + 0 * config["rate"] + 0 * config["width"]}
"""
NNX = """
    import jax
    import jax.numpy as jnp
    import optax
    from flax import nnx

    class Net(nnx.Module):
        def __init__(self, width, rngs):
            self.below = nnx.Linear(4, width, rngs=rngs)
            self.above = nnx.Linear(width, 1, rngs=rngs)

        def __call__(self, x):
            return self.above(jnp.tanh(self.below(x)))[:, 0]

    def init(key, config):
        graph, state = nnx.split(Net(config["width"], nnx.Rngs(params=key)), nnx.Param)
        return graph, state, optax.sgd(0.1).init(state)

    def loss(state, graph, batch):
        x, y = batch
        return ((nnx.merge(graph, state)(x) - y) ** 2).mean()

    def step(state, batch, config):
        graph, weights, kept = state
        slope = jax.grad(loss)(weights, graph, batch)
        change, kept = optax.sgd(config["rate"]).update(slope, kept)
        return (graph, optax.apply_updates(weights, change), kept), {}

    def evaluate(state, data):
        return {"loss": loss(state[1], state[0], data)}
"""
HAIKU = """
    import haiku as hk
    import jax
    import jax.numpy as jnp
    import optax

    class Net(hk.Module):
        def __init__(self, width):
            super().__init__()
            self.width = width

        def __call__(self, x):
            return hk.Linear(1)(jnp.tanh(hk.Linear(self.width)(x)))[:, 0]

    def net(config):
        return hk.without_apply_rng(hk.transform(lambda x: Net(config["width"])(x)))

    def init(key, config):
        return net(config).init(key, jnp.zeros((1, 4)))

    def loss(weights, batch, config):
        x, y = batch
        return ((net(config).apply(weights, x) - y) ** 2).mean()

    def step(weights, batch, config):
        slope = jax.grad(loss)(weights, batch, config)
        change, _ = optax.sgd(config["rate"]).update(slope, optax.sgd(0.1).init(weights))
        return optax.apply_updates(weights, change), {}

    def evaluate(weights, data, config):
        return {"loss": loss(weights, data, config)}
"""
STUDY = """
    import os
    import sys

    import numpy as np

    import ashtune

    sys.path.append(os.environ["ROOT"])
    from tests.helpers.joined import all_join

    x = np.random.default_rng(0).normal(size=(120, 4)).astype("float32")
    y = np.tanh(x @ np.array([1.0, -2.0, 0.5, 0.0], "float32"))
    objective = ashtune.fused(
        init, step, evaluate, train=(x[:100], y[:100]), validation=(x[100:], y[100:]), batch_size=10, static=["width"]
    )
    with all_join(2):
        ashtune.tune(
            objective, {"rate": (0.001, 0.05), "width": [3]}, metric="loss", mode="min", trials=24, max_resource=8,
            workers=2, directory=os.environ["STUDY"], quiet=True,
        )
"""
NETS = {"equinox": EQUINOX, "flax": FLAX}
"""The module beside the script, where classes whose creation runs code have to stand."""
SCRIPTS = {
    "equinox": ["from nets import *; from nets import Net, eqx, optax, jax", EQUINOX_STUDY, STUDY],
    "flax": ["from nets import *; from nets import MeanState, Net, jax, jnp", FLAX_STUDY, STUDY],
    "flax.nnx": [NNX, STUDY],
    "haiku": [HAIKU, STUDY],
}


@pytest.mark.timeout(300)
@pytest.mark.parametrize("library", SCRIPTS)
def test_fused_models_of_each_library_work_with_shared_programs_and_checkpoints(
    library: str, tmp_path: Path
) -> None:
    for needed in (re.split(r"\W", library)[0], "optax"):
        if find_spec(needed) is None:
            pytest.skip(f"{needed} is not installed")
    study = tmp_path / "study"
    (tmp_path / "nets.py").write_text(textwrap.dedent(NETS.get(library, "")))
    (tmp_path / "script.py").write_text(
        "\n".join(textwrap.dedent(part) for part in SCRIPTS[library])
    )
    environment = {
        **os.environ,
        "STUDY": str(study),
        "ROOT": str(ROOT),
        "XDG_CACHE_HOME": str(tmp_path / "cache"),
    }
    command = [PYTHON, str(tmp_path / "script.py")]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    events = list(read_events(study / NAME))
    assert [event.reason for event in events if hasattr(event, "reason")] == []
    assert [event.problem for event in events if getattr(event, "problem", "")] == []
    finished = [event for event in events if isinstance(event, JobFinished)]
    trained_by = defaultdict(set)
    for event in finished:
        trained_by[event.worker].add(event.trial)
    assert len(trained_by) == 2, "each of two workers has trained"
    assert len(list((tmp_path / "cache" / "ashtune" / "programs").iterdir())) >= 2, (
        "one wrote programs for both"
    )
    curves = ashtune.Study.load(study).curves_dataframe()
    for trial, curve in curves.groupby("trial"):
        assert list(curve.resource) == list(range(1, len(curve) + 1)), trial
