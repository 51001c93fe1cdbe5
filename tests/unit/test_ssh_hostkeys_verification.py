"""Which host keys are trusted, and what is said of the others."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests.support.certificates import authority_line, blob, certify
from tests.support.keys import fingerprint, make_key, public_line
from tests.support.tunnel_kit import YES, User
from trayconnect.core.errors import Cancelled, Problem, ProblemError, Recovery
from trayconnect.ssh.config.ssh_options import SshOptions
from trayconnect.ssh.hostkeys import verification
from trayconnect.ssh.hostkeys.host_certificates import PresentedKey, parse_presented
from trayconnect.ssh.hostkeys.known_hosts_store import KnownHosts
from trayconnect.ssh.hostkeys.verification import verify
from trayconnect.ssh.target import LoginTarget

PLAIN = "ssh-ed25519"
CERTIFIED = "ssh-ed25519-cert-v01@openssh.com"


@dataclass
class Case:
    """A server that shows the key `host`, and a user with files."""

    folder: Path
    target: LoginTarget = field(default_factory=lambda: LoginTarget("GPU box", "gpu", 2222, "ada"))
    user: User = field(default_factory=User)
    now: Callable[[], float] = time.time

    def __post_init__(self) -> None:
        for name in ("host", "other", "ca"):
            make_key(self.folder, name=name)
        self.file = self.folder / "user file"
        self.store = KnownHosts((self.file,), self.folder / "own" / "known_hosts")
        self.shown = parse_presented(PLAIN, blob(self.folder / "host.pub"))

    def options(self, **options: Any) -> None:
        self.target = LoginTarget("GPU box", "gpu", 2222, "ada", options=SshOptions(**options))

    def certify(self, *, ca: str = "ca", **how: Any) -> PresentedKey:
        file = certify(self.folder / ca, self.folder / "host", **how)
        self.shown = parse_presented(CERTIFIED, blob(file))
        return self.shown

    def line(self, hosts: str, name: str = "host", marker: str = "") -> str:
        kind, encoded = public_line(self.folder / name).split()[:2]
        return f"{marker} {hosts} {kind} {encoded}".strip()

    def trust(self, *lines: str) -> None:
        self.file.write_text("".join(f"{line}\n" for line in lines))

    def authority(self, hosts: str = "*", name: str = "ca") -> str:
        return authority_line(hosts, self.folder / name)

    def judge(self, address: str = "") -> bool:
        entries = self.store.entries()
        store, user = self.store, self.user
        return verify(self.target, self.shown, entries, store, user, self.now, address=address)

    def problem(self) -> Problem:
        with pytest.raises(ProblemError) as caught:
            self.judge()
        assert self.user.questions == []
        assert caught.value.problem.recovery is Recovery.FIX_FIRST
        return caught.value.problem

    def run(self, problem: Problem, program: str) -> None:
        """The command of an advice, as a user pastes it."""
        command = next(row for row in problem.advice.splitlines() if program in row)
        done = subprocess.run(command, shell=True, check=False, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr


@pytest.fixture
def case(tmp_path: Path) -> Case:
    return Case(tmp_path)


def own_lines(case: Case) -> list[str]:
    own = case.folder / "own" / "known_hosts"
    return own.read_text().splitlines() if own.exists() else []


# --- plain keys -----------------------------------------------------------------------------------


def test_a_known_key(case: Case) -> None:
    case.trust(case.line("[gpu]:2222"))
    assert case.judge() is False
    assert case.user.questions == []
    assert own_lines(case) == []


def test_an_unknown_key_is_asked_for_and_kept(case: Case) -> None:
    case.user = User(YES)
    case.judge()
    assert fingerprint(case.folder / "host") in case.user.questions[0].message
    assert own_lines(case) == [case.line("[gpu]:2222")]
    case.judge()
    assert len(case.user.questions) == 1


def test_a_declined_key_is_not_kept(case: Case) -> None:
    with pytest.raises(Cancelled):
        case.judge()
    assert own_lines(case) == []


def test_with_strict_checking_nothing_is_asked(case: Case) -> None:
    case.options(strict_host_key_checking="yes")
    problem = case.problem()
    assert "not known" in problem.title
    assert fingerprint(case.folder / "host") in problem.advice
    assert "ssh -o StrictHostKeyChecking=ask -p 2222 gpu" in problem.advice
    assert own_lines(case) == []
    case.trust(case.line("[gpu]:2222"))
    case.judge()


@pytest.mark.parametrize("checking", ["accept-new", "no"])
def test_new_keys_are_taken_silently_but_no_changed_ones(case: Case, checking: str) -> None:
    case.options(strict_host_key_checking=checking)
    case.judge()
    assert own_lines(case) == [case.line("[gpu]:2222")]
    case.trust(case.line("[gpu]:2222", "other"))
    case.judge()  # one of two known keys
    assert case.store.own is not None
    case.store.own.unlink()
    assert "has changed" in case.problem().title


def test_an_alias_stands_for_host_and_port(case: Case) -> None:
    case.options(host_key_alias="Lab", strict_host_key_checking="accept-new")
    case.trust(case.line("gpu", "other"), case.line("[gpu]:2222", "other"))
    case.judge()
    assert own_lines(case) == [case.line("lab")]
    case.trust(case.line("lab", "other"))
    assert case.store.own is not None
    case.store.own.unlink()
    case.run(case.problem(), "ssh-keygen")
    case.judge()


def test_without_files_nothing_is_kept(case: Case) -> None:
    case.options(user_known_hosts_files=(), strict_host_key_checking="no")
    case.store = case.store.under(case.target.options)
    case.judge()
    assert own_lines(case) == []


def test_a_store_that_cannot_be_written_is_no_obstacle(
    case: Case, caplog: pytest.LogCaptureFixture
) -> None:
    (case.folder / "own").touch()
    case.user = User(YES)
    case.judge()
    assert "cannot write" in caplog.text


@pytest.mark.parametrize("hosts", ["[gpu]:2222", "[gpu]:2222,10.0.0.1"])
@pytest.mark.parametrize("hashed", [False, True])
@pytest.mark.parametrize("place", ["user", "own"])
def test_the_command_that_removes_a_changed_key(
    case: Case, hosts: str, place: str, *, hashed: bool
) -> None:
    file = case.file if place == "user" else case.folder / "own" / "known_hosts"
    file.parent.mkdir(exist_ok=True)
    file.write_text(f"{case.line('x', 'other')}\n{case.line(hosts, 'other')}\n")
    if hashed:
        command = ["ssh-keygen", "-q", "-H", "-f", str(file)]
        subprocess.run(command, check=True, capture_output=True)
    problem = case.problem()
    for part in (fingerprint(case.folder / "host"), fingerprint(case.folder / "other"), str(file)):
        assert part in problem.advice
    case.run(problem, "ssh-keygen")
    with pytest.raises(Cancelled):  # it is asked for
        case.judge()
    case.trust(case.line("[gpu]:2222"))
    case.judge()


def test_a_pattern_is_left_to_the_user(case: Case) -> None:
    case.trust("", case.line("[gp?]:2222", "other"))
    advice = case.problem().advice
    assert "ssh-keygen" not in advice
    assert f"correct {case.file}, line 2 by hand" in advice


def test_a_key_of_another_type_is_a_change(case: Case) -> None:
    make_key(case.folder, "rsa", name="rsa")
    case.trust(case.line("[gpu]:2222", "rsa"))
    problem = case.problem()
    assert "has changed" in problem.title
    assert "known: ssh-rsa" in problem.advice


def test_a_revoked_key(case: Case) -> None:
    case.trust(case.line("[gpu]:2222"), case.line("*", marker="@revoked"))
    problem = case.problem()
    assert "is revoked" in problem.title
    assert f"{case.file}, line 2" in problem.advice


def revocation_list(case: Case, *names: str) -> Path:
    """Made by ssh-keygen."""
    file = case.folder / "krl"
    keys = [f"{case.folder / name}.pub" for name in names]
    subprocess.run(["ssh-keygen", "-q", "-k", "-f", str(file), *keys], check=True, timeout=60)
    return file


def revoked_keys(case: Case, *names: str) -> Path:
    file = case.folder / "revoked"
    lines = [public_line(case.folder / name) for name in names]
    file.write_text("\n".join(["# lost", "", *lines]))
    return file


@pytest.mark.parametrize("make", [revocation_list, revoked_keys])
def test_a_file_of_revoked_keys(case: Case, make: Callable[..., Path]) -> None:
    case.options(revoked_host_keys=make(case, "other"))
    case.trust(case.line("[gpu]:2222"), case.authority())
    assert case.judge() is False
    case.options(revoked_host_keys=make(case, "other", "host"))
    problem = case.problem()
    assert "host key of gpu:2222 is revoked" in problem.title
    assert str(case.target.options.revoked_host_keys) in problem.advice
    case.options(revoked_host_keys=make(case, "ca"))
    assert case.judge() is False
    case.certify(names=["gpu"])
    assert "is revoked" in case.problem().title


def test_a_revocation_list_may_revoke_one_certificate(case: Case) -> None:
    case.trust(case.authority())
    case.certify(names=["gpu"])
    spec, file = case.folder / "spec", case.folder / "krl"
    for serial, good in ((8, True), (7, False)):
        spec.write_text(f"serial: {serial}\n")
        ca = f"{case.folder / 'ca'}.pub"
        command = ["ssh-keygen", "-q", "-k", "-f", str(file), "-s", ca, str(spec)]
        subprocess.run(command, check=True, timeout=60)
        case.options(revoked_host_keys=file)
        if good:
            assert case.judge() is True
        else:
            assert "is revoked" in case.problem().title


def test_another_program_reads_what_was_redirected(
    case: Case, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As Python from the Microsoft Store does with temporary files."""

    def redirected(path: Path) -> Path:
        return path.rename(path.with_name(f"real {path.name}"))

    monkeypatch.setattr(verification, "path_for_others", redirected)
    case.options(revoked_host_keys=revocation_list(case, "other", "host"))
    case.trust(case.line("[gpu]:2222"))
    assert "is revoked" in case.problem().title


@pytest.mark.parametrize("content", [None, b"nonsense\n", b"SSHKRL\n\0" + bytes(50)])
def test_a_file_of_revoked_keys_that_says_nothing(case: Case, content: bytes | None) -> None:
    file = case.folder / "revoked"
    if content is not None:
        file.write_bytes(content)
    case.options(revoked_host_keys=file)
    case.trust(case.line("[gpu]:2222"))
    problem = case.problem()
    assert "cannot be read" in problem.title
    assert str(file) in problem.advice


@pytest.mark.parametrize("alias", ["*", "a,b", "!x", "a b", "|1|x|y", "#x", "@revoked"])
def test_what_would_be_more_than_one_name_is_not_written(case: Case, alias: str) -> None:
    case.options(host_key_alias=alias)
    case.user = User(YES)
    assert case.judge() is False
    assert own_lines(case) == []


# --- certificates ---------------------------------------------------------------------------------


def test_a_certificate_of_a_known_authority(case: Case) -> None:
    case.certify(names=["gpu"])
    case.trust(case.authority("gp*"))
    assert case.judge() is True
    assert own_lines(case) == []


def test_it_outweighs_a_key_on_file(case: Case) -> None:
    case.certify(names=["gpu"])
    case.trust(case.authority(), case.line("[gpu]:2222", "other"))
    assert case.judge() is True


def test_it_is_for_the_alias(case: Case) -> None:
    case.certify(names=["lab"])
    case.options(host_key_alias="lab")
    case.trust(case.authority("lab"))
    assert case.judge() is True


def test_of_an_unknown_authority_it_is_a_plain_key(case: Case) -> None:
    case.certify(ca="other", names=["gpu"])
    case.trust(case.authority())
    with pytest.raises(Cancelled):
        case.judge()
    message = case.user.questions[0].message
    assert fingerprint(case.folder / "host") in message
    assert "Careful: it has no certificate of the authority" in message
    assert f"{case.file}, line 1" in message
    case.trust(case.authority(), case.line("[gpu]:2222"))
    assert case.judge() is False
    case.user = User()
    case.trust(case.authority(), case.line("[gpu]:2222", "other"))
    assert "has changed" in case.problem().title


@pytest.mark.parametrize(
    ("how", "words"),
    [
        ({"validity": "20200101:20210101"}, ["has expired", "It ended at 202", "renew"]),
        ({"validity": "20900101:20910101"}, ["not valid yet", "It begins at 20", "clock"]),
        ({"names": ["a.lab", "b.lab"]}, ["other names", "a.lab, b.lab", "(gpu)"]),
        ({"host": False}, ["for a user"]),
        ({"options": ["critical:x@y=z"]}, ["critical options"]),
    ],
)
def test_a_bad_certificate_of_a_known_authority(
    case: Case, how: dict[str, Any], words: list[str]
) -> None:
    case.certify(**how)
    case.trust(case.authority())
    problem = case.problem()
    for word in (*words, "gpu:2222"):
        assert word in str(problem)
    assert "the key of host" in problem.detail
    # Like OpenSSH, the key that is known as such is good nevertheless.
    case.trust(case.authority(), case.line("[gpu]:2222"))
    assert case.judge() is False


@pytest.mark.parametrize(
    ("algorithms", "trusted"),
    [((), True), (("ssh-ed25519",), True), (("rsa-sha2-512", "ssh-rsa"), False)],
)
def test_how_authorities_may_sign(
    case: Case, algorithms: tuple[str, ...], *, trusted: bool
) -> None:
    case.options(ca_signature_algorithms=algorithms)
    case.certify(names=["gpu"])
    case.trust(case.authority())
    if trusted:
        assert case.judge() is True
    else:
        assert "not allowed" in case.problem().title


def test_what_is_not_safe_stays_so_where_it_is_allowed(case: Case) -> None:
    case.options(ca_signature_algorithms=("ssh-rsa",))
    make_key(case.folder, "rsa", name="rsa_ca")
    case.certify(ca="rsa_ca", names=["gpu"], signature="ssh-rsa")
    case.trust(case.authority(name="rsa_ca"))
    assert "unsafe" in case.problem().title


def test_a_revoked_authority(case: Case) -> None:
    case.certify(names=["gpu"])
    case.trust(case.authority(), case.line("*", "ca", "@revoked"), case.line("[gpu]:2222"))
    problem = case.problem()
    assert "authority behind the host certificate" in problem.title
    assert f"{case.file}, line 2" in problem.advice


def test_a_revoked_key_with_a_certificate(case: Case) -> None:
    case.certify(names=["gpu"])
    case.trust(case.authority(), case.line("*", marker="@revoked"))
    assert "The host key of gpu:2222 is revoked" in case.problem().title


def test_times_beyond_all_calendars(case: Case) -> None:
    case.certify(names=["gpu"], validity="+1h:forever")
    case.trust(case.authority())
    assert "not valid yet" in case.problem().title


# --- CheckHostIP --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("address", "line", "refused"),
    [
        ("10.0.0.7", "[10.0.0.7]:2222 other", True),
        ("10.0.0.7", "[10.0.0.*]:2222 other", True),
        ("10.0.0.7", "@revoked [10.0.0.7]:2222 host", True),
        ("10.0.0.7", "[10.0.0.7]:2222 host", False),
        ("10.0.0.7", "[10.0.0.8]:2222 other", False),
        ("10.0.0.7", "10.0.0.7 other", False),
        ("", "[10.0.0.7]:2222 other", False),
        ("127.0.0.5", "[127.0.0.5]:2222 other", False),
        ("::1", "[::1]:2222 other", False),
    ],
)
@pytest.mark.parametrize("check", [True, False])
@pytest.mark.parametrize("strict", ["yes", "ask", "accept-new", "no"])
@pytest.mark.parametrize("is_known", [True, False])
def test_another_key_for_the_address(
    tmp_path: Path,
    address: str,
    line: str,
    refused: bool,
    check: bool,
    strict: Any,  # noqa: ANN401 - a literal
    is_known: bool,
) -> None:
    case = Case(tmp_path, user=User(YES))
    case.options(check_host_ip=check, strict_host_key_checking=strict)
    *words, name = line.split()
    marker, hosts = words if len(words) == 2 else ("", *words)
    case.trust(*[case.line("[gpu]:2222")] * is_known, case.line(hosts, name, marker))
    if refused and check:
        with pytest.raises(ProblemError, match=r"known for its address 10\.0\.0\.7") as caught:
            case.judge(address)
        assert caught.value.problem.recovery is Recovery.FIX_FIRST
        assert case.user.questions == []
    elif is_known or strict != "yes":
        assert not case.judge(address)


def test_a_short_rsa_key(tmp_path: Path) -> None:
    case = Case(tmp_path)
    make_key(tmp_path, "rsa", name="short", bits="1024")
    case.trust(case.line("[gpu]:2222", "short"))
    case.shown = parse_presented("rsa-sha2-512", blob(tmp_path / "short.pub"))
    case.options(required_rsa_size=2048)
    assert "too short" in case.problem().title
    case.options(required_rsa_size=1024)
    assert not case.judge()
