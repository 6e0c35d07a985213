"""What a rank sends along where no directory is shared."""

from pathlib import Path

from ashtune.engines.courier import Courier
from ashtune.engines.workload import Said
from ashtune.engines.world import DRIVER, World
from ashtune.events import JobFinished, JobPaused, TrialReleased, WorkerJoined
from ashtune.study.checkpoints import FOLDER
from ashtune.training.profiling.files import path_of


class Luggage:
    """Sends the files along that the driver has to have: checkpoints before the event that names them, logs,
    and profiles when their worker is gone.

    Args:
        world: The ranks.
        directory: This rank's folder for the study.
    """

    def __init__(self, world: World, directory: Path) -> None:
        self._post = world.post
        self._courier = Courier(directory)
        self._log = ""
        self._sent = 0
        self._profile = ""

    def before(self, message: Said) -> None:
        """Send what has to be there before a message."""
        match message:
            case WorkerJoined(worker=worker):
                self.log()
                self._send_profile()
                self._log, self._sent = f"logs/worker-{worker}.log", 0
                self._profile = path_of(worker)
            case JobFinished(checkpoint=int()) | TrialReleased(checkpoint=int()) | JobPaused(checkpoint=int()):
                path = f"{FOLDER}/{message.trial}.{message.resource}"
                self._post.put(DRIVER, self._courier.parcels(path))
            case _:
                pass

    def unload(self) -> None:
        """Send the end of the log and the profile, no more: the study is over, no checkpoint is waited for any more."""
        self._post.forget(DRIVER)
        self.log()
        self._send_profile()

    def log(self) -> None:
        """Send what the worker has printed since the last time."""
        while self._log and (data := self._courier.growth(self._log, self._sent)):
            self._sent += len(data)
            self._post.put(DRIVER, self._courier.grown(self._log, data))

    def _send_profile(self) -> None:
        """Send the profile of the worker that is gone, if it has left one."""
        if self._profile:
            self._post.put(DRIVER, self._courier.parcels(self._profile))
