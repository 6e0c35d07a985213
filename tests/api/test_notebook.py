"""In a notebook: the display is one output that is drawn anew, and what is returned is shown as a table."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("nbclient", reason="needs nbclient and ipykernel: pip install 'ashtune[test]'")
pytest.importorskip("ipykernel", reason="needs nbclient and ipykernel: pip install 'ashtune[test]'")

EXECUTE = """
import json, sys
import nbformat
from nbclient import NotebookClient

cells = json.load(sys.stdin)
notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])
client = NotebookClient(notebook, timeout=100, kernel_name="python3")
updates = []
process = client.process_message

def counting(message, cell, index):
    if message["msg_type"] == "update_display_data":
        updates.append(index)
    return process(message, cell, index)

client.process_message = counting
client.execute()
json.dump({"cells": [cell.outputs for cell in notebook.cells], "updates": updates}, sys.stdout)
"""
TRAIN = """
import ashtune

def train(trial):
    print("trial", trial.number, "begins at", trial.start)
    for epoch in trial.epochs():
        trial.report(score=trial["x"] * epoch)
    trial.save(epoch)
"""
TUNE = """
print("before")
study = ashtune.tune(train, {"x": (0.0, 1.0)}, metric="score", mode="max", trials=16, max_resource=4, workers=2,
                     search="random", directory="study")
print("after")
"""


def executed(folder: Path, *cells: str) -> dict[str, Any]:
    homes = {name: str(folder / name) for name in ("IPYTHONDIR", "JUPYTER_CONFIG_DIR", "JUPYTER_RUNTIME_DIR")}
    done = subprocess.run(
        [sys.executable, "-c", EXECUTE],
        input=json.dumps(cells),
        cwd=folder,
        env=os.environ | homes,
        capture_output=True,
        text=True,
        check=False,
        timeout=110,
    )
    assert done.returncode == 0, done.stderr
    printed: dict[str, Any] = json.loads(done.stdout)
    return printed


def test_a_study_in_a_notebook_is_one_output_drawn_anew(tmp_path: Path) -> None:
    printed = executed(tmp_path, TRAIN, TUNE, "study.best", "study.top(2)", "study.report()")
    outputs = printed["cells"][1]
    assert [output["output_type"] for output in outputs] == ["stream", "display_data", "stream"]
    assert [outputs[0]["text"], outputs[2]["text"]] == ["before\n", "after\n"]  # the cell's own; no trial's
    html, text = (outputs[1]["data"][kind] for kind in ("text/html", "text/plain"))
    assert html.startswith("<pre")
    for shown in (html, text):
        assert "16 of 16 trials" in shown
        assert "study.log(trial) reads it" in shown
        assert "\x1b" not in shown
    assert str(tmp_path / "study" / "logs") in text
    assert 1 in printed["updates"]
    (best,) = printed["cells"][2]
    assert "<table>" in best["data"]["text/html"]
    (top,) = printed["cells"][3]
    assert top["data"]["text/plain"].count("score=") == 2
    (report,) = printed["cells"][4]
    assert report["name"] == "stdout"
    assert "time by rung" in report["text"]


def test_quiet_is_quiet_in_a_notebook_too(tmp_path: Path) -> None:
    printed = executed(tmp_path, TRAIN, TUNE.replace('directory="study"', 'directory="study", quiet=True'))
    outputs = printed["cells"][1]
    assert [(output["output_type"], output["name"]) for output in outputs] == [("stream", "stdout")] * len(outputs)
    assert "".join(output["text"] for output in outputs) == "before\nafter\n"
