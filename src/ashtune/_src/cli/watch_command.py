"""``ashtune watch DIR [DIR...]``: serves a live page of running or ended studies. Nothing from DIR
is executed.
"""

import argparse
import os
import signal
import sys
import time
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from ashtune._src.core.errors import SettingsError

if TYPE_CHECKING:
    from ashtune._src.dashboard.watching import LivePage

MOST_PORT = 65_535
LAST_SECONDS = 2.0
"""The seconds for which the page is served after the study's process has ended, so that viewers see
the end.
"""
NICE = 5
"""Niceness of the page's process, so that it does not take the processor from a study on the same
cores.
"""


def add_to(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument(
        "directory",
        metavar="DIR",
        nargs="+",
        help="a study's directory, which need not exist yet, or a folder to show all its studies",
    )
    parser.add_argument(
        "--port",
        type=int,
        default=0,
        metavar="N",
        help="serve on this port of 127.0.0.1 only (default: any free port)",
    )
    parser.add_argument(
        "--socket",
        metavar="PATH",
        help="serve on a socket file, which only you can use",
    )
    parser.add_argument(
        "--host-name", action="append", default=[], metavar="NAME",
        help="a host name by which the page is opened through a proxy, such as hub.example.org; "
             "may be repeated",
    )  # fmt: skip
    parser.add_argument(
        "--control", action="store_true",
        help="let the page pause, stop and change studies whose drivers were started with "
             "--control on this machine",
    )  # fmt: skip
    parser.add_argument(
        "--open", action="store_true", help="open the page in the browser of this machine"
    )
    parser.add_argument(
        "--until-exit", type=int, metavar="PID",
        help="end when process PID has ended, and save the page in DIR as page.html",
    )  # fmt: skip


def main(given: argparse.Namespace) -> int:
    """Serve the page until Ctrl-C, or until the process that ``--until-exit`` names has ended."""
    from ashtune._src.core import process
    from ashtune._src.core.checks import check_whole
    from ashtune._src.dashboard.liveness import is_process_alive
    from ashtune._src.dashboard.watching import LivePage, collect_seldom, opened_in_browser
    from ashtune._src.study.folders import check_directory

    check_whole("--port", given.port, at_least=0, at_most=MOST_PORT)
    if given.socket is not None and (given.port or given.open):
        raise SettingsError(
            f"--socket {given.socket} uses no port, but --port and --open need one; leave --socket "
            "out"
        )
    directories = [check_directory(directory) for directory in given.directory]
    page = LivePage(
        directories,
        port=given.port,
        socket_path=None if given.socket is None else check_directory(given.socket),
        host_names=given.host_name,
        control=given.control,
    )
    if process.is_our_command:
        os.nice(NICE)
        collect_seldom()
    owner = given.until_exit
    with suppress(KeyboardInterrupt), ExitStack() as stack:
        before = signal.signal(signal.SIGTERM, signal.default_int_handler)
        stack.callback(signal.signal, signal.SIGTERM, before)
        stack.enter_context(page)
        sys.stdout.write(f"{page.address}\n")
        sys.stdout.flush()
        if owner is None:
            sys.stderr.write(_advice(page, given.socket, control=given.control))
        if given.open:
            stack.enter_context(opened_in_browser(page.address))
        page.wait(lambda: owner is not None and not is_process_alive(owner))
        if owner is not None:
            time.sleep(LAST_SECONDS)
            page.save()
    return 0


def _advice(page: "LivePage", socket_path: str | None, *, control: bool) -> str:
    import socket

    host = socket.gethostname()
    if socket_path is None:
        tunnel = f"ssh -L {page.port}:127.0.0.1:{page.port} {host}, then the same address"
    else:
        tunnel = (
            f"ssh -L 8000:{Path(socket_path).absolute()} {host}, then "
            f"http://localhost:8000{page.address}"
        )
    does = "sees the page, and can stop and change the study" if control else "sees the page"
    return (
        f"from another machine: {tunnel}\neverybody who has the address {does}; Ctrl-C ends the "
        "page, not the study\n"
    )
