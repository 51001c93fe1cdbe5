from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from tests.support.systems import has_links, has_mode
from trayconnect.config.batch_options import BatchOptions
from trayconnect.config.forward_model import Forward
from trayconnect.config.model import Auth, Config, Jupyter, Keepalive, Server
from trayconnect.config.sample import SAMPLE, write_sample
from trayconnect.config.start_options import Environment, StartOptions
from trayconnect.config.values import Frozen
from trayconnect.config.yaml_file import load, parse
from trayconnect.core.errors import ProblemError

HERE = Path("servers.yaml")


def uncommented() -> str:
    """What an editor makes of the lines below `servers:` when it takes the comment signs away."""
    head, body = SAMPLE.split("servers:\n")
    return head + "servers:\n" + re.sub(r"(?m)^# ?", "", body)


def test_it_holds_no_server() -> None:
    assert parse(SAMPLE, HERE) == Config()


def test_uncommented_it_is_a_valid_file() -> None:
    box, node, cluster, desktop = parse(uncommented(), HERE).servers
    assert (box.name, box.host, box.local_port) == ("GPU box", "gpu.example.org", 18888)
    assert [forward.name for forward in box.forwards] == [
        "TensorBoard",
        "Dask",
        "5432 → db.example.org:5432",
        "localhost:9000 ← 9000",
        "SOCKS 1080",
        "Docker",
        "Hook",
    ]
    assert node.jupyter.socket == "/run/user/1000/lab.sock"
    assert cluster.batch is not None
    assert cluster.batch.options == ("--partition=gpu", "--gres=gpu:1", "--mem=16G")
    assert desktop.url == "http://192.168.1.20:8888/"


@pytest.mark.parametrize(
    "model", [Server, Auth, Jupyter, StartOptions, BatchOptions, Environment, Keepalive, Forward]
)
def test_it_shows_every_key(model: type[Frozen]) -> None:
    shown = set(re.findall(r"(\w+):", uncommented()))
    assert set(model.model_fields) <= shown


def test_the_values_shown_are_the_defaults() -> None:
    (box, *_) = parse(uncommented(), HERE).servers
    plain = Server(name="x", host="h", local_port=2000)
    for field in ("port", "jupyter", "bind_address", "hold_seconds", "connect_timeout"):
        assert getattr(box, field) == getattr(plain, field)


class TestWriting:
    def test_a_new_file_is_for_the_user_alone(self, tmp_path: Path) -> None:
        path = tmp_path / "a" / "b" / "servers.yaml"
        previous = os.umask(0)
        try:
            assert write_sample(path)
        finally:
            os.umask(previous)
        assert load(path) == Config()
        assert has_mode(path, 0o600)
        assert has_mode(path.parent, 0o700)
        assert has_mode(path.parent.parent, 0o700)

    def test_a_file_that_is_there_stays(self, tmp_path: Path) -> None:
        path = tmp_path / "servers.yaml"
        path.write_text("mine")
        assert not write_sample(path)
        assert path.read_text() == "mine"

    @has_links
    def test_a_link_to_nowhere_stays(self, tmp_path: Path) -> None:
        path = tmp_path / "servers.yaml"
        path.symlink_to(tmp_path / "elsewhere")
        assert not write_sample(path)
        assert not (tmp_path / "elsewhere").exists()

    def test_a_folder_that_cannot_be_made(self, tmp_path: Path) -> None:
        (tmp_path / "file").write_text("")
        path = tmp_path / "file" / "servers.yaml"
        with pytest.raises(ProblemError, match=re.escape(str(path))):
            write_sample(path)
