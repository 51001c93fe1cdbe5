"""What several system tests start from; one with more to say of it has its own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.keys import make_key
from tests.support.sshd import Sshd
from tests.support.tunnel_kit import Kit, entry
from tests.support.xvfb import XServer
from trayconnect.config.model import Server


@pytest.fixture
def screen(monkeypatch: pytest.MonkeyPatch) -> Iterator[XServer]:
    """An empty one, and programs that find it."""
    with XServer() as server:
        monkeypatch.setenv("DISPLAY", server.display)
        monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
        yield server


@pytest.fixture
def key(tmp_path: Path) -> Path:
    return make_key(tmp_path)


@pytest.fixture
def sshd(key: Path) -> Iterator[Sshd]:
    """One that `key` logs in to."""
    with Sshd() as running:
        running.authorize(key)
        yield running


@pytest.fixture
def server(sshd: Sshd, key: Path) -> Server:
    """The entry of the file that does so."""
    return entry(sshd.port, identity_file=key)


@pytest.fixture
def kit(tmp_path: Path) -> Kit:
    """It trusts nobody yet."""
    return Kit(tmp_path)
