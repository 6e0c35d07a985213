"""Reads from Linux's /proc the processes of this machine, their memory, and the number of processes
that the kernel has killed.
"""

import os
from collections import defaultdict
from contextlib import suppress

PAGE = os.sysconf("SC_PAGE_SIZE")


class ProcessTable:
    """All processes of this machine at one moment."""

    def __init__(self) -> None:
        self._children: defaultdict[int, list[int]] = defaultdict(list)
        self._resident: dict[int, int] = {}
        for name in os.listdir("/proc"):
            if name.isdecimal():
                with suppress(OSError), open(f"/proc/{name}/stat", "rb") as file:
                    fields = file.read().rpartition(b")")[2].split()
                    self._children[int(fields[1])].append(int(name))
                    self._resident[int(name)] = int(fields[21]) * PAGE

    def descendants(self, ancestor: int) -> list[int]:
        """Return the children of a process, the children of the children, and so on."""
        descendants = list(self._children[ancestor])
        for pid in descendants:  # the list grows during the loop
            descendants += self._children[pid]
        return descendants

    def memory(self, ancestor: int, *, exact_above: int = 0) -> int:
        """Return how many bytes of memory a process and its descendants hold.

        In an exact number, a page that several processes share is counted once. Otherwise it is
        counted once for each process. To compute an exact number, the kernel needs about 10 ms for
        each gigabyte.
        """
        pids = [ancestor, *self.descendants(ancestor)]
        resident = sum(self._resident.get(pid, 0) for pid in pids)
        return resident if resident <= exact_above else sum(map(self._proportional, pids))

    def _proportional(self, pid: int) -> int:
        """Return the bytes of a process. A page that is shared by n processes counts as a fraction
        1/n.
        """
        with suppress(OSError), open(f"/proc/{pid}/smaps_rollup", "rb") as file:
            return next(
                (int(line.split()[1]) << 10 for line in file if line.startswith(b"Pss:")), 0
            )
        return self._resident.get(pid, 0)


def kernel_kills() -> int:
    """Return how many processes in this process's cgroup the kernel has killed because no memory
    was left.

    Return 0 if this is unknown.
    """
    kills = 0
    with suppress(OSError), open("/proc/self/cgroup") as cgroups:
        for cgroup in cgroups:
            _, controllers, path = cgroup.rstrip("\n").split(":", 2)
            counter = f"{path}/memory.events"  # the file of cgroups version 2
            if controllers:
                counter = f"memory{path}/memory.oom_control"
            if "memory" in controllers.split(",") or not controllers:
                with suppress(OSError), open(f"/sys/fs/cgroup/{counter}") as lines:
                    kills += sum(
                        int(line.split()[1]) for line in lines if line.startswith("oom_kill ")
                    )
    return kills
