"""A baseline: random configurations for one epoch each, then full trainings of the best of them.

Until half of the time is used, each worker trains one new random configuration after another for
resource 1. Then it trains its own configurations from the start to the top, in the order of their
validation losses at resource 1.
"""

import json
import sys
import time

from ashtune._src.search.random import Random
from ashtune._src.space.space import Space
from quality.runs import Report
from quality.tasks import task as load
from quality.tuners import Outcome, Setting
from quality.tuners.notes import begin, first_training, in_processes, note


def in_wall_time(_: str, setting: Setting) -> Outcome:
    """Run one process for each worker."""
    given, now = json.dumps(setting), str(time.time())
    return in_processes(
        "quality.tuners.one_epoch", [[given, str(n), now] for n in range(setting.workers)], setting
    )


def in_virtual_time(_: str, setting: Setting) -> Outcome:
    """Run one worker after another in this process."""
    found = [each for worker in range(setting.workers) for each in _work(setting, worker)]
    return Outcome(found, sum(each.resource == 1 for each in found), 0.0)


def _work(setting: Setting, worker: int, began: float | None = None) -> list[Report]:
    """Train the configurations of a worker; ``began`` is the begin of the time, or None for virtual
    time.
    """
    task, found, now = load(setting.task, setting.data), list[Report](), 0.0
    design = Random().build(Space.parse(dict(task.space)), setting.seed)

    def loss(number: int, target: int) -> float:
        nonlocal now
        before = time.process_time()
        state = task.train(design.configuration(number), None, 0, target)
        now += target * setting.unit or time.process_time() - before
        losses = task.losses(state)
        if began is not None:
            now = time.time() - began
            note(setting.folder, number, target, losses)
        found.append(Report(now, target, *losses))
        return losses[0]

    first: list[tuple[float, int]] = []
    while now < setting.seconds / 2:
        number = worker + len(first) * setting.workers
        first.append((loss(number, 1), number))
    for _, number in sorted(first):
        if now < setting.seconds:
            loss(number, task.top)
    return found


if __name__ == "__main__":
    _setting = Setting(*json.loads(sys.argv[1]))
    load(_setting.task, _setting.data)
    begin(_setting.folder)
    _work(
        _setting,
        int(sys.argv[2]),
        first_training(_setting.folder) if _setting.is_started else float(sys.argv[3]),
    )
