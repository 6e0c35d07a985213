"""Samplers of Optuna as users may write them, for the searches that name them."""

from typing import Any

from optuna.samplers import BaseSampler, RandomSampler

SEEN: list[list[tuple[str, dict[str, Any], list[float] | None]]] = []
"""What each proposal of a :class:`Recording` saw: state, parameters and values of each trial."""
DISTRIBUTIONS: dict[str, Any] = {}


class Recording(BaseSampler):
    """Draws at random, and writes down what it is shown."""

    def __init__(self, note: str = "", seed: int | None = None) -> None:
        self.remark = note
        self._random = RandomSampler(seed=seed)

    def infer_relative_search_space(self, study: Any, trial: Any) -> dict[str, Any]:
        others = [one for one in study.get_trials(deepcopy=False) if one.number != trial.number]
        SEEN.append([(one.state.name, one.params, one.values) for one in others])
        for one in others:
            DISTRIBUTIONS.update(one.distributions)
        return {}

    def sample_relative(self, study: Any, trial: Any, search_space: Any) -> dict[str, Any]:
        return {}

    def sample_independent(
        self, study: Any, trial: Any, param_name: str, param_distribution: Any
    ) -> Any:
        return self._random.sample_independent(study, trial, param_name, param_distribution)


class Raising(Recording):
    """Raises once it is shown twelve trials."""

    def infer_relative_search_space(self, study: Any, trial: Any) -> dict[str, Any]:
        if trial.number >= 12:
            raise ZeroDivisionError("twelve")
        return {}


class Seedless(Recording):
    def __init__(self) -> None:
        super().__init__()
