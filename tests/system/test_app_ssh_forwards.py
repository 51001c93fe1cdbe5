"""Forwards and notes of ssh_config(5) in the program: its menu, its windows, its commands."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from tests.support.desktop import Desktop
from tests.support.forwarding import Service, answers, echo, tcp
from tests.support.jupyter import JupyterServer
from tests.support.keys import make_key
from tests.support.ports import free_port
from tests.support.running import LIMIT, RunningApp
from tests.support.servers import make_server
from tests.support.snapshots import snap
from tests.support.sshd import Sshd
from tests.support.waiting import wait_for
from trayconnect.config.forward_syntax import Kind
from trayconnect.core.errors import Problem
from trayconnect.core.page import Page
from trayconnect.services.jupyter.model import FoundJupyter
from trayconnect.services.protocol import Level
from trayconnect.sessions.forwards import ForwardState
from trayconnect.sessions.state import State
from trayconnect.tray.menu import MenuFacts, build_view
from trayconnect.tray.view import IconState, Item

NOTES = "gpu: notes"


@pytest.fixture
def desktop() -> Iterator[Desktop]:
    with Desktop() as running:
        running.start_panel()
        yield running


_LEVELS = {level.label: level for level in Level}


def items(app: RunningApp) -> tuple[Item, ...]:
    """The lines of the menu as it is now."""
    told = app.status("gpu")
    problem = told["problem"]
    snapshot = snap(
        server=make_server("gpu"),
        state=State(told["state"]),
        level=_LEVELS.get(told["reached"], Level.NOTHING),
        page=Page(told["url"], "t0ken") if told["url"] else None,
        problem=Problem(**problem) if problem else None,
        notes=tuple(told["notes"]),
        jupyters=tuple(
            FoundJupyter(
                where=one["where"],
                root_dir=one["folder"],
                folder=one["folder"],
                version=one["version"],
                kernels=one["kernels"],
                in_use=one["in_use"],
            )
            for one in told["jupyters"]
        ),
    )
    forwards = tuple(
        ForwardState(
            one["name"],
            Kind(one["kind"]),
            one["listens"],
            one["leads_to"] or "",
            one["address"],
            one["url"],
            one["up"],
            Problem(**one["problem"]) if one["problem"] else None,
        )
        for one in told["forwards"]
    )
    return build_view([replace(snapshot, forwards=forwards)], MenuFacts(autostart=False)).items


def test_they_are_in_the_menu_and_in_the_status(desktop: Desktop, tmp_path: Path) -> None:
    local, remote = free_port(), free_port()
    with (
        JupyterServer() as jupyter,
        Sshd(options={"SetEnv": f"JUPYTER_RUNTIME_DIR={jupyter.runtime_dir}"}) as sshd,
        Service(echo) as service,
        socket.create_server(("127.0.0.1", 0)) as other,
    ):
        sshd.authorize(make_key(tmp_path))
        taken = other.getsockname()[1]
        host, port = service.address
        file = tmp_path / "ssh_config"
        file.write_text(
            f"Host gpu\n  HostName {sshd.host}\n  Port {sshd.port}\n  User {sshd.username}\n"
            f"  IdentityFile {tmp_path / 'id_ed25519'}\n  ForwardAgent yes\n  RemoteForward 9\n"
            f"  LocalForward {local} {host}:{port}\n  LocalForward {taken} {host}:{port}\n"
            f"  RemoteForward {remote} {host}:{port}\n"
        )
        file.chmod(0o600)
        env = {**desktop.env, "TRAYCONNECT_SSH_CONFIG": str(file)}
        known = sshd.known_hosts_lines()
        servers = "servers:\n  - {name: gpu, host: gpu, open_browser: false}\n"
        with RunningApp(servers, tray=True, env=env, known_hosts=known) as app:
            assert app.status("gpu")["forwards"] == []
            assert app.run("connect", "gpu").returncode == 0
            desktop.wait_icon(IconState.UP)

            def settled() -> bool:
                now = app.status("gpu")
                forwards = now["forwards"]
                is_ready = now["reached"] == "logged_in"
                return is_ready and all(one["up"] or one["problem"] for one in forwards)

            wait_for(settled, "the forwards", LIMIT)
            told = app.status("gpu")
            assert {one["name"]: one["up"] for one in told["forwards"]} == {
                f"LocalForward {local}": True,
                f"LocalForward {taken}": False,
                f"RemoteForward {remote}": True,
            }
            assert len(told["notes"]) == 2
            answers(tcp(local))
            answers(tcp(remote))

            desktop.open_menu(IconState.UP)
            desktop.choose(items(app), "more gpu", f"forward LocalForward {local}")
            wait_for(
                lambda: desktop.screen.selection("CLIPBOARD") == f"127.0.0.1:{local}",
                "the address",
                LIMIT,
            )
            for key, title in (
                ("notes", NOTES),
                (
                    f"forward LocalForward {taken}",
                    f"gpu, LocalForward {taken}: what went wrong",
                ),
            ):
                desktop.open_menu(IconState.UP)
                desktop.choose(items(app), "more gpu", key)
                desktop.screen.focus(desktop.screen.wait_window(title, LIMIT))
                desktop.screen.close_window(title)
                desktop.screen.wait_no_window(title, LIMIT)

            assert app.run("disconnect", "gpu").returncode == 0
            wait_for(lambda: app.status("gpu")["state"] == "off", "off", LIMIT)
            assert app.status("gpu")["forwards"] == []
            with pytest.raises(ConnectionRefusedError):
                tcp(local)
