"""Programs that stand between a browser and the page of ``ashtune watch``: nginx, and a Jupyter
server.

Each is started on a free port of loopback and yields the address at which it shows another port of
this machine.
"""

import contextlib
import http.client
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

from tests.helpers.ports import free_port

HOST = "hub.localhost"
"""A name that leads to this machine, that browsers trust like localhost, and that ``ashtune watch``
must be told of.
"""
NGINX = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")
JUPYTER = Path(__file__).parents[2] / ".venv-jupyter" / "bin" / "jupyter-server"
SECRET = "a-token-for-tests"
STARTED_SECONDS = 60.0
_NGINX = """
daemon off;
master_process off;
pid {folder}/nginx.pid;
error_log {folder}/error.log;
events {{}}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    server {{
        listen 127.0.0.1:{port};
        location /team/studies/ {{
            proxy_pass http://127.0.0.1:{behind}/;
            proxy_http_version 1.1;
            proxy_set_header Host $http_host;
        }}
    }}
}}
"""
"""As an administrator would write it: nothing of it is for event streams."""


@contextlib.contextmanager
def nginx(folder: Path, behind: int) -> Iterator[str]:
    """Run nginx with a path prefix before a port of this machine."""
    port = free_port()
    configuration = folder / "nginx.conf"
    configuration.write_text(_NGINX.format(folder=folder, port=port, behind=behind))
    with running(
        [str(NGINX), "-c", str(configuration), "-e", str(folder / "error.log")], folder, port
    ):
        yield f"http://{HOST}:{port}/team/studies/"


@contextlib.contextmanager
def jupyter(folder: Path, behind: int) -> Iterator[str]:
    """Run a Jupyter server with jupyter-server-proxy, which shows any port of its machine to who is
    signed in.
    """
    port = free_port()
    settings = {
        "ServerApp.ip": "127.0.0.1", "ServerApp.port": port, "ServerApp.port_retries": 0,
        "ServerApp.root_dir": folder, "ServerApp.base_url": "/user/ada/",
        "ServerApp.open_browser": False,
        "ServerApp.allow_root": True, "ServerApp.allow_remote_access": True,
        "IdentityProvider.token": SECRET,
    }  # fmt: skip
    command = [str(JUPYTER), *(f"--{name}={value}" for name, value in settings.items())]
    with running(command, folder, port):
        yield f"http://{HOST}:{port}/user/ada/proxy/{behind}/"


def port_of(address: str) -> int:
    """Return the port of an address."""
    port = urlsplit(address).port
    assert port is not None
    return port


@contextlib.contextmanager
def running(command: list[str], folder: Path, port: int) -> Iterator[None]:
    """Run a server until it answers, and end it."""
    log = folder / "server.log"
    home = {"HOME": str(folder), "PATH": "/usr/bin:/bin"}
    with log.open("wb") as written:
        server = subprocess.Popen(command, stdout=written, stderr=written, cwd=folder, env=home)
    try:
        end = time.monotonic() + STARTED_SECONDS
        while not answers(port):
            assert server.poll() is None and time.monotonic() < end, log.read_text()
            time.sleep(0.05)
        yield
    finally:
        server.terminate()
        server.wait(timeout=STARTED_SECONDS)


def answers(port: int) -> bool:
    """Whether a server at a port of loopback answers over HTTP."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    with contextlib.closing(connection), contextlib.suppress(OSError, http.client.HTTPException):
        connection.request("GET", "/")
        return connection.getresponse().status > 0
    return False
