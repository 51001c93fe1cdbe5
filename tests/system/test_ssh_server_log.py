"""What a real sshd logs at VERBOSE: trayconnect causes no line of trouble that `ssh` would not.
Programs such as fail2ban count those lines."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.support.forwarding import eventually
from tests.support.keys import SshAgent, make_key
from tests.support.sshd import Sshd, password_server
from tests.support.staged_jupyter import StagedJupyter
from tests.support.tunnel_kit import Kit, User, entry, says
from tests.support.whole import Whole
from tests.support.whole import entry as whole_entry
from trayconnect.config.model import Server
from trayconnect.core.endpoints import TcpEndpoint
from trayconnect.core.errors import ProblemError
from trayconnect.services.jupyter.discovery import find
from trayconnect.ssh.ssh_link import SshLink

ORDINARY = re.compile(
    r"(Connection|Accepted|Partial|Postponed|Starting session|Close session|Received disconnect"
    r"|Disconnected|Server listening|User child|Exiting)\b"
    r"|kex_exchange_identification"  # the look whether it listens
    r"|dispatch_protocol_error: Connection from"  # an end that it notices as it answers
)
REFUSED = r"Failed publickey "
NO_MORE = "no more sessions"
FORWARD = r"refused local port forward|request was denied"


def troubles(sshd: Sshd) -> list[str]:
    """The lines of its log so far that report no success."""
    return [line for line in sshd.log_text().splitlines() if not ORDINARY.match(line)]


def use(tunnel: SshLink, port: int) -> None:
    """As a click does, and the health checks after it."""
    for _ in range(3):
        for step in (
            lambda: find(tunnel.execute, "127.0.0.1"),
            lambda: tunnel.open_own_channel(
                TcpEndpoint("127.0.0.1", port), ("127.0.0.1", 0), named=False
            )[0].close(),
        ):
            try:
                step()
            except ProblemError:
                continue


def connect(kit: Kit, server: Server, user: User | None = None) -> None:
    with StagedJupyter() as jupyter, kit.tunnel(server, user) as tunnel:
        use(tunnel, jupyter.port)


def kit_for(sshd: Sshd, folder: Path, *keys: Path, agent: str = "") -> Kit:
    kit = Kit(folder, identity_files=keys, agent_socket=agent)
    kit.trust(sshd.known_hosts_lines())
    return kit


def ended(sshd: Sshd, times: int) -> None:
    """Wait until it has logged the ends of so many connections."""
    end = re.compile("Disconnected from|dispatch_protocol_error: Connection from")
    eventually(lambda: len(end.findall(sshd.log_text())) >= times, "the log")


def make(folder: Path) -> Path:
    folder.mkdir()
    return make_key(folder)


@pytest.mark.parametrize(
    ("options", "each_time"),
    [
        ({}, []),
        ({"MaxAuthTries": "1"}, []),
        ({"ForceCommand": "internal-sftp"}, []),
        ({"ForceCommand": "exit 1"}, []),
        ({"AllowTcpForwarding": "no"}, [FORWARD] * 3),
        ({"PermitOpen": "127.0.0.1:1"}, [FORWARD] * 3),
        ({"PermitTTY": "no", "X11Forwarding": "no", "PermitUserRC": "no"}, []),
    ],
    ids=lambda value: next(iter(value), "nothing") if isinstance(value, dict) else "",
)
def test_a_server_that_forbids_something(
    tmp_path: Path, options: Mapping[str, str], each_time: list[str]
) -> None:
    """Each refused channel is one line, as with `ssh -W`."""
    with Sshd(options=options) as sshd:
        key = make_key(tmp_path)
        sshd.authorize(key)
        kit = kit_for(sshd, tmp_path)
        for _ in range(2):
            connect(kit, entry(sshd.port, identity_file=key))
        ended(sshd, 2)
        expect(troubles(sshd), each_time * 2)


def expect(lines: list[str], patterns: list[str]) -> None:
    assert len(lines) == len(patterns), lines
    for line, pattern in zip(lines, patterns, strict=True):
        assert re.search(pattern, line), lines


@pytest.mark.parametrize("by_agent", [False, True], ids=["files", "agent"])
def test_a_first_key_that_is_refused(tmp_path: Path, *, by_agent: bool) -> None:
    """Each time it is one line, as with `ssh`; the last time, the key is refused that was enough
    before."""
    wrong, right = make(tmp_path / "wrong"), make(tmp_path / "right")
    with Sshd() as sshd, SshAgent() as agent:
        sshd.authorize(right)
        if by_agent:
            agent.add(wrong)
            agent.add(right)
            kit = kit_for(sshd, tmp_path, agent=str(agent.socket))
        else:
            kit = kit_for(sshd, tmp_path, wrong, right)
        for _ in range(2):
            connect(kit, entry(sshd.port))
        ended(sshd, 2)
        expect(troubles(sshd), [REFUSED] * 2)


def test_a_named_key_that_is_refused(tmp_path: Path) -> None:
    wrong, right = make(tmp_path / "wrong"), make(tmp_path / "right")
    with Sshd() as sshd:
        sshd.authorize(right)
        kit = kit_for(sshd, tmp_path)
        for _ in range(2):
            with pytest.raises(ProblemError):
                kit.connect(entry(sshd.port, identity_file=wrong))
        ended(sshd, 2)
        expect(troubles(sshd), [REFUSED] * 2)


def test_a_key_that_was_enough_and_is_not_any_more(tmp_path: Path) -> None:
    """The requests behind its signature are logged once."""
    with Sshd() as sshd:
        key = make_key(tmp_path)
        sshd.authorize(key)
        kit = kit_for(sshd, tmp_path)
        connect(kit, entry(sshd.port, identity_file=key))
        sshd.authorized_keys.write_text("")
        for _ in range(3):
            with pytest.raises(ProblemError):
                kit.connect(entry(sshd.port, identity_file=key))
        ended(sshd, 4)
        lines = troubles(sshd)
        assert sum("Failed publickey" in line for line in lines) == 3
        assert len(lines) == 3 + 2, lines


def test_a_key_and_a_password_together(tmp_path: Path) -> None:
    with password_server({"AuthenticationMethods": "publickey,password"}) as account:
        if account.sshd is None:
            pytest.skip("only root can make another user")
        key = make_key(tmp_path)
        account.sshd.authorize(key)
        kit = kit_for(account.sshd, tmp_path)
        server = entry(account.port, identity_file=key, username=account.username)
        for _ in range(2):
            connect(kit, server, User(says(account.password)))
        ended(account.sshd, 2)
        expect(troubles(account.sshd), [])


def test_a_wrong_password_first(tmp_path: Path) -> None:
    with password_server() as account:
        if account.sshd is None:
            pytest.skip("only root can make another user")
        kit = kit_for(account.sshd, tmp_path)
        server = entry(account.port, username=account.username)
        for _ in range(2):
            connect(kit, server, User(says("wrong"), says(account.password)))
        ended(account.sshd, 2)
        expect(troubles(account.sshd), [r"Failed password "] * 2)


def test_a_server_without_keys(tmp_path: Path) -> None:
    with password_server({"PubkeyAuthentication": "no"}) as account:
        if account.sshd is None:
            pytest.skip("only root can make another user")
        kit = kit_for(account.sshd, tmp_path, make_key(tmp_path))
        server = entry(account.port, username=account.username)
        connect(kit, server, User(says(account.password)))
        ended(account.sshd, 1)
        expect(troubles(account.sshd), [])


def test_one_session_at_a_time(tmp_path: Path) -> None:
    """Which is found out once: what follows waits for the end of what was before."""
    with Sshd(options={"MaxSessions": "1"}) as sshd:
        key = make_key(tmp_path)
        sshd.authorize(key)
        kit = kit_for(sshd, tmp_path)
        for _ in range(3):
            connect(kit, entry(sshd.port, identity_file=key))
        ended(sshd, 3)
        expect(troubles(sshd), [NO_MORE])


def test_no_session_at_all(tmp_path: Path) -> None:
    with Sshd(options={"MaxSessions": "0"}) as sshd:
        key = make_key(tmp_path)
        sshd.authorize(key)
        kit = kit_for(sshd, tmp_path)
        for _ in range(2):
            connect(kit, entry(sshd.port, identity_file=key))
        ended(sshd, 2)
        assert len(troubles(sshd)) <= 4


def test_the_whole_app_where_there_is_one_session_at_a_time(tmp_path: Path) -> None:
    with Sshd(options={"MaxSessions": "1"}) as sshd, StagedJupyter() as jupyter:
        runtime = sshd.home / ".local/share/jupyter/runtime"
        runtime.mkdir(parents=True)
        jupyter.note(runtime, "t0ken")
        key = make_key(tmp_path)
        sshd.authorize(key)
        server = whole_entry(sshd, key)
        with Whole(server, known_hosts=sshd.known_hosts_lines()) as whole:
            whole.connect()
            whole.until_ready()
            whole.off()
            found_out = len(troubles(sshd))
            assert found_out <= 2
            for _ in range(2):
                whole.connect()
                whole.until_ready()
                whole.off()
            ended(sshd, 3)
            assert len(troubles(sshd)) == found_out
