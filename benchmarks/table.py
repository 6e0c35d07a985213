"""What the benchmarks share: a table on stdout, the same as JSON in a file, the machine's name, and
the folder of data that the command line names.
"""

import argparse
import json
import platform
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any


def machine() -> str:
    """Return the processor and Python that a figure was measured on."""
    model = platform.processor() or platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        names = [
            line.split(":", 1)[1].strip()
            for line in cpuinfo.read_text().splitlines()
            if "model name" in line
        ]
        model = f"{len(names)} x {names[0]}" if names else model
    return f"{model}, Python {platform.python_version()}"


_shown: list[dict[str, Any]] = []


def show(title: str, columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    """Print a table, and write all of this run's so far as JSON to the file that --json names."""
    texts = [list(columns)] + [[text(value) for value in row] for row in rows]
    widths = [max(len(row[column]) for row in texts) for column in range(len(columns))]
    print(f"{title}\n{machine()}\n")
    for number, row in enumerate(texts):
        print("  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True)))
        if number == 0:
            print("  ".join("-" * width for width in widths))
    print()
    _shown.append({"title": title, "rows": [dict(zip(columns, row, strict=True)) for row in rows]})
    if "--json" in sys.argv:
        path = Path(sys.argv[sys.argv.index("--json") + 1])
        path.write_text(json.dumps({"machine": machine(), "tables": _shown}, indent=1))


def data_folder(name: str) -> Path:
    """Return a folder of data, whole; for argparse, which refuses one that is not there."""
    if not Path(name).is_dir():
        raise argparse.ArgumentTypeError(
            f"there is no folder {name}; give the one that has the data which --help describes"
        )
    return Path(name).resolve()


def text(value: Any) -> str:
    """Return a value as a cell of a table: three digits of a float, commas in large numbers."""
    if isinstance(value, float):
        return f"{value:,.3g}" if abs(value) < 100 else f"{value:,.0f}"
    return f"{value:,}" if isinstance(value, int) else str(value)
