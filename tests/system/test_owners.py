"""A local port never leads to a stranger: a second account of the server, and a real sshd."""

from __future__ import annotations

import contextlib
import http.client
import os
import pwd
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from tests.support.forwarded import bounded_memory
from tests.support.forwarding import LIMIT, eventually, listening, no_leaks
from tests.support.keys import make_key
from tests.support.ports import free_port
from tests.support.sshd import Sshd, system_user
from tests.support.strangers import Listener, person
from tests.support.tunnel_kit import Kit
from tests.support.tunnel_kit import entry as tunnel_entry
from tests.support.whole import Whole, entry
from trayconnect.config.model import Server
from trayconnect.core.endpoints import Endpoint, TcpEndpoint, UnixEndpoint
from trayconnect.core.errors import ProblemError
from trayconnect.core.link import ByteStream, Client, Link, NotOursError, OpenChannel, Own, Owner
from trayconnect.services.protocol import Level, PageState
from trayconnect.ssh import check_pace, owners_shell, ownership
from trayconnect.ssh.own_channels import OwnChannels
from trayconnect.ssh.owners_shell import OwnersShell
from trayconnect.ssh.ssh_link import SshLink

pytestmark = pytest.mark.skipif(
    sys.platform == "win32" or os.geteuid() != 0, reason="only root can make another user"
)

SECRET = b"s3cr3t-of-the-browser"


@pytest.fixture(scope="module")
def ada() -> Iterator[tuple[str, int]]:
    """The user: its name and number."""
    with system_user() as (name, _):
        yield name, pwd.getpwnam(name).pw_uid


@pytest.fixture(scope="module")
def eve() -> Iterator[int]:
    """Another user's number."""
    with person() as uid:
        yield uid


@pytest.fixture
def sshd() -> Iterator[Sshd]:
    with Sshd() as server:
        server.folder.chmod(0o711)
        server.authorized_keys.chmod(0o644)
        yield server


def let_in(sshd: Sshd, folder: Path) -> Path:
    key = make_key(folder)
    sshd.authorize(key)
    sshd.authorized_keys.chmod(0o644)
    return key


@contextlib.contextmanager
def tunnel_of(sshd: Sshd, name: str, folder: Path) -> Iterator[Link]:
    key = let_in(sshd, folder)
    kit = Kit(folder)
    kit.trust(sshd.known_hosts_lines())
    with kit.tunnel(tunnel_entry(sshd.port, identity_file=key, username=name)) as tunnel:
        yield tunnel


@pytest.fixture
def tunnel(sshd: Sshd, ada: tuple[str, int], tmp_path: Path) -> Iterator[Link]:
    with no_leaks(), tunnel_of(sshd, ada[0], tmp_path) as opened:
        yield opened


def ask(port: int, *, path: str = "/lab?token=abc") -> tuple[int, str]:
    """What a browser gets that sends its secret."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=LIMIT)
    try:
        headers = {"Authorization": f"token {SECRET.decode()}", "Cookie": SECRET.decode()}
        connection.request("GET", path, headers=headers)
        answer = connection.getresponse()
        return answer.status, answer.read().decode()
    finally:
        connection.close()


def opened(tunnel: Link, target: Endpoint, *, named: bool = True) -> Owner:
    """Whose it was; `NotOursError` if nothing may be sent there."""
    stream, owner = tunnel.open_own_channel(target, ("127.0.0.1", 0), named=named)
    stream.close()
    return owner


def refused(tunnel: Link, target: Endpoint, *, named: bool = True) -> Owner:
    with pytest.raises(NotOursError) as error:
        opened(tunnel, target, named=named)
    return error.value.owner


# --- whose a listener is ------------------------------------------------------------------------


@pytest.mark.parametrize("host", ["127.0.0.1", "0.0.0.0", "::1", "127.0.0.5"])
def test_whose_a_port_is(tunnel: Link, ada: tuple[str, int], eve: int, host: str) -> None:
    port = free_port()
    said = {"0.0.0.0": "localhost", "127.0.0.5": "127.0.0.5"}.get(host, "localhost")
    target = TcpEndpoint(said, port)
    assert tunnel.owner(target) is Owner.NOBODY
    with Listener(ada[1], f"{host}:{port}"):
        assert tunnel.owner(target) is Owner.OURS
        assert opened(tunnel, target, named=False) is Owner.OURS
    with Listener(eve, f"{host}:{port}") as theirs:
        assert tunnel.owner(target) is Owner.OTHERS
        assert refused(tunnel, target) is Owner.OTHERS
        assert theirs.end() == b""
    with Listener(0, f"{host}:{port}"):
        assert opened(tunnel, target) is Owner.SYSTEM
        assert refused(tunnel, target, named=False) is Owner.SYSTEM


def test_of_localhost_the_address_of_ours_is_taken(
    tunnel: Link, ada: tuple[str, int], eve: int
) -> None:
    """OpenSSH tries [::1] first where the host's own file names it."""
    port = free_port()
    target = TcpEndpoint("localhost", port)
    for ours, theirs in (("127.0.0.1", "::1"), ("::1", "127.0.0.1")):
        with Listener(ada[1], f"{ours}:{port}"), Listener(eve, f"{theirs}:{port}") as other:
            for _ in range(3):
                assert opened(tunnel, target, named=False) is Owner.OURS
            assert other.end() == b""


@pytest.mark.parametrize("folder_mode", [0o755, 0o1777, 0o777])
def test_whose_a_unix_socket_is(
    tunnel: Link, ada: tuple[str, int], eve: int, sshd: Sshd, folder_mode: int
) -> None:
    folder = sshd.folder / "sockets {0}"
    folder.mkdir()
    folder.chmod(folder_mode)
    os.chown(folder, ada[1] if folder_mode == 0o755 else 0, -1)
    target = UnixEndpoint(str(folder / "one.sock"))
    assert tunnel.owner(target) is Owner.NOBODY
    with Listener(ada[1], target.path):
        if folder_mode == 0o777:
            # Where anybody may rename it, another may be in its place for a moment.
            assert refused(tunnel, target) is Owner.UNKNOWN
        else:
            assert opened(tunnel, target) is Owner.OURS
    Path(target.path).unlink()
    if folder_mode != 0o755:
        with Listener(eve, target.path) as theirs:
            Path(target.path).chmod(0o777)
            assert refused(tunnel, target) is Owner.OTHERS
            assert (theirs.end(), theirs.connections) == (b"", 0)


def test_a_link_on_the_way_to_a_socket_cannot_be_turned(
    tunnel: Link, ada: tuple[str, int], eve: int, sshd: Sshd
) -> None:
    """The channel goes to where the link led when it was judged."""
    ours, theirs, shared = (sshd.folder / name for name in ("ours", "theirs", "shared"))
    for folder, uid in ((ours, ada[1]), (theirs, eve), (shared, 0)):
        folder.mkdir()
        os.chown(folder, uid, -1)
    shared.chmod(0o777)
    links = {shared / "folder": "", shared / "socket": "s", shared / "relative": "s"}

    def turn(link: Path, folder: Path) -> None:
        link.unlink(missing_ok=True)
        start = Path("..", folder.name) if link.name == "relative" else folder
        link.symlink_to(start / links[link])
        os.chown(link, eve, -1, follow_symlinks=False)

    def turning(link: Path) -> OpenChannel:
        def open_channel(target: Endpoint, origin: tuple[str, int]) -> ByteStream:
            turn(link, theirs)
            try:
                return tunnel.open_channel(target, origin)
            finally:
                turn(link, ours)

        return open_channel

    assert isinstance(tunnel, SshLink)
    with Listener(ada[1], str(ours / "s")), Listener(eve, str(theirs / "s")) as stranger:
        (theirs / "s").chmod(0o777)
        for link, name in links.items():
            target = UnixEndpoint(str(link if name else link / "s"))
            turn(link, theirs)
            assert refused(tunnel, target) is Owner.OTHERS
            turn(link, ours)
            channels = OwnChannels(turning(link), tunnel.open_held, tunnel._commands.ownership)
            stream, owner = channels.open(target, ("127.0.0.1", 0), named=False)
            stream.sendall(SECRET)
            stream.close()
            assert owner is Owner.OURS
        assert (stranger.end(), stranger.connections) == (b"", 0)


def test_a_name_of_another_users_file_is_no_answer(
    tunnel: Link, ada: tuple[str, int], eve: int, sshd: Sshd
) -> None:
    """A link on the way to a socket leads to a folder whose name has the lines that end this answer
    and give the next one: that the port of another user is the account's own."""
    port = free_port()
    near, far = f"0100007F:{port:04X}", "0100007F:0001"
    rows = [f"{near} 00000000:0000 0A", f"{near} {far} 01", f"{far} {near} 01"]
    sockets = [f"socket {row} {ada[1]} 1" for row in rows]
    name = ["x", "whole", "@@end 1", "@@begin 2", *sockets, "whole", "@@end 2", ""]
    shared = sshd.folder / "shared"
    shared.mkdir()
    shared.chmod(0o1777)
    trap = shared / "\n".join(name) / "sockets"
    trap.mkdir(parents=True)
    sock = trap / "s"
    link = shared / "socket"
    with contextlib.chdir(trap), socket.socket(socket.AF_UNIX) as named:
        named.bind(sock.name)
    link.symlink_to(sock)
    for path in (trap.parent, trap, sock, link):
        os.chown(path, eve, -1, follow_symlinks=False)
    with Listener(eve, f"127.0.0.1:{port}") as theirs:
        assert tunnel.owner(UnixEndpoint(str(link))) is Owner.UNKNOWN
        assert refused(tunnel, TcpEndpoint("127.0.0.1", port), named=False) is Owner.OTHERS
        assert theirs.end() == b""


# --- through the local port ---------------------------------------------------------------------


def test_what_another_user_has_is_not_led_to(tunnel: Link, ada: tuple[str, int], eve: int) -> None:
    """Refused with a page that says why, or hung up on; as before once it is ours again."""
    port = free_port()
    tool = {"name": "tool", "local_port": free_port(), "port": port, "open": True}
    raw = {"name": "raw", "local_port": free_port(), "port": port}
    jupyter = {"host": "localhost", "port": port}
    server = Server.model_validate(
        {
            "name": "box",
            "host": "h",
            "local_port": free_port(),
            "jupyter": jupyter,
            "forwards": [tool, raw],
        }
    )
    guarded = [server.local_port, server.forwards[0].local_port or 0]
    with listening(server) as forwarding:
        forwarding.attach(tunnel)
        with Listener(ada[1], f"127.0.0.1:{port}", "mine"):
            assert [ask(local) for local in guarded] == [(200, "mine")] * 2
        with Listener(eve, f"127.0.0.1:{port}") as theirs:
            for local in guarded:
                status, page = ask(local)
                assert (status, "belongs to another user" in page) == (503, True)
                with socket.create_connection(("127.0.0.1", local), LIMIT) as client:
                    client.sendall(b"\x16\x03\x01" + SECRET)
                    assert client.recv(1) == b""
            # Said as in ssh, it leads where it says.
            assert ask(server.forwards[1].local_port or 0) == (200, "theirs")
            heard = theirs.end()
            assert heard.count(SECRET) == 2, "that of the plain forward, in two fields"
        with Listener(0, f"127.0.0.1:{port}", "system's"):
            # It was ours once, so that nothing less will do.
            assert [ask(local)[0] for local in guarded] == [503, 503]
        with Listener(ada[1], f"127.0.0.1:{port}", "mine"):
            assert [ask(local) for local in guarded] == [(200, "mine")] * 2


def test_the_race_for_a_port_that_gets_free(tunnel: Link, ada: tuple[str, int], eve: int) -> None:
    """The stranger takes it the moment that the user's program ends, while clients reconnect as
    fast as they can, with their secret; then the user's own comes back in the same way."""
    heard, connections = b"", 0
    for _ in range(6):
        theirs = _race(tunnel, ada[1], eve)
        heard += theirs.heard
        connections += theirs.connections
    assert (heard, connections > 10) == (b"", True)


def _race(tunnel: Link, ada: int, eve: int) -> Listener:
    """The stranger of one race, ended."""
    port = free_port()
    server = Server.model_validate({"name": "box", "host": "h", "local_port": free_port()})
    stop = threading.Event()
    told: list[str] = []

    def hammer() -> None:
        while not stop.is_set():
            with contextlib.suppress(OSError, http.client.HTTPException):
                told.append(ask(server.local_port)[1])

    with listening(server) as forwarding, contextlib.ExitStack() as stack:
        forwarding.attach(tunnel)
        forwarding.set_target(Own(TcpEndpoint("127.0.0.1", port), named=False))
        ours = stack.enter_context(Listener(ada, f"127.0.0.1:{port}", "mine"))
        clients = [threading.Thread(target=hammer) for _ in range(3)]
        for client in clients:
            client.start()
        try:
            eventually(lambda: told.count("mine") > 2, "answers")
            theirs = stack.enter_context(Listener(eve, f"127.0.0.1:{port}", grab=True))
            ours.end()
            eventually(lambda: theirs.connections > 2, "connections to the stranger")
            stack.enter_context(Listener(ada, f"127.0.0.1:{port}", "back", grab=True))
            theirs.end()
            eventually(lambda: told.count("back") > 2, "answers of the new one")
        finally:
            stop.set()
            for client in clients:
                client.join(LIMIT)
    assert "theirs" not in told
    return theirs


def test_who_accepts_and_leaves_the_port_to_ours_keeps_nothing(
    tunnel: Link, ada: tuple[str, int], eve: int, sshd: Sshd
) -> None:
    """The connection is in a stranger's hands, while the listener is ours again."""
    port = free_port()
    target = TcpEndpoint("127.0.0.1", port)
    script = (
        "import os, socket, sys\n"
        "uid, port = int(sys.argv[1]), int(sys.argv[2])\n"
        "os.setgroups([]); os.setgid(uid); os.setuid(uid)\n"
        "s = socket.socket(); s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)\n"
        "s.bind(('127.0.0.1', port)); s.listen(8); os.write(1, b'!')\n"
        "peer, _ = s.accept(); s.close(); os.write(1, b'+')\n"
        "peer.recv(1)\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", script, str(eve), str(port)], stdout=subprocess.PIPE
    ) as theirs:
        assert theirs.stdout is not None
        assert os.read(theirs.stdout.fileno(), 1) == b"!"
        raw = tunnel.open_channel(target, ("127.0.0.1", 0))
        assert os.read(theirs.stdout.fileno(), 1) == b"+"
        with Listener(ada[1], f"127.0.0.1:{port}"):
            # Another connection of ours to there is enough to be careful.
            assert tunnel.owner(target) is Owner.OURS
            assert refused(tunnel, target) is Owner.OTHERS
            raw.close()
            theirs.wait(LIMIT)
            assert opened(tunnel, target, named=False) is Owner.OURS


# --- where it cannot be known -------------------------------------------------------------------


_FULL = """
import os, signal, socket, sys
uid, port = int(sys.argv[1]), int(sys.argv[2])
os.setgroups([]); os.setgid(uid); os.setuid(uid)
listener = socket.socket()
listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
listener.bind(("127.0.0.1", port))
listener.listen(0)
os.write(1, b"!")
signal.pause()
"""


def test_who_takes_the_port_while_a_connection_is_being_made_gets_nothing(
    tunnel: Link, ada: tuple[str, int], eve: int
) -> None:
    """The table that is asked for together with the channel shows a listener of ours, whose queue
    is full; the connection is made a second later, to whoever listens then."""
    port = free_port()
    target = TcpEndpoint("127.0.0.1", port)
    refusals: list[ProblemError] = []
    with contextlib.ExitStack() as leaving:
        ours = leaving.enter_context(
            subprocess.Popen(
                [sys.executable, "-c", _FULL, str(ada[1]), str(port)], stdout=subprocess.PIPE
            )
        )
        leaving.callback(ours.kill)
        assert ours.stdout is not None
        assert ours.stdout.read(1) == b"!"
        for _ in range(10):
            sock = leaving.enter_context(socket.socket())
            sock.settimeout(0.3)
            try:
                sock.connect(("127.0.0.1", port))
            except TimeoutError:
                sock.close()
                break
        else:
            pytest.skip("this kernel queues more than it was told to")
        near, far = socket.socketpair()
        leaving.callback(near.close)
        far.setblocking(False)
        near.sendall(SECRET)
        asked = tunnel.owner(target)  # the shell runs
        tunnel.carry_own(
            Client(far, ("127.0.0.1", 0)),
            target,
            named=False,
            on_opened=lambda _: None,
            on_refused=refusals.append,
        )
        eventually(lambda: _connects(port), "the server to connect")
        theirs = leaving.enter_context(Listener(eve, f"127.0.0.1:{port}", grab=True))
        ours.kill()
        eventually(lambda: bool(refusals), "the refusal")
        far.close()
        assert asked is Owner.OURS
        assert isinstance(refusals[0], NotOursError)
        assert refusals[0].owner is Owner.OTHERS
        assert (theirs.end(), theirs.connections) == (b"", 1)


def _connects(port: int) -> bool:
    """Whether a connection of this computer waits for its answer."""
    rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    return any(row[2].endswith(f":{port:04X}") and row[3] == "02" for row in rows)


@pytest.mark.parametrize("options", [{"MaxSessions": "0"}, {"ForceCommand": "exit 1"}])
def test_where_no_command_can_be_run(
    ada: tuple[str, int], eve: int, tmp_path: Path, options: dict[str, str]
) -> None:
    with Sshd(options=options) as sshd:
        sshd.folder.chmod(0o711)
        sshd.authorized_keys.chmod(0o644)
        with tunnel_of(sshd, ada[0], tmp_path) as tunnel, Listener(eve, "127.0.0.1:0"):
            port = free_port()
            with Listener(eve, f"127.0.0.1:{port}"):
                target = TcpEndpoint("localhost", port)
                assert opened(tunnel, target) is Owner.UNKNOWN
                assert refused(tunnel, target, named=False) is Owner.UNKNOWN


def test_a_shell_that_takes_too_long_proves_nothing(
    sshd: Sshd, ada: tuple[str, int], eve: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another user can slow the server down; one that never answers cannot tell at all."""
    for module in (ownership, owners_shell):
        monkeypatch.setattr(module, "START_SECONDS", 0.5)
    sshd.set_option("ForceCommand", "exec sleep 60")
    sshd.restart()
    port = free_port()
    target = TcpEndpoint("localhost", port)
    with tunnel_of(sshd, ada[0], tmp_path) as tunnel, Listener(eve, f"127.0.0.1:{port}") as theirs:
        assert [refused(tunnel, target) for _ in range(2)] == [Owner.UNKNOWN] * 2
        assert theirs.end() == b""
    monkeypatch.setattr(ownership, "PATIENCE", 0.0)
    again = tmp_path / "again"
    again.mkdir()
    with tunnel_of(sshd, ada[0], again) as tunnel, Listener(eve, f"127.0.0.1:{port}"):
        assert opened(tunnel, target) is Owner.UNKNOWN


@pytest.mark.parametrize(
    "lie",
    [
        pytest.param('printf "@@begin $n\\n"; exec yes xy', id="endless"),
        pytest.param('printf "@@begin $n\\n"; exec tr "\\0" x </dev/zero', id="an-endless-line"),
        pytest.param('printf "@@begin 0\\nwhole\\n@@end 0\\n"', id="an-old-question"),
        pytest.param('printf "@@begin 9$n\\nwhole\\n@@end 9$n\\n"', id="a-later-question"),
    ],
)
def test_answers_that_no_script_of_ours_gives_prove_nothing(
    sshd: Sshd, tmp_path: Path, lie: str
) -> None:
    """And fill no memory."""
    head = "printf '\\n@@trayconnect owners 1 0 0 1000 proc 1 below\\n'"
    loop = f'while read -r kind n port; do if [ -n "$kind" ]; then {lie}; fi; done'
    sshd.set_option("ForceCommand", f"{head}; {loop}")
    sshd.restart()
    with socket.create_server(("127.0.0.1", 0)) as far:
        target = TcpEndpoint("127.0.0.1", far.getsockname()[1])
        with (
            no_leaks(),
            tunnel_of(sshd, sshd.username, tmp_path) as tunnel,
            bounded_memory(32 << 20),
        ):
            assert refused(tunnel, target, named=False) is Owner.UNKNOWN


def test_a_server_that_told_once_is_asked_until_it_tells_again(
    sshd: Sshd, ada: tuple[str, int], eve: int, tmp_path: Path
) -> None:
    """Over tunnels: another user can keep it from starting a shell."""
    kit, key = Kit(tmp_path), let_in(sshd, tmp_path)
    kit.trust(sshd.known_hosts_lines())
    server = tunnel_entry(sshd.port, identity_file=key, username=ada[0])
    port = free_port()
    target = TcpEndpoint("localhost", port)
    with kit.tunnel(server) as tunnel, Listener(ada[1], f"127.0.0.1:{port}"):
        assert opened(tunnel, target) is Owner.OURS
    sshd.set_option("ForceCommand", "exit 1")
    sshd.restart()
    with kit.tunnel(server) as tunnel, Listener(eve, f"127.0.0.1:{port}") as theirs:
        assert refused(tunnel, target) is Owner.UNKNOWN
        assert theirs.end() == b""


def test_one_command_at_a_time(ada: tuple[str, int], tmp_path: Path) -> None:
    """The shell that tells makes room for the others, and comes back."""
    with Sshd(options={"MaxSessions": "1"}) as sshd:
        sshd.folder.chmod(0o711)
        sshd.authorized_keys.chmod(0o644)
        port = free_port()
        target = TcpEndpoint("localhost", port)
        with tunnel_of(sshd, ada[0], tmp_path) as tunnel, Listener(ada[1], f"127.0.0.1:{port}"):
            for number in range(3):
                assert opened(tunnel, target, named=False) is Owner.OURS
                done = tunnel.execute("exec sh", b"echo %d\n" % number, LIMIT)
                assert done.stdout == b"%d\n" % number
            running = threading.Thread(target=tunnel.execute, args=("exec sleep 1", b"", LIMIT))
            running.start()
            assert opened(tunnel, target, named=False) is Owner.OURS
            running.join(LIMIT)


def test_another_host_is_nobodys_here(tunnel: Link, eve: int) -> None:
    """Of a name nothing is proven, but that it leads to a stranger of this very host."""
    port = free_port()
    name = TcpEndpoint("127.1", port)
    with Listener(0, f"127.0.0.1:{port}"):
        assert opened(tunnel, name) is Owner.UNKNOWN
    with Listener(eve, f"127.0.0.1:{port}"):
        assert refused(tunnel, name) is Owner.OTHERS


# --- login shells -------------------------------------------------------------------------------


@pytest.mark.parametrize("shell", ["bash", "dash", "zsh", "fish", "tcsh", "busybox"])
def test_under_every_login_shell(eve: int, tmp_path: Path, shell: str) -> None:
    from tests.system.test_jupyter_logins import noisy, shell_program

    folder = tmp_path / "shells"
    for each in (*reversed(tmp_path.parents), tmp_path):
        if each.stat().st_uid == os.geteuid() and each != Path("/"):
            each.chmod(each.stat().st_mode | 0o711)
    folder.mkdir(mode=0o755)
    with system_user(str(shell_program(shell, folder))) as (name, _), Sshd() as sshd:
        uid = pwd.getpwnam(name).pw_uid
        sshd.folder.chmod(0o711)
        noisy(sshd.home)
        port = free_port()
        target = TcpEndpoint("localhost", port)
        with tunnel_of(sshd, name, tmp_path) as tunnel:
            with Listener(uid, f"127.0.0.1:{port}"):
                assert opened(tunnel, target, named=False) is Owner.OURS
            with Listener(eve, f"127.0.0.1:{port}"):
                assert refused(tunnel, target) is Owner.OTHERS


def test_a_shell_that_dies_is_started_again(tunnel: Link, ada: tuple[str, int], sshd: Sshd) -> None:
    port = free_port()
    target = TcpEndpoint("localhost", port)
    with Listener(ada[1], f"127.0.0.1:{port}"):
        assert opened(tunnel, target, named=False) is Owner.OURS
        shells = [pid for pid in sshd.session_pids() if _command(pid) == "sh"]
        assert shells
        for shell in shells:  # a login shell may wait for the other one, or be replaced by it
            with contextlib.suppress(ProcessLookupError):
                os.kill(shell, signal.SIGKILL)
        assert opened(tunnel, target, named=False) is Owner.OURS


def _command(pid: int) -> str:
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/comm").read_text().strip()
    return ""


def test_a_burst_costs_few_checks(
    tunnel: Link, ada: tuple[str, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []
    at_once = [0, 0]
    ask_ = OwnersShell.ask

    def counted(shell: OwnersShell, questions: Sequence[str]) -> list[list[str]]:
        asked.extend(questions)
        at_once[0] += 1
        at_once[1] = max(at_once)
        time.sleep(0.3)  # meanwhile the others come, on a busy machine, too
        try:
            return ask_(shell, questions)
        finally:
            at_once[0] -= 1

    monkeypatch.setattr(check_pace, "NEAR", LIMIT)  # so is the server, on a busy machine, too
    monkeypatch.setattr(OwnersShell, "ask", counted)
    port = free_port()
    target = TcpEndpoint("127.0.0.1", port)
    with Listener(ada[1], f"127.0.0.1:{port}"):
        assert opened(tunnel, target, named=False) is Owner.OURS
        del asked[:]
        threads = [threading.Thread(target=opened, args=(tunnel, target)) for _ in range(20)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(LIMIT)
        assert len(asked) < 10
        assert at_once[1] == 1


def test_nobody_waits_for_ever_for_the_check_before_theirs(
    tunnel: Link, ada: tuple[str, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    began, release = threading.Event(), threading.Event()
    ask_ = OwnersShell.ask

    def held(shell: OwnersShell, questions: Sequence[str]) -> list[list[str]]:
        began.set()
        assert release.wait(LIMIT)
        return ask_(shell, questions)

    monkeypatch.setattr(OwnersShell, "ask", held)
    monkeypatch.setattr(check_pace, "MOST_AT_ONCE", 1)
    port = free_port()
    target = TcpEndpoint("127.0.0.1", port)
    with Listener(ada[1], f"127.0.0.1:{port}"):
        owners: list[Owner] = []
        first = threading.Thread(target=lambda: owners.append(tunnel.owner(target)))
        first.start()
        assert began.wait(LIMIT)
        with monkeypatch.context() as impatient:
            impatient.setattr(ownership, "_LONGEST_WAIT", 0.1)
            assert tunnel.owner(target) is Owner.UNKNOWN
        release.set()
        first.join(LIMIT)
        assert owners == [Owner.OURS]
        assert tunnel.owner(target) is Owner.OURS


# --- the whole way ------------------------------------------------------------------------------


def test_the_fallback_port_of_auto_is_never_led_to(
    ada: tuple[str, int], eve: int, sshd: Sshd, tmp_path: Path
) -> None:
    server = entry(sshd, let_in(sshd, tmp_path), username=ada[0])
    try:
        theirs = Listener(eve, "127.0.0.1:8888")
    except AssertionError:
        pytest.skip("somebody has port 8888 of this computer")
    with theirs, no_leaks(), Whole(server, known_hosts=sshd.known_hosts_lines()) as whole:
        whole.connect()
        now = whole.until(lambda s: s.level is Level.NOTHING and s.problem is not None)
        assert now.problem is not None
        assert now.problem.title == "No Jupyter of yours runs on the server"
        assert "jupyter.port" not in now.problem.advice
        status, page = ask(server.local_port)
        assert (status, "No Jupyter of yours" in page) == (503, True)
        whole.off()
        assert (theirs.end(), theirs.connections) == (b"", 0)


def test_a_tool_of_another_user_is_not_offered(
    ada: tuple[str, int], eve: int, sshd: Sshd, tmp_path: Path
) -> None:
    port = free_port()
    ready, plain = (
        {"name": name, "local_port": free_port(), "port": port, "open": True, **more}
        for name, more in (("ready", {"ready": "/health"}), ("plain", {}))
    )
    key = let_in(sshd, tmp_path)
    server = entry(sshd, key, username=ada[0], forwards=[ready, plain])
    with Listener(eve, f"127.0.0.1:{port}") as theirs:
        with no_leaks(), Whole(server, known_hosts=sshd.known_hosts_lines()) as whole:
            whole.connect()
            now = whole.until(lambda s: all(f.page is PageState.OTHERS for f in s.forwards))
            assert now.forwards[0].answers is False
            whole.off()
        assert theirs.end() == b""
