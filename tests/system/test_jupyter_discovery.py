"""The search itself: real shells, a real JupyterLab, and a stranger on a stale port."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.jupyter import JupyterServer
from tests.support.scoped import Scoped
from trayconnect.services.jupyter.discovery import RunningServer, parse, script

SHELLS = ["sh", "dash", "bash", "bash --posix", "busybox sh"]
SCRIPT = script("process.sh", "find.sh")


@pytest.fixture(scope="module")
def jupyter() -> Iterator[JupyterServer]:
    with JupyterServer() as server:
        yield server


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A home with an empty runtime folder in the usual place."""
    (tmp_path / ".local/share/jupyter/runtime").mkdir(parents=True)
    return tmp_path


def runtime(home: Path) -> Path:
    return home / ".local/share/jupyter/runtime"


def run(home: Path, shell: str = "sh", text: str = SCRIPT, **environment: str) -> str:
    completed = subprocess.run(
        shell.split(),
        input=text.encode(),
        env={"HOME": str(home), "PATH": os.environ["PATH"], **environment},
        capture_output=True,
        timeout=60,
        check=True,
    )
    assert completed.stderr == b""
    return completed.stdout.decode("utf-8", "replace")


def search(home: Path, shell: str = "sh", **environment: str) -> tuple[RunningServer, ...]:
    return parse(run(home, shell, **environment)).servers


def with_port(found: tuple[RunningServer, ...], port: int) -> RunningServer:
    # The machine may run other Jupyters of this account, which are found as well.
    (server,) = (one for one in found if one.port == port)
    return server


def expected(jupyter: JupyterServer) -> RunningServer:
    info = json.loads(jupyter.runtime_file.read_text())
    return RunningServer(
        host="127.0.0.1",
        port=jupyter.port,
        token=jupyter.token,
        base_url="/",
        root_dir=str(jupyter.notebooks),
        secure=False,
        pid=jupyter.pid,
        version=info["version"],
        kernels=0,
    )


@pytest.mark.parametrize("shell", SHELLS)
def test_named_by_the_environment(jupyter: JupyterServer, home: Path, shell: str) -> None:
    found = search(home, shell, JUPYTER_RUNTIME_DIR=str(jupyter.runtime_dir))
    assert found[0] == expected(jupyter)


@pytest.mark.parametrize("shell", SHELLS)
def test_in_the_usual_place(jupyter: JupyterServer, home: Path, shell: str) -> None:
    shutil.copy(jupyter.runtime_file, runtime(home))
    assert with_port(search(home, shell), jupyter.port) == expected(jupyter)


def test_where_a_running_process_was_told(jupyter: JupyterServer, home: Path) -> None:
    assert with_port(search(home), jupyter.port) == expected(jupyter)


def test_under_a_data_folder(jupyter: JupyterServer, home: Path) -> None:
    folder = home / "data of ada/runtime"
    folder.mkdir(parents=True)
    shutil.copy(jupyter.runtime_file, folder)
    assert search(home, JUPYTER_DATA_DIR=str(folder.parent))[0] == expected(jupyter)


@pytest.mark.parametrize("shell", SHELLS)
def test_without_proc_lsof_tells(jupyter: JupyterServer, home: Path, shell: str) -> None:
    """As on macOS."""
    text = SCRIPT.replace("/proc", "/no-proc")
    assert shutil.which("lsof") is not None
    output = run(home, shell, text, JUPYTER_RUNTIME_DIR=str(jupyter.runtime_dir))
    assert parse(output).servers == (expected(jupyter),)


@pytest.mark.parametrize("shell", SHELLS)
def test_without_proc_and_lsof_no_token(jupyter: JupyterServer, home: Path, shell: str) -> None:
    text = SCRIPT.replace("/proc", "/no-proc").replace("lsof", "no-lsof")
    output = run(home, shell, text, JUPYTER_RUNTIME_DIR=str(jupyter.runtime_dir))
    (server,) = parse(output).servers
    assert (server.host, server.port, server.token) == ("localhost", jupyter.port, "")


@pytest.mark.parametrize("shell", SHELLS)
def test_many_stale_and_broken_files(jupyter: JupyterServer, home: Path, shell: str) -> None:
    folder = runtime(home)
    info = json.loads(jupyter.runtime_file.read_text())
    ended = subprocess.Popen(["true"])
    ended.wait()
    for number in range(100):
        (folder / f"jpserver-{4_000_000 + number}.json").write_text(json.dumps(info))
    (folder / f"jpserver-{ended.pid}.json").write_text(json.dumps(info | {"pid": ended.pid}))
    # A number of a living process of ours, with nothing or with nonsense behind it.
    (folder / f"jpserver-{os.getpid()}.json").write_bytes(b"\x00\xff{@@end\n@@server 1\n")
    (folder / f"nbserver-{os.getppid()}.json").write_text("")
    (folder / "jpserver-$(touch oops).json").write_text("{}")
    (folder / "jpserver-.json").write_text("{}")
    (folder / "jpserver-1 2.json").mkdir()
    (folder / "jpserver-7-open.html").write_text("<html>")
    shutil.copy(jupyter.runtime_file, folder)
    assert with_port(search(home, shell), jupyter.port) == expected(jupyter)
    assert not list(home.rglob("oops"))


@pytest.mark.parametrize("shell", SHELLS)
def test_no_command_runs_for_a_stale_file(home: Path, shell: str) -> None:
    """Thousands of them take no longer than their names take to read."""
    for number in range(3000):
        (runtime(home) / f"jpserver-{5_000_000 + number}.json").write_text("{}")
    counts = []
    for stale in (True, False):
        if not stale:
            shutil.rmtree(runtime(home))
            runtime(home).mkdir()
        before = os.times().children_user + os.times().children_system
        assert parse(run(home, shell)).home == str(home)
        counts.append(os.times().children_user + os.times().children_system - before)
    assert counts[0] < counts[1] + 1


@pytest.mark.parametrize("shell", SHELLS)
def test_when_a_process_began_tells_it_from_another(home: Path, shell: str) -> None:
    def born(*parts: str) -> list[str]:
        text = f"{SCRIPT.split('# Lists')[0]}\nfor one in $*; do born $one; done\n"
        command = ["/usr/bin/env", *shell.split(), "-c", text, "sh", *parts]
        return subprocess.run(command, capture_output=True, check=True).stdout.decode().split()

    with Listener() as one, Listener() as two:
        first = born(str(one.pid), str(two.pid))
        assert first == born(str(one.pid), str(two.pid))
    assert len(set(first)) == 2
    assert born(str(one.pid)) == []


@pytest.mark.parametrize("shell", SHELLS)
def test_nothing_there(tmp_path: Path, shell: str) -> None:
    text = SCRIPT.replace("/proc/[", "/no-proc/[")
    assert parse(run(tmp_path, shell, text)).servers == ()


TOOLS = (
    *("awk", "cat", "head", "id", "kill", "ls", "od", "ps", "sed", "sh", "tr", "uname", "xargs"),
)


def test_without_python_or_jupyter_on_the_path(
    jupyter: JupyterServer, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tools = home / "bin"
    tools.mkdir()
    for name in TOOLS:
        program = shutil.which(name)
        assert program is not None
        (tools / name).symlink_to(program)
    monkeypatch.setenv("PATH", str(tools))
    shutil.copy(jupyter.runtime_file, runtime(home))
    assert with_port(search(home, str(tools / "sh")), jupyter.port) == expected(jupyter)


@pytest.mark.parametrize("shell", SHELLS)
@pytest.mark.parametrize("source", ["proc", "lsof"])
def test_a_unix_socket_is_ours_while_its_file_is(home: Path, shell: str, source: str) -> None:
    """A stranger's file in the place of ours would receive the token."""
    text = SCRIPT if source == "proc" else SCRIPT.replace("/proc", "/no-proc")
    path = home / ("lab sock" if source == "proc" else "lab.sock")  # lsof ends it at the blank
    info = {"pid": os.getpid(), "port": 0, "sock": str(path), "token": "t0ken"}
    (runtime(home) / f"jpserver-{os.getpid()}.json").write_text(json.dumps(info))

    def found() -> list[str]:
        output = run(home, shell, text)
        return [one.token for one in parse(output).servers if one.socket == str(path)]

    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen()
        assert found() == ["t0ken"]
        path.unlink()
        assert found() == []
        path.touch()
        assert found() == []
    path.unlink()
    with socket.socket(socket.AF_UNIX) as bound_only:
        bound_only.bind(str(path))
        if source == "proc":
            assert found() == []


def test_the_newest_first(home: Path) -> None:
    folder = runtime(home)
    with Listener() as old, Listener() as new:
        for age, listener in ((100, old), (50, new)):
            file = folder / f"jpserver-{listener.pid}.json"
            file.write_text(json.dumps({"pid": listener.pid, "port": listener.port}))
            stamp = time.time() - age
            os.utime(file, (stamp, stamp))
        ports = [server.port for server in search(home)]
    assert ports.index(new.port) < ports.index(old.port)


# --- whose port is it? ------------------------------------------------------------------------


class Listener(Scoped):
    """A process that listens on a port of its own, under another account if told so."""

    def __init__(self, *, address: str = "127.0.0.1", uid: int = -1) -> None:
        code = (
            "import os, socket, sys\n"
            "uid = int(sys.argv[2])\n"
            "os.setresuid(uid, uid, uid)\n"
            "family = socket.AF_INET6 if ':' in sys.argv[1] else socket.AF_INET\n"
            "sock = socket.socket(family)\n"
            "sock.bind((sys.argv[1], 0)); sock.listen()\n"
            "print(sock.getsockname()[1], flush=True)\n"
            "sys.stdin.read()\n"
        )
        self._process = subprocess.Popen(
            [sys.executable, "-c", code, address, str(uid)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        assert self._process.stdout is not None
        self.port = int(self._process.stdout.readline())
        self.pid = self._process.pid

    def close(self) -> None:
        self._process.communicate(timeout=60)


def note(home: Path, pid: int, port: int) -> None:
    """A runtime file, as process `pid` would have written it."""
    file = runtime(home) / f"jpserver-{pid}.json"
    file.write_text(json.dumps({"pid": pid, "port": port, "token": "t0ken", "base_url": "/"}))


def test_a_port_of_the_very_process(home: Path) -> None:
    with Listener() as listener:
        note(home, listener.pid, listener.port)
        assert with_port(search(home), listener.port).token == "t0ken"


def test_only_the_address_it_listens_on(home: Path) -> None:
    """On 127.0.0.1 the same port may be a stranger's."""
    with Listener(address="::1") as listener:
        note(home, listener.pid, listener.port)
        assert with_port(search(home), listener.port).host == "::1"


def test_a_port_of_another_process_of_ours(home: Path) -> None:
    """The file's process lives, but the port is not its own: as with a home that several hosts
    share, whose process numbers mean nothing here."""
    with Listener() as listener:
        note(home, os.getpid(), listener.port)
        assert listener.port not in [server.port for server in search(home)]


def test_a_port_of_another_account(home: Path) -> None:
    """The stale file's port belongs to a stranger by now, who must not be given the token."""
    if os.geteuid() == 0:
        stranger = Listener(uid=65534)
        text = SCRIPT
    else:
        # Nobody else can be had: the other account is ours, and the searching one is not.
        stranger = Listener()
        text = SCRIPT.replace("uid=$(id -u)", "uid=12345")
    with stranger:
        for pid in (stranger.pid, os.getpid()):
            note(home, pid, stranger.port)
        output = run(home, text=text)
    assert stranger.port not in [server.port for server in parse(output).servers]


def test_a_file_of_another_account(home: Path) -> None:
    with Listener() as listener:
        note(home, listener.pid, listener.port)
        if os.geteuid() == 0:
            os.chown(runtime(home) / f"jpserver-{listener.pid}.json", 65534, 65534)
            found = search(home)
        else:
            found = parse(run(home, text=SCRIPT.replace("-O ", "-k "))).servers
    assert listener.port not in [server.port for server in found]


def test_a_process_that_listens_no_more(home: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as sock:
        port = sock.getsockname()[1]
    note(home, os.getpid(), port)
    assert port not in [server.port for server in search(home)]
