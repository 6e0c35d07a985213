"""The life of a rank that serves: study after study, until the driver's script has ended."""

import os
import signal
import time
from pathlib import Path

import msgspec

from ashtune.engines.inbox import Inbox
from ashtune.engines.inrank import train_in_rank
from ashtune.engines.letters import Closed, Leaving, Opening
from ashtune.engines.node import environment_of, gpus_present
from ashtune.engines.shell import Shell
from ashtune.engines.stop import SIGNALS
from ashtune.engines.world import DRIVER, World
from ashtune.errors import AshtuneError
from ashtune.study.journal import NAME, read_settings
from ashtune.training.messages import Broken

DIRECTORY_SECONDS = 3.0


def attend(world: World) -> bool:
    """Serve until dismissed; return whether MPI can be finalised after."""
    for number in SIGNALS:
        signal.signal(number, lambda *_: None)  # the driver decides; it is told by the same signals
    inbox = Inbox(world)
    try:
        while True:
            letters = inbox.wait()
            for at, letter in enumerate(letters):
                if isinstance(letter, Leaving):
                    return letter.is_whole
                if isinstance(letter, Opening):
                    inbox.put_back(letters[at + 1 :])
                    world.edition = letter.edition
                    _serve(world, inbox, letter)
                    break
    finally:
        for number in SIGNALS:
            signal.signal(number, signal.SIG_IGN)  # the interpreter, as it ends, gives up handlers but not this
        inbox.tidy_up()


def _serve(world: World, inbox: Inbox, opening: Opening) -> None:
    """Take part in one study."""
    try:
        directory = inbox.private_folder() if opening.carries_checkpoints else _shared(opening)
        opening = _moved_to(directory, opening)
        environment = environment_of(
            world.node,
            world.claims,
            threads=opening.threads,
            gpus_per_worker=opening.gpus_per_worker,
            inherited=os.environ,
            gpus_present=gpus_present(),
        )
        if opening.is_isolated:
            Shell(world, inbox, opening, directory, environment).run()
        else:
            train_in_rank(world, inbox, opening, directory, environment)
    except (AshtuneError, OSError) as error:
        world.post.put(DRIVER, Broken(opening.setup.worker, f"rank {world.rank} on {os.uname().nodename}: {error}"))
        inbox.wait_for_the_end()
    inbox.tidy_up()
    world.post.put(DRIVER, Closed())
    world.post.flush()


def _moved_to(directory: Path, opening: Opening) -> Opening:
    """Return what the driver said, with the paths as they are on this machine."""
    objective = directory / Path(opening.setup.objective).name
    setup = msgspec.structs.replace(opening.setup, study=str(directory), objective=str(objective))
    return msgspec.structs.replace(opening, setup=setup)


def _shared(opening: Opening) -> Path:
    """Return the study's directory, if this rank sees the same one as the driver."""
    directory = Path(opening.setup.study)
    deadline = time.monotonic() + DIRECTORY_SECONDS  # a network file system may be a moment behind
    while True:
        try:
            is_the_same = read_settings(directory / NAME).created == opening.created
        except AshtuneError:
            is_the_same = False
        if is_the_same:
            return directory
        if time.monotonic() > deadline:
            raise AshtuneError(
                f"{directory} is not there as the driver has it; give a directory that all ranks share, "
                "or checkpoints='messages'"
            )
        time.sleep(0.05)
