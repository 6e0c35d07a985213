"""Build the wheel and the sdist, install each elsewhere, and try them: ``make dist-check``.

What is checked, with a line for each:

1. the sdist and the working tree build the same wheel, byte for byte;
2. the wheel has all files of ``src`` and no other; its metadata is as the package index wants it;
3. for each Python that a classifier names and that is here: wheel and sdist are installed in fresh
   environments, in another folder and from a folder of wheels alone, as on a machine without a
   network. There ``ashtune --version``, ``ashtune skill`` and the README's example, in a small
   size, run; where this may be tried, in a network namespace that reaches nothing.
   ``ashtune watch`` then serves its page of that study, every file as it was installed.

The files are left in ``dist``.
"""

import hashlib
import os
import re
import shutil
import signal
import subprocess
import sys
import tarfile
import tempfile
import time
import tomllib
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from page_check import PageError, check_page

ROOT = Path(__file__).resolve().parents[1]
DIST = ROOT / "dist"
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
CLASSIFIER = re.compile(r"Programming Language :: Python :: (3\.\d+)")
EXTRA = "scikit-learn"
"""What the README's example needs."""
SMALLER = {"trials=64": "trials=8", "max_resource=32": "max_resource=4, workers=2"}
NEEDED = (
    *("py.typed", "SKILL.md"),
    *("_src/dashboard/static/index.html", "_src/dashboard/static/app.js"),
)
"""Files of the package that no import would miss."""
LICENSES = ("LICENSE",)
PIP = ("-m", "pip", "--quiet", "--disable-pip-version-check")


class CheckError(Exception):
    """What was built is not what it should be."""


def main() -> int:
    """Check all; return the exit status."""
    # A command that a shell starts in the background ignores Ctrl-C, and so would what it starts in
    # turn.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with tempfile.TemporaryDirectory(prefix="ashtune-dist-") as folder:
            wheel, sdist = built(Path(folder))
            check_content(wheel)
            run(sys.executable, "-m", "twine", "check", "--strict", str(wheel), str(sdist))
            say("the metadata of both are in order")
            with ThreadPoolExecutor(2) as pool:
                for _ in pool.map(
                    lambda at: try_on(at[0], at[1], (wheel, sdist), Path(folder)), pythons().items()
                ):
                    pass
    except CheckError as error:
        sys.stderr.write(f"dist-check: {error}\n")
        return 1
    return 0


def built(folder: Path) -> tuple[Path, Path]:
    """Build both, into ``dist``; return the wheel and the sdist.

    Raises:
        CheckError: If the wheel that the sdist builds is another one.
    """
    shutil.rmtree(DIST, ignore_errors=True)
    build = (sys.executable, "-m", "build", "--no-isolation", "--outdir")
    run(*build, str(DIST), "--sdist", "--wheel", str(ROOT))
    [sdist], [wheel] = DIST.glob("*.tar.gz"), DIST.glob("*.whl")
    with tarfile.open(sdist) as archive:
        archive.extractall(folder / "source", filter="data")
    [source] = (folder / "source").iterdir()
    run(*build, str(folder / "again"), "--wheel", str(source))
    [again] = (folder / "again").iterdir()
    if again.name != wheel.name or digest(again) != digest(wheel):
        raise CheckError(f"{sdist.name} builds another {wheel.name}: {differences(wheel, again)}")
    say(f"{sdist.name} builds the same {wheel.name}")
    return wheel, sdist


def digest(file: Path) -> str:
    """Return what tells files apart."""
    return hashlib.sha256(file.read_bytes()).hexdigest()


def differences(one: Path, other: Path) -> str:
    """Return the names of the files in which two wheels differ."""
    with zipfile.ZipFile(one) as left, zipfile.ZipFile(other) as right:
        ours, theirs = (
            {(name, wheel.read(name)) for name in wheel.namelist()} for wheel in (left, right)
        )
    return ", ".join(sorted({name for name, _ in ours ^ theirs})) or "only in their order or times"


def check_content(wheel: Path) -> None:
    """Compare the files of the wheel with those of ``src``.

    Raises:
        CheckError: If one is missing, or there is another.
    """
    with zipfile.ZipFile(wheel) as archive:
        licenses = {
            name.partition("/licenses/")[2]
            for name in archive.namelist()
            if ".dist-info/licenses/" in name
        }
        packed = {name for name in archive.namelist() if ".dist-info/" not in name}
    there = {
        str(file.relative_to(ROOT / "src"))
        for file in (ROOT / "src").rglob("*")
        if file.is_file() and "__pycache__" not in file.parts
    }
    missing = {f"ashtune/{name}" for name in NEEDED} - packed
    if packed != there or missing:
        raise CheckError(
            f"{wheel.name} and src differ in {', '.join(sorted((packed ^ there) | missing))}"
        )
    if licenses != set(LICENSES):
        raise CheckError(
            f"{wheel.name} declares the licences {sorted(licenses)}; it should declare "
            f"{sorted(LICENSES)}"
        )
    others = sorted(name for name in packed if not name.endswith(".py"))
    say(
        f"{wheel.name} has all {len(there)} files of src; those that are no code: "
        f"{', '.join(others)}"
    )


def pythons() -> dict[str, str]:
    """Return the Pythons that classifiers name and that are here, by version; say which are not.

    Raises:
        CheckError: If there is none.
    """
    versions = [
        match[1] for line in PROJECT["classifiers"] if (match := CLASSIFIER.fullmatch(line))
    ]
    programs = {
        version: shutil.which(f"python{version}") or shutil.which(f"/usr/bin/python{version}")
        for version in versions
    }
    for version, program in programs.items():
        if program is None:
            say(f"Python {version}: not here, so not tried")
    if not any(programs.values()):
        raise CheckError(f"none of Python {', '.join(versions)} is here")
    return {version: program for version, program in programs.items() if program is not None}


def try_on(version: str, program: str, files: tuple[Path, ...], folder: Path) -> None:
    """Install each file under a Python, in an environment of its own, and try it.

    Raises:
        CheckError: If something does not do what it should.
    """
    wheels, python = (
        folder / f"wheels-{version}",
        environment(program, folder / f"collect-{version}"),
    )
    constraints = str(ROOT / "constraints.txt")
    needed = (f"{files[0]}[{EXTRA}]", "hatchling")
    run(python, *PIP, "download", "--constraint", constraints, "--dest", str(wheels), *needed)
    for own in wheels.glob("ashtune-*"):
        own.unlink()
    for file in files:
        began, place = time.monotonic(), folder / f"{version}{file.suffix}"
        python = environment(program, place / "environment")
        run(
            python,
            *PIP,
            "install",
            "--no-compile",
            "--no-index",
            "--find-links",
            str(wheels),
            f"{file}[{EXTRA}]",
        )
        tried = try_installed(python, place)
        seconds = time.monotonic() - began
        say(
            f"Python {version}, {file.name}: installed without an index, and tried {tried}, in "
            f"{seconds:.0f} s"
        )


def environment(program: str, place: Path) -> str:
    """Make an environment; return its Python."""
    run(sys.executable, "-m", "virtualenv", "--quiet", "--python", program, str(place))
    return str(place / "bin" / "python")


def try_installed(python: str, place: Path) -> str:
    """Try what is installed in an environment, in a folder; return in words what was tried.

    Raises:
        CheckError: If something does not do what it should.
    """
    command = str(Path(python).with_name("ashtune"))
    version = run(command, "--version", cwd=place).strip()
    if version != f"ashtune {PROJECT['version']}":
        raise CheckError(
            f"`ashtune --version` is {version!r}, and pyproject.toml has {PROJECT['version']}"
        )
    package = Path(
        run(python, "-c", "import ashtune; print(ashtune.__file__)", cwd=place).strip()
    ).parent
    if not package.is_relative_to(place) or not (package / "py.typed").is_file():
        raise CheckError(f"ashtune is imported from {package}, with or without py.typed")
    if not run(command, "skill", cwd=place).startswith("---\nname: ashtune\n"):
        raise CheckError("`ashtune skill` prints another page")
    (place / "study.py").write_text(example())
    alone = without_network()
    printed = run(*alone, python, "study.py", cwd=place)
    if "'accuracy': 0." not in printed:
        raise CheckError(f"the README's example printed {printed!r}")
    [study] = (place / "runs").iterdir()
    try:
        files = check_page(
            command, study, package / "_src" / "dashboard" / "static", own_variables()
        )
    except PageError as error:
        raise CheckError(str(error)) from error
    where = "without a network" if alone else "with a network, as no namespace may be made here"
    return f"{where}; `ashtune watch` served {files} files of its page"


def example() -> str:
    """Return the README's example, smaller.

    Raises:
        CheckError: If it is not as expected.
    """
    block = re.search(
        r"^```python\n(.*?)^```$", (ROOT / "README.md").read_text(), re.MULTILINE | re.DOTALL
    )
    text = block[1] if block else ""
    for size, smaller in SMALLER.items():
        if text.count(size) != 1:
            raise CheckError(f"the README's first example does not say {size}")
        text = text.replace(size, smaller)
    return text


def without_network() -> tuple[str, ...]:
    """Return the words that have a command run where no network is; none if that is not allowed
    here.
    """
    words = ("unshare", "--net")
    if shutil.which(words[0]) is None:
        return ()
    return (
        words
        if subprocess.run([*words, "true"], capture_output=True, check=False).returncode == 0
        else ()
    )


def run(*command: str, cwd: Path | None = None) -> str:
    """Run a command, which finds no ashtune but an installed one; return what it printed.

    Raises:
        CheckError: If it fails.
    """
    done = subprocess.run(
        command, cwd=cwd, env=own_variables(), capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        raise CheckError(
            f"{' '.join(command)}: status {done.returncode}\n{done.stdout}{done.stderr}"
        )
    return done.stdout


def own_variables() -> dict[str, str]:
    """Return the environment without what would lead a Python to this working tree or another
    environment.
    """
    return {
        name: value
        for name, value in os.environ.items()
        if name not in ("PYTHONPATH", "VIRTUAL_ENV")
    }


def say(line: str) -> None:
    """Print a line at once."""
    print(line, flush=True)


if __name__ == "__main__":
    sys.exit(main())
