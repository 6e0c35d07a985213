"""States of lanes: dicts of tensors, or of numpy's arrays, whose first axis counts lanes."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import torch

from ashtune.training.fused.protocol import State
from ashtune.training.fused.torch.optimizers import Tensors


def repeated(found: Tensors, lanes: int) -> Tensors:
    """Return the tensors of one lane as those of several."""
    return {name: torch.stack([tensor] * lanes) for name, tensor in found.items()}


def joined(states: Sequence[State]) -> State:
    """Return states of one structure as one, joined along the first axis."""
    if isinstance(states[0], Mapping):
        return {name: joined([state[name] for state in states]) for name in states[0]}
    return np.concatenate([np.asarray(state) for state in states])


def copied(state: State) -> State:
    """Return a state of the same structure in tensors of its own."""
    if isinstance(state, Mapping):
        return {name: copied(part) for name, part in state.items()}
    return state.clone() if torch.is_tensor(state) else torch.tensor(state, device="cpu")


def finite_lanes(state: State) -> Any:
    """Return for each lane whether all its numbers are finite: (lanes,)."""
    flags = [leaf.isfinite().reshape(len(leaf), -1).all(dim=1) for leaf in leaves(state) if leaf.is_floating_point()]
    return torch.stack(flags).all(dim=0).numpy()


def leaves(state: State) -> Iterator[Any]:
    """Yield the arrays of a state."""
    if isinstance(state, Mapping):
        for part in state.values():
            yield from leaves(part)
    else:
        yield state


def bytes_of(state: State) -> int:
    """Return what a state takes of memory."""
    return sum(int(leaf.nbytes) for leaf in leaves(state))
