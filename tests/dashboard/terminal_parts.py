"""Parts of a study for tests of the terminal page, as the page is sent them: plain values, written by hand."""

from collections.abc import Iterator
from typing import Any

from rich.cells import cell_len
from rich.text import Text

HOSTILE = "[b]pwned[/b][@click=app.quit]x[/]</script>\x1b[31m\x1b]0;title\x07\r\n\u202eabc\u2028漢字漢字漢字漢字👩‍👩‍👧"
"""A name that would recolour a terminal, become markup of Textual, end a line, or take more cells than it was given."""


def head(**changes: Any) -> dict[str, Any]:
    return {
        "name": "digits", "directory": "runs/digits", "unit": "epoch", "scheduler": "ash", "search": "gp",
        "objectives": [{"metric": "accuracy", "mode": "max"}],
        "state": "running", "state_text": "running", "problem": "",
        "now": 723.0, "wall_seconds": 723.0, "started": 160, "tried": 143, "failed": 3, "withdrawn": 1, "running": 8,
        "trials_wanted": 256, "epochs": 1204, "sessions": 1,
        "best": {"trial": 97, "rung": 3, "resource": 27, "metrics": {"accuracy": 0.9866, "size": 5}, "origin": "gp"},
        "utilisation": 0.97, "workers": 8, "busy": 8,
        "remaining": {"text": "143 of 256 trials, 4 min 12 s left", "seconds": 252.0},
        "driver": {"host": "laptop", "pid": 4711, "is_alive": True, "quiet_seconds": 0.2}, "control": False,
        "paused": False, "is_reading": 1.0, "catching_up": 1.0,
    } | changes  # fmt: skip


def rung(resource: int, arrived: int, **changes: Any) -> dict[str, Any]:
    return {
        "resource": resource, "arrived": arrived, "running": 2, "promoted": arrived // 3, "expected": 3 * arrived // 2,
        "expected_text": f"{arrived} to {2 * arrived}",
        "failed": 0, "best": 0.9 + resource / 1000, "quartiles": [0.4, 0.6, 0.8], "seconds": 12.5 * resource,
    } | changes  # fmt: skip


def ladder(**changes: Any) -> dict[str, Any]:
    rungs = [rung(1, 120, failed=3), rung(3, 40), rung(9, 13), rung(27, 4, promoted=0)]
    return {"rungs": rungs, "quota_text": "a trial goes on while it is among the best third of its rung"} | changes


def best(**changes: Any) -> dict[str, Any]:
    values = [0.5, 0.7, 0.9, 0.95, 0.9866]
    results = {
        "time": [5.0, 60.0, 100.0, 400.0],
        "value": [0.6, 0.8, None, 0.97],
        "rung": [0, 1, 0, 3],
        "trial": [1, 2, 3, 4],
    }
    steps: dict[str, Any] = {"values": {"accuracy": values}, "trial": [1, 2, 3, 4, 97], "rung": [0, 0, 1, 2, 3]}
    time, resource = [5.0, 50.0, 120.0, 300.0, 600.0], [1, 20, 90, 400, 1000]
    at_highest = {name: column[-1:] for name, column in steps.items() if name != "values"}
    at_highest["values"] = {"accuracy": values[-1:]}
    return {
        "over_time": {"time": time, **steps},
        "over_resource": {"resource": resource, **steps},
        "over_time_at_highest": {"time": time[-1:], **at_highest},
        "over_resource_at_highest": {"resource": resource[-1:], **at_highest},
        "results": results,
    } | changes


def workers(count: int = 8, **changes: Any) -> dict[str, Any]:
    lanes = [{"worker": lane, "host": "laptop", "place": lane, "is_there": True} for lane in range(count)]
    spans: dict[str, list[Any]] = {name: [] for name in ("lane", "begin", "end", "kind", "rung", "trial", "ending")}
    for lane in range(count):
        for step in range(10):
            ending = "failed" if (lane, step) == (1, 4) else "finished"
            row = (
                lane,
                603.0 + 12 * step,
                603.0 + 12 * step + 11,
                1 if step == 7 else 0,
                step % 4,
                8 * step + lane,
                ending,
            )
            for name, value in zip(spans, row, strict=True):
                spans[name].append(value)
    return {
        "window": [603.0, 723.0], "lanes": lanes, "spans": spans, "left_out": 0,
        "utilisation": {"time": [float(t) for t in range(0, 720, 10)], "share": [0.5 + t / 150 for t in range(72)]},
        "shares": {"training": 0.93, "saving": 0.02, "compiling": 0.0, "driver": 0.01, "barrier": 0.04, "tail": 0.0},
    } | changes  # fmt: skip


def curves(**changes: Any) -> dict[str, Any]:
    shown = [
        {"trial": 3 * n, "kind": "sampled", "resource": [1, 2, 3], "value": [0.1 * n, None, 0.12 * n]} for n in range(5)
    ]
    shown.append({"trial": 97, "kind": "best", "resource": [1, 3, 9, 27], "value": [0.5, 0.7, 0.9, 0.9866]})
    return {"curves": shown, "metric": "accuracy"} | changes


def failures(**changes: Any) -> dict[str, Any]:
    traceback = 'Traceback (most recent call last):\n  File "train.py", line 7, in train\nValueError: no such layer'
    groups = [
        {"kind": "failed", "reason": "ValueError: no such layer", "count": 3, "trial": 12, "rung": 0,
         "traceback": traceback, "in_common": "3 of 3 with solver = lbfgs, 0 of 40 others"},
        {"kind": "withdrawn", "reason": "too large", "count": 1, "trial": 30, "rung": 0, "traceback": "",
         "in_common": ""},
    ]  # fmt: skip
    return {"groups": groups, "total": 4} | changes


def notes(**changes: Any) -> dict[str, Any]:
    return {
        "scheduler": "", "search": "a model of 131 results proposes",
        "sources": {"model": 100, "mutation": 0, "random": 43, "enqueued": 0, "other": 0},
        "promoted_share": {"model": 0.4, "mutation": None, "random": 0.2, "enqueued": None, "other": None},
        "why": [{"time": 10.0 * n, "text": f"trial {n} went on to 9 epochs: 2nd of 31, quota 10"} for n in range(30)],
    } | changes  # fmt: skip


def table(count: int = 40, **changes: Any) -> dict[str, Any]:
    statuses = ("running", "paused", "trained to the top", "failed", "withdrawn", "ended early")
    rows = [
        {
            "trial": n, "status": statuses[n % 6], "rung": n % 4 if n % 5 else None, "resource": 3 ** (n % 4),
            "value": 0.99 - n / 100 if n % 5 else None, "metrics": {}, "seconds": 1.5 * n, "origin": "gp, 40 results",
            "configuration": {"rate": 0.01 * n, "activation": "relu"},
        }
        for n in range(count)
    ]  # fmt: skip
    return {"total": count, "matching": count, "columns": ["rate", "activation"], "rows": rows} | changes


def trial(**changes: Any) -> dict[str, Any]:
    curve = {"accuracy": {"resource": [1, 2, 3], "value": [0.2, None, 0.4]}}
    return {
        "trial": 12, "status": "failed", "rung": 1, "resource": 3, "metrics": {"accuracy": 0.4}, "seconds": 4.5,
        "origin": "gp, 40 results", "reason": "ValueError: no such layer", "traceback": "Traceback\n  line 7",
        "configuration": [{"name": "rate", "value": 0.1, "best_value": 0.02}], "curve": curve,
        "best_curve": {"accuracy": {"resource": [1, 3, 27], "value": [0.5, 0.7, 0.9866]}}, "log": "epoch 1\r\tdone\n",
        "log_is_cut": False, "checkpoints": [{"resource": 3, "bytes": 4096}],
        "history": [{"time": 1.0, "text": "began"}],
    } | changes  # fmt: skip


def all_parts(**changes: Any) -> dict[str, dict[str, Any]]:
    return {
        "head": head(), "ladder": ladder(), "best": best(), "workers": workers(), "curves": curves(),
        "failures": failures(), "notes": notes(),
    } | changes  # fmt: skip


def poisoned(value: Any) -> Any:
    """Return a part with ``HOSTILE`` in place of every text but those that the contract fixes."""
    if isinstance(value, dict):
        kept = ("state", "kind", "status", "mode", "ending")
        return {name: each if name in kept else poisoned(each) for name, each in value.items()}
    if isinstance(value, list):
        return [poisoned(each) for each in value]
    return HOSTILE if isinstance(value, str) else value


def faults_of(lines: list[Text], width: int, height: int) -> Iterator[str]:
    """Yield what is wrong with lines that were to be ``width`` cells wide and ``height`` rows high."""
    if len(lines) > height:
        yield f"{len(lines)} lines where there is room for {height}"
    for line in lines:
        if cell_len(line.plain) > width:
            yield f"{cell_len(line.plain)} cells where there is room for {width}: {line.plain!r}"
        if not all(letter.isprintable() for letter in line.plain):
            yield f"not only text: {line.plain!r}"
