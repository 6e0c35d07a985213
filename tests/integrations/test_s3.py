"""Checkpoints in S3, as the server of moto speaks it over HTTP; this machine has no account."""

from collections.abc import Iterator
from pathlib import Path

import fsspec
import pytest
from moto.server import ThreadedMotoServer

import ashtune
from ashtune._src.study.checkpoints import FOLDER, Checkpoints
from tests.helpers import curves
from tests.helpers.cluster import until
from tests.helpers.studies import finished, tuned


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    server = ThreadedMotoServer(port=0)
    server.start()
    host, port = server.get_host_and_port()
    for name, value in {
        "AWS_ENDPOINT_URL": f"http://{host}:{port}",
        "AWS_ACCESS_KEY_ID": "key",
        "AWS_SECRET_ACCESS_KEY": "secret",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_MAX_ATTEMPTS": "1",
    }.items():
        monkeypatch.setenv(name, value)
    fsspec.filesystem("s3", skip_instance_cache=True).makedirs("studies", exist_ok=True)
    yield "s3://studies"
    server.stop()
    fsspec.filesystem("s3").clear_instance_cache()


def test_a_study_can_store_its_checkpoints_in_an_s3_bucket(tmp_path: Path, bucket: str) -> None:
    study = tuned(tmp_path, engine=ashtune.Local(checkpoints=f"{bucket}/of/mine"))
    assert any(event.start > 0 for event in finished(study))
    assert list((study.directory / FOLDER).iterdir()) == []
    assert study.best is not None
    assert study.best.load() == 8
    longer = study.resume(max_resource=16, workers=2)
    assert any(event.start == 8 for event in finished(longer))
    assert curves.problems(study.directory) == []
    remote = Checkpoints(study.directory).remote
    assert remote is not None
    names = remote.names
    # older ones are deleted
    until(lambda: len(names()) == len({name.partition(".")[0] for name in names()}))


@pytest.mark.parametrize("address", ["s3://nobody", "s3://studies"])
def test_an_unusable_bucket_is_refused_in_one_line(
    tmp_path: Path, bucket: str, address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if address == bucket:
        monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")  # no server
        fsspec.filesystem("s3").clear_instance_cache()
    with pytest.raises(ashtune.AshtuneError, match="checkpoints='s3://") as refused:
        tuned(tmp_path, engine=ashtune.Local(checkpoints=address))
    assert "\n" not in str(refused.value)
