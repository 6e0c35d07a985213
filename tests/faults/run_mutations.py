"""Change single expressions of the code by mutmut, a sample by seed, and say by package how many
the tests notice.

python -m tests.faults.run_mutations                     # 400 of them
python -m tests.faults.run_mutations --mutants 20        # the first of these
mutmut show NAME                                         # what one of them changes

What was noticed is not tried again, so a run that was stopped continues. What `equal_mutants.toml`
lists cannot be noticed. What changes and which tests run is said in ``pyproject.toml``.
"""

import argparse
import os
import sys
import tomllib
from collections import Counter
from pathlib import Path
from random import Random

from mutmut import __main__ as mutmut

EQUAL = Path(__file__).with_name("equal_mutants.toml")
NOTICED = ("killed", "timeout", "segfault")


def generated() -> list[str]:
    """Write the code with all of its mutants to the folder ``mutants``, and return their names."""
    Path("mutants").mkdir(exist_ok=True)
    # With the numbers of an earlier run, mutmut only lists the tests, and pytest then refuses their
    # conftest: this process has imported another package of the name "tests". To run them all once
    # more takes two minutes.
    Path("mutants/mutmut-stats.json").unlink(missing_ok=True)
    with mutmut.CatchOutput():
        mutmut.copy_src_dir()
        mutmut.copy_also_copy_files()
        mutmut.create_mutants(os.cpu_count() or 1)
    return sorted(statuses([]))


def statuses(names: list[str]) -> dict[str, str]:
    """Return what came of some mutants, or of all."""
    found, _ = mutmut.collect_source_file_mutation_data(mutant_names=names)
    return {name: mutmut.status_by_exit_code[code] for _, name, code in found}


def changed_line(name: str) -> str:
    """Return the first line that a mutant puts in the place of another. If the mutant only removes
    lines, return a minus and the first of these.
    """
    diff = mutmut.get_diff_for_mutant(name, path=mutmut.find_mutant(name).path).splitlines()
    changes = diff[2:]  # without the names of the two files
    added = [line[1:].strip() for line in changes if line.startswith("+")]
    removed = [f"- {line[1:].strip()}" for line in changes if line.startswith("-")]
    return next(iter([*added, *removed]), "")


def reasons_of_equals() -> dict[tuple[str, str], str]:
    """Return why no test can notice a mutant, for each function and changed line."""
    listed = tomllib.loads(EQUAL.read_text())["equal"]
    return {(one["function"], one["line"]): one["why"] for one in listed}


def outdated(equals: dict[tuple[str, str], str], names: list[str]) -> list[str]:
    """Return one line for each mutant that is listed as equal, but is not made of the code now."""
    functions = {function for function, _ in equals}
    of_these = [name for name in names if name.partition("__mutmut_")[0] in functions]
    made = {(name.partition("__mutmut_")[0], changed_line(name)) for name in of_these}
    return [f"{function}: {line}" for function, line in equals if (function, line) not in made]


def main() -> int:
    """Run what the command line says; return 1 if a mutant is noticed by no test and not listed as
    equal, or if one is listed that the code does not have any more.
    """
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--mutants", type=int, default=400, metavar="N", help="how many")
    parser.add_argument("--seed", type=int, default=0, help="of the sample")
    parser.add_argument("--cores", type=int, default=os.cpu_count())
    options = parser.parse_args()
    names = generated()
    Random(options.seed).shuffle(names)
    sample = names[: options.mutants]
    equals = reasons_of_equals()
    if lines := outdated(equals, names):
        print("\n".join([f"{EQUAL.name} lists what the code does not have any more:", *lines]))
        return 1
    is_equal = {
        name: (name.partition("__mutmut_")[0], changed_line(name)) in equals for name in sample
    }
    before = statuses(sample)
    if to_try := [name for name in sample if before[name] not in NOTICED and not is_equal[name]]:
        mutmut._run(to_try, options.cores)
    return report(statuses(sample), is_equal)


def report(outcome: dict[str, str], is_equal: dict[str, bool]) -> int:
    """Print the score of each package and what no test noticed; return 1 if there is any."""
    counts: dict[str, Counter[str]] = {}
    survivors = []
    for name, status in outcome.items():
        kind = "equal" if is_equal[name] else "noticed" if status in NOTICED else "not noticed"
        counts.setdefault(name.split(".")[1], Counter())[kind] += 1
        if kind == "not noticed":
            survivors.append((name, status))
    for name, status in sorted(survivors):
        print(f"{name} ({status}): {changed_line(name)}")
    print(f"\n{'package':12} {'noticed':>8} {'not noticed':>12} {'equal':>6} {'score':>6}")
    for package, count in sorted(counts.items()):
        judged = count["noticed"] + count["not noticed"]
        score = f"{count['noticed'] / judged:6.0%}" if judged else ""
        print(
            f"{package:12} {count['noticed']:8} {count['not noticed']:12} {count['equal']:6} "
            f"{score}"
        )
    return 1 if survivors else 0


if __name__ == "__main__":
    sys.exit(main())
