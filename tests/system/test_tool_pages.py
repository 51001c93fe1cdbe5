"""Forwards to web tools through a real sshd: offered when their pages answer."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.support.forwarding import no_leaks
from tests.support.jupyter_peers import Peer, web
from tests.support.keys import make_key
from tests.support.ports import free_port
from tests.support.sshd import Sshd
from tests.support.whole import Whole, entry
from trayconnect.config.tools import TOOLS
from trayconnect.config.yaml_file import parse
from trayconnect.services.webpage import service
from trayconnect.sessions.snapshot import Snapshot


def only(ready: str) -> Peer:
    """A tool that answers nothing but its ready path."""

    def page(path: str, headers: Mapping[str, str]) -> tuple[int, str]:
        return (200, "ok") if path == ready else (404, "not found")

    return Peer(web(page))


def forwards(ports: Mapping[str, int]) -> list[dict[str, Any]]:
    """What the file makes of a forward to each of these tools."""
    lines = ", ".join(
        # Here, the port of the tool itself is taken.
        f"{{tool: {name}, port: {port}, local_port: {free_port()}}}"
        for name, port in ports.items()
    )
    text = f"servers: [{{name: a, host: h, forwards: [{lines}]}}]"
    (server,) = parse(text, Path("servers.yaml")).servers
    return [forward.model_dump(exclude_unset=True) for forward in server.forwards]


def answering(snapshot: Snapshot) -> set[str]:
    return {forward.name for forward in snapshot.forwards if forward.answers}


def test_tools_are_offered_while_they_answer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(service, "PAGES_SILENT", 0.2)
    monkeypatch.setattr(service, "PAGES_READY", 0.2)
    every = {tool.name for tool in TOOLS.values()}
    key = make_key(tmp_path)
    with Sshd() as sshd, contextlib.ExitStack() as tools:
        sshd.authorize(key)
        ports = {name: tools.enter_context(only(tool.ready)).port for name, tool in TOOLS.items()}
        late = ports | {"dask": free_port()}
        server = entry(sshd, key, forwards=forwards(late))
        with no_leaks(), Whole(server, known_hosts=sshd.known_hosts_lines()) as whole:
            whole.connect()
            most = whole.until(lambda s: answering(s) == every - {"Dask"})
            (dask,) = (forward for forward in most.forwards if forward.name == "Dask")
            assert (dask.is_up, dask.answers) == (True, False)
            tools.close()
            whole.until(lambda s: answering(s) == set())
            whole.off()
