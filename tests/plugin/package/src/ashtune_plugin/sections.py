"""A section of the report: which hosts the workers were on."""

from collections import Counter
from collections.abc import Iterator, Mapping

from ashtune.events import Event, WorkerJoined
from ashtune.observers import Observer
from ashtune.sections import ReportedStudy, Section, html, plural


class WorkersByHost(Observer):
    """How many workers joined from each host."""

    def __init__(self) -> None:
        self.joined: Counter[str] = Counter()

    def event(self, event: Event) -> None:
        if isinstance(event, WorkerJoined):
            self.joined[event.host] += 1


class Hosts(Section):
    """How many workers joined from each host."""

    name, title = "hosts", "Where the workers were"

    def __init__(self, study: ReportedStudy) -> None:
        super().__init__(study)
        self._hosts = self.observe(WorkersByHost())

    def blocks(self) -> Iterator[html.Block]:
        if self._hosts.joined:
            yield html.pairs(
                {host: plural(count, "worker") for host, count in self._hosts.joined.items()}
            )

    def lines(self) -> Iterator[str]:
        if self._hosts.joined:
            yield (
                f"{plural(self._hosts.joined.total(), 'worker')} on "
                f"{plural(len(self._hosts.joined), 'host')}"
            )

    def value(self) -> Mapping[str, int]:
        return self._hosts.joined
