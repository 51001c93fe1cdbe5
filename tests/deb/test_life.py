"""The package in a Debian without Python: installed, used, upgraded, removed."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.deb import chroot
from tests.deb.chroot import HOME, USER, Root
from tests.deb.conftest import Packages
from tests.deb.session import Session, prepare, processes
from tests.support.sshd import Sshd
from tests.support.waiting import wait_for
from tests.support.xvfb import XServer
from trayconnect import __version__
from trayconnect.tray.view import IconState

COPY = "/opt/copy"
PROGRAM = "/usr/lib/trayconnect/trayconnect"
FILE = HOME / ".config/trayconnect/servers.yaml"
ENTRY = HOME / ".config/autostart/trayconnect.desktop"
SERVERS = """\
servers:
  - name: GPU box
    host: localhost
    port: {port}
    username: root
    jupyter: {{port: 9}}
"""


def test_the_commands_in_the_least_debian(packages: Packages) -> None:
    with Root(chroot.plain()) as root:
        before = root.files()
        root.install(packages.new)
        assert root.run("sh", "-c", "command -v python3", check=False).returncode != 0
        assert (
            root.run("trayconnect", "--version").stdout == f"trayconnect, version {__version__}\n"
        )
        root.run("sh", "-c", "printf 'servers:\\n  - {name: GPU, host: gpu}\\n' >/tmp/servers.yaml")
        assert "1 server" in root.run("trayconnect", "check", "/tmp/servers.yaml").stdout
        report = root.run("trayconnect", "doctor", check=False).stdout
        assert "bundled" in report
        assert "Traceback" not in report
        assert "is not running" in root.run("trayconnect", "status", check=False).stdout
        root.run("apt-get", "purge", "--yes", "--autoremove", "trayconnect")
        assert root.files() == before


@pytest.fixture
def root() -> Iterator[Root]:
    with Root(chroot.desktop()) as root:
        prepare(root)
        yield root


@pytest.fixture
def sshd(root: Root) -> Iterator[Sshd]:
    """One that the user inside has an entry, a key and a known host key for."""
    with Sshd() as sshd:
        ssh = root.inside(HOME / ".ssh")
        ssh.mkdir(mode=0o700)
        key = ssh / "id_ed25519"
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(key)], check=True)
        sshd.authorize(key)
        lines = [line.replace(sshd.host, "localhost") for line in sshd.known_hosts_lines()]
        (ssh / "known_hosts").write_text("".join(f"{line}\n" for line in lines))
        file = root.inside(FILE)
        file.parent.mkdir(parents=True)
        file.write_text(SERVERS.format(port=sshd.port))
        root.run("chown", "--recursive", f"{USER}:{USER}", str(HOME))
        yield sshd


@contextmanager
def other_python(root: Root) -> Iterator[None]:
    """Take the installed Python's modules away; a copy of the program is at `COPY`."""
    library = str(Path(PROGRAM).parent)
    root.run("cp", "--archive", library, COPY)
    modules = ("base_library.zip", "python3.*")
    root.run("sh", "-c", f"cd {library}/_internal && mkdir /gone && mv {' '.join(modules)} /gone")
    try:
        yield
    finally:
        root.run("sh", "-c", f"mv /gone/* {library}/_internal && rmdir /gone && rm -r {COPY}")


def test_from_install_to_removal(packages: Packages, root: Root, sshd: Sshd) -> None:
    with XServer() as screen:
        root.install(packages.old)
        with Session(root, screen) as session:
            session.spawn("trayconnect")
            session.wait_icon(IconState.OFF)
            assert session.command("autostart", "on") == "on\n"
        entry = root.inside(ENTRY).read_text()
        assert "\nExec=/usr/bin/trayconnect run --at-login\nTryExec=/usr/bin/trayconnect\n" in entry
        assert not processes(root, PROGRAM)

        with Session(root, screen) as session:  # a login starts it
            session.wait_icon(IconState.OFF)
            said = root.install(packages.new)
            assert "start it again to use the new version" in said
            assert session.command("--version") == f"trayconnect, version {__version__}\n"
            # What runs is the old one, and can still do what it had not done before, even where
            # the new one brings another Python.
            with other_python(root):
                root.run(f"{COPY}/trayconnect", "connect", "GPU box", user=USER, env=session.env)
                session.wait_icon(IconState.SILENT)
            session.command("quit")
            wait_for(lambda: not processes(root, PROGRAM), "the old version to end")
            assert root.inside(ENTRY).read_text() == entry

        with Session(root, screen) as session:
            session.wait_icon(IconState.OFF)
            session.command("connect", "GPU box")
            wait_for(lambda: session.running() == "up", "the new version to connect")
            before = root.inside(FILE).read_text()
            root.run("apt-get", "remove", "--yes", "trayconnect")
            assert not processes(root, PROGRAM)
            assert root.inside(FILE).read_text() == before
            assert root.inside(ENTRY).read_text() == entry
        assert "Traceback" not in session.log()

        with Session(root, screen) as session:  # the entry that stayed disturbs no login
            session.settle(3)
            assert "trayconnect" not in session.log()

    assert not [path for path in root.files() if "trayconnect" in path]
    assert root.inside(FILE).exists()


def test_a_removal_ends_an_old_version_and_one_that_hangs(packages: Packages, root: Root) -> None:
    root.install(packages.old)
    with XServer() as screen, Session(root, screen) as session:
        session.spawn("trayconnect")
        session.wait_icon(IconState.OFF)
        root.install(packages.new)
        root.run("apt-get", "remove", "--yes", "trayconnect")
        assert not processes(root, PROGRAM)
        root.install(packages.new)  # once more
        session.spawn("trayconnect")
        session.wait_icon(IconState.OFF)
        assert root.inside(Path(PROGRAM)).exists()
        for number in processes(root, PROGRAM):
            os.kill(number, signal.SIGSTOP)
        root.run("apt-get", "remove", "--yes", "trayconnect")
        assert not processes(root, PROGRAM)  # one that hangs is ended, too
