"""Run benchmarks and write ``docs/benchmarks.md`` from what they print: date, processor and commit
beside each table.

Every benchmark writes its tables as JSON where ``--json`` says. This keeps each script's in
``benchmarks/results/`` and makes the page of all that are there. A figure of
``benchmarks/results/earlier.md`` stands on the page until its script has a file of its own. A few
tables stand on ``docs/guide/compared.md`` too, between comments that name them.

    python benchmarks/page.py                       run all, then write the page
    python benchmarks/page.py decisions busy        run these two, then write the page
    python benchmarks/page.py --only-write          write the page from the files that are there

    --curves FOLDER, --mnist FOLDER, --surrogate FOLDER, --published FOLDER, --data FOLDER
                                                    data of the scripts that read some; without it
                                                    they are left out

All of them take about an hour and a half on a quiet machine, and boosters hours more. One that
fails is named at the end, and its last results stay.
"""

import argparse
import json
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from table import machine, text

BENCHMARKS = Path(__file__).parent
RESULTS = BENCHMARKS / "results"
EARLIER = "earlier.md"
PAGE = BENCHMARKS.parent / "docs" / "benchmarks.md"
COMPARED = BENCHMARKS.parent / "docs" / "guide" / "compared.md"
DATA = {
    "enough": "curves", "real_curves": "curves", "regret": "curves", "whatif_honesty": "curves",
    "fused_mnist": "mnist",
    "priors": "surrogate", "search_surrogate": "surrogate", "expected": "surrogate",
    "search_quality": "data",
    "scikit_learn": "data", "boosters": "data", "importance": "data",
    "yahpo": "surrogate published",
    "warm_start": "surrogate",
}  # fmt: skip
"""Scripts whose first arguments are folders of data, and the options that name them."""
SUMMARIES = ("geometric mean", "worst")
"""First cells of rows that stand for all others of their table; the page leaves the others out."""
HEAD = """# Benchmarks

Written by `make benchmarks-page` (`benchmarks/page.py`); do not edit it by hand. Each script
compares within one run, as the speed of a shared machine changes by up to 2 times within minutes,
and its docstring says what is measured and what is claimed. `python benchmarks/NAME.py` runs one
by itself, `python benchmarks/page.py NAME` puts it on this page.
"""


class Record(NamedTuple):
    """The results of one script, as its file in ``benchmarks/results/`` holds them."""

    script: str
    date: str
    commit: str
    machine: str
    tables: list[dict[str, Any]]


def scripts(folder: Path = BENCHMARKS) -> list[str]:
    """Return the names of the benchmarks that can be run by themselves and write JSON."""
    sources = {
        path.stem: path.read_text()
        for path in folder.glob("*.py")
        if path.stem != Path(__file__).stem
    }
    return sorted(
        name
        for name, source in sources.items()
        if '__name__ == "__main__"' in source and "--json" in source
    )


def measured(name: str, arguments: Sequence[str] = ()) -> Record:
    """Run a benchmark and return what it wrote.

    Raises:
        subprocess.CalledProcessError: If it ends with another status than 0, as where a claim does
            not hold.
    """
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "tables.json")
        command = [sys.executable, str(BENCHMARKS / f"{name}.py"), *arguments, "--json", str(file)]
        subprocess.run(command, check=True)
        written = json.loads(file.read_text())
    if isinstance(written, list):  # the rows of a single table
        written = {"machine": machine(), "tables": [{"title": "", "rows": written}]}
    return Record(name, time.strftime("%Y-%m-%d"), commit(), written["machine"], written["tables"])


def commit() -> str:
    """Return the commit that is measured, with a mark where files differ from it."""
    described = [
        "git",
        "-C",
        str(BENCHMARKS),
        "describe",
        "--always",
        "--dirty=, changed since",
        "--exclude=*",
    ]
    return subprocess.run(described, capture_output=True, text=True, check=True).stdout.strip()


def page(records: Iterable[Record], earlier: str, subjects: Mapping[str, str]) -> str:
    """Return the page in Markdown.

    Args:
        records: The results that there are, in the order of the page.
        earlier: A table in Markdown whose last column names scripts; rows of scripts that have a
            record are left out.
        subjects: What each script measures, by its name.
    """
    parts = [HEAD]
    names = set()
    for record in records:
        names.add(record.script)
        parts.append(f"## {subjects.get(record.script, record.script)}\n")
        parts.append(f"{_origin(record)}\n")
        parts.extend(_table(table) for table in record.tables)
    rows = [
        row for row in earlier.splitlines(keepends=True) if not names.intersection(_scripts_of(row))
    ]
    if any(_scripts_of(row) for row in rows):
        parts.append("".join(rows))
    return "\n".join(parts)


def with_tables(text: str, records: Iterable[Record]) -> str:
    """Return a text in which ``<!-- table SCRIPT NUMBER -->`` and ``<!-- end -->`` enclose that
    script's table, and where it comes from.
    """
    by_script = {record.script: record for record in records}

    def table(found: re.Match[str]) -> str:
        start, script, number, end = found.groups()
        record = by_script[script]
        rows = _table(record.tables[int(number)] | {"title": ""})
        return f"{start}\n{rows}\n{_origin(record)}\n{end}"

    return re.sub(r"(<!-- table (\w+) (\d+) -->).*?(<!-- end -->)", table, text, flags=re.DOTALL)


def _origin(record: Record) -> str:
    return (
        f"`benchmarks/{record.script}.py`, {record.date}, commit {record.commit}, {record.machine}."
    )


def _scripts_of(row: str) -> list[str]:
    last = row.rstrip().rstrip("|").rpartition("|")[2] if row.startswith("|") else ""
    return re.findall(r"`benchmarks/(\w+)\.py`", last)


def _table(table: Mapping[str, Any]) -> str:
    columns = list(table["rows"][0]) if table["rows"] else []
    lines = [
        f"{table['title']}\n" if table["title"] else "",
        _row(columns),
        _row(["---"] * len(columns)),
    ]
    summaries = [row for row in table["rows"] if row[columns[0]] in SUMMARIES]
    lines += [_row(text(row[column]) for column in columns) for row in summaries or table["rows"]]
    return "\n".join(lines).lstrip("\n") + "\n"


def _row(cells: Iterable[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def _read(folder: Path) -> list[Record]:
    return [Record(**json.loads(path.read_text())) for path in sorted(folder.glob("*.json"))]


def _subject(name: str) -> str:
    docstring = (BENCHMARKS / f"{name}.py").read_text().split('"""')[1]
    return " ".join(docstring.partition("\n\n")[0].split()).rstrip(".")


def main() -> int:
    """Run what is asked for and write the page."""
    parser = argparse.ArgumentParser(description="Run benchmarks and write docs/benchmarks.md.")
    parser.add_argument(
        "names", nargs="*", metavar="NAME", help="benchmarks to run; all by default"
    )
    parser.add_argument("--only-write", action="store_true", help="run nothing")
    parser.add_argument("--curves", metavar="FOLDER", help="for real_curves and whatif_honesty")
    parser.add_argument("--mnist", metavar="FOLDER", help="for fused_mnist")
    parser.add_argument(
        "--surrogate",
        metavar="FOLDER",
        help="for search_surrogate, priors, expected, warm_start and yahpo",
    )
    parser.add_argument("--published", metavar="FOLDER", help="for yahpo")
    parser.add_argument(
        "--data", metavar="FOLDER", help="for search_quality, scikit_learn, boosters and importance"
    )
    options = parser.parse_args()
    known = scripts()
    if unknown := sorted(set(options.names) - set(known)):
        parser.error(f"no benchmark {', '.join(unknown)}; there are {', '.join(known)}")
    failed = []
    for name in [] if options.only_write else options.names or known:
        needed = DATA.get(name, "").split()
        folders = [folder for each in needed if (folder := getattr(options, each)) is not None]
        if len(folders) < len(needed):
            print(
                f"{name} is left out: it needs a folder for --{' and --'.join(needed)}",
                file=sys.stderr,
            )
            continue
        print(f"== {name}", flush=True)
        try:
            record = measured(name, folders)
        except (subprocess.CalledProcessError, OSError, ValueError) as error:
            print(error, file=sys.stderr)
            failed.append(name)
            continue
        (RESULTS / f"{name}.json").write_text(json.dumps(record._asdict(), indent=1) + "\n")
    records = _read(RESULTS)
    PAGE.write_text(
        page(
            records,
            (RESULTS / EARLIER).read_text(),
            {r.script: _subject(r.script) for r in records},
        )
    )
    COMPARED.write_text(with_tables(COMPARED.read_text(), records))
    if failed:
        print(f"failed: {', '.join(failed)}", file=sys.stderr)
    return int(bool(failed))


if __name__ == "__main__":
    sys.exit(main())
