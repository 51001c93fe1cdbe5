"""Our reader of ssh_config(5), over files that are nowhere but here."""

from __future__ import annotations

import contextlib
import fnmatch
from collections.abc import Mapping
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trayconnect.config.forward_syntax import ForwardEnd, ForwardSpec, Kind
from trayconnect.config.jump_hosts import Jump
from trayconnect.config.openssh_tokenizer import split_criteria, split_line, split_words
from trayconnect.ssh.config import reader
from trayconnect.ssh.config.aliases import aliases
from trayconnect.ssh.config.files import Places
from trayconnect.ssh.config.interpret import HostConfig, interpret
from trayconnect.ssh.config.raw_options import Query, SshConfigError

HOME = Path("/home/ada")
USER = HOME / ".ssh" / "config"
SYSTEM = Path("/etc/ssh/ssh_config")


class MemoryFiles:
    def __init__(self, files: Mapping[str, str]) -> None:
        self._files = {str(HOME / ".ssh" / name): text for name, text in files.items()}

    def read(self, path: Path, *, guarded: bool) -> str:
        if str(path) not in self._files:
            raise FileNotFoundError(2, "No such file")
        if path.name == "forbidden":
            raise PermissionError(13, "Permission denied")
        return self._files[str(path)]

    def glob(self, pattern: str) -> list[Path]:
        return [Path(name) for name in sorted(self._files) if fnmatch.fnmatchcase(name, pattern)]


def host(
    query: Query | str, environment: Mapping[str, str] | None = None, **files: str
) -> HostConfig:
    """`files` are those of ~/.ssh."""
    query = Query(query) if isinstance(query, str) else query
    environment = environment or {}
    said = reader.read(
        query,
        MemoryFiles(files),
        Places(HOME, None, SYSTEM),
        local_user="ada",
        environment=environment,
    )
    return interpret(said, query, home=HOME, local_user="ada", environment=environment)


def test_without_files_everything_is_as_named() -> None:
    assert host("Gpu") == HostConfig("gpu", 22, "ada")


def test_the_first_value_wins_and_the_system_comes_last() -> None:
    files = MemoryFiles({"config": "Host gpu\nPort 1\nHost *\nPort 2\nUser me\n"})
    files._files[str(SYSTEM)] = "User nobody\nHostName real.%h\n"
    said = reader.read(
        Query("gpu"), files, Places(HOME, None, SYSTEM), local_user="ada", environment={}
    )
    found = interpret(said, Query("gpu"), home=HOME, local_user="ada", environment={})
    assert (found.port, found.user, found.hostname) == (1, "me", "real.gpu")


def test_what_is_asked_for_comes_before_the_files() -> None:
    text = "Match user bob\n  HostName bobs\nHost *\n  Port 5\n  User eve\n  ProxyJump gate\n"
    assert host(Query("gpu", "bob", 7, direct=True), config=text) == HostConfig("bobs", 7, "bob")


def test_include_is_read_where_it_stands() -> None:
    found = host(
        "gpu",
        config="Host gpu\n  Include part*\n  Port 9\nInclude more\n",
        part_a="User bob\nHost other\nPort 3\n",
        part_b="Port 4\n",
        more="Port 8",
    )
    assert (found.user, found.port) == ("bob", 4)


def test_include_where_nothing_applies_is_only_checked() -> None:
    found = host(
        "gpu", config="Host other\n  Include a\nHost gpu\nUser bob\n", a="Host gpu\nPort 3\n"
    )
    assert (found.user, found.port) == ("bob", 22)
    with pytest.raises(SshConfigError) as caught:
        host("gpu", config="Host other\n  Include a\n", a="\nPort x\n")
    assert caught.value.problem.title == f"{HOME}/.ssh/a line 2: port: 'x' is no port"


def test_files_that_include_themselves_are_refused() -> None:
    with pytest.raises(SshConfigError) as caught:
        host("gpu", config="Include config\n")
    assert "include one another" in caught.value.problem.title


def test_a_file_that_may_not_be_read_is_told() -> None:
    with pytest.raises(SshConfigError) as caught:
        host("gpu", config="Include forbidden\n", forbidden="")
    assert "Permission denied" in caught.value.problem.title


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("Prot 22", "no such keyword"),
        ("Port", "value is missing"),
        ("Port 0", "from 1 to 65535"),
        ("Port 22 23", "one value"),
        ('User "ada', "invalid quotes"),
        ("ConnectTimeout soon", "a time"),
        ("ConnectTimeout 5x", "a time"),
        ("ServerAliveCountMax few", "whole number"),
        ("IdentitiesOnly maybe", "yes or no"),
        ("AddressFamily ipv4", "inet"),
        ("StrictHostKeyChecking never", "accept-new"),
        ("UserKnownHostsFile /a none", "alone"),
        ("LocalForward 8888", "where to"),
        ("LocalForward 8888 localhost:0", "from 1 to 65535"),
        ("LocalForward 8888 localhost:1 2", "more words"),
        ("DynamicForward 1080 x:1", "more words"),
        ("RemoteForward x:y:z:1:2", "address"),
        ("ProxyJump a,,b", "must be"),
        ("ProxyJump @b", "user's name"),
        ("ProxyJump -oProxyCommand=x", "must be"),
        ("Match", "value is missing"),
        ("Match nothing x", "no such condition"),
        ("Match host", "needs a value"),
        ("Match all host x", "cannot stand beside"),
        ("IdentityAgent ${NO_SUCH}", "is not set"),
        ('Host ""', "empty"),
        ("Ciphers -*", "no algorithm"),
    ],
)
def test_a_bad_line_is_told_with_its_place(line: str, words: str) -> None:
    with pytest.raises(SshConfigError) as caught:
        host("gpu", config=f"# a comment\nHost nobody\n{line}\n")
    title = caught.value.problem.title
    assert title.startswith(f"{USER} line 3: "), title
    assert words in title


def test_unknown_keywords_may_be_ignored() -> None:
    text = "IgnoreUnknown Use*,My?\nUseKeychain yes\nUseMagic 1\nMyX 2\nPort 4\n"
    assert host("gpu", config=text).port == 4


@pytest.mark.parametrize(
    ("criteria", "applies"),
    [
        ("all", True),
        ("host real.example.org", True),
        ("originalhost gpu", True),
        ("originalhost real.*", False),
        ("!host gpu", True),
        ("user ada localuser ada", True),
        ("user ada,!ada", False),
        ("final", True),
        ("canonical", False),
        ("tagged x", False),
        ("host REAL.EXAMPLE.org", True),
        ('host "real.*"', True),
    ],
)
def test_match(criteria: str, applies: bool) -> None:
    text = f"Host gpu\n  HostName real.example.org\nMatch {criteria}\n  Port 77\n"
    assert (host("gpu", config=text).port == 77) is applies


def test_match_exec_is_not_run_and_said() -> None:
    text = "Match host gpu exec touch\n  Port 1\nMatch host other exec touch\n  Port 2\n"
    found = host("gpu", config=text)
    assert found.port == 22
    assert len(found.options.unsupported) == 1
    assert "Match exec is not run" in found.options.unsupported[0]


def test_tokens() -> None:
    text = (
        "HostName box.%h.org\nPort 7\nUser bob\nHostKeyAlias Al\n"
        "IdentityFile ~/k/%h/%n/%p/%r/%u/%d/%k/%%/${X}\n"
        "ProxyCommand run %h %n %p %r %% $HOME\nProxyJump none\n"
    )
    options = host("gpu", {"X": "%h"}, config=text).options
    assert options.identity_files == (
        Path("/home/ada/k/box.gpu.org/gpu/7/bob/ada/home/ada/al/%/%h"),
    )
    assert options.proxy_command == "run box.gpu.org gpu 7 bob % $HOME"


@pytest.mark.parametrize("value", ["~/%z", "%", "${NO_SUCH}", "${X"])
def test_unknown_tokens_are_refused(value: str) -> None:
    with pytest.raises(SshConfigError):
        host("gpu", {"X": ""}, config=f"IdentityFile {value}\n")


@pytest.mark.parametrize(
    ("query", "command"),
    [
        (Query("a$(touch)"), "nc %h"),
        (Query("a`x`"), "nc %n %p"),
        (Query("a;x"), "nc %k"),
        (Query("a", "-oX"), "ssh %r"),
        (Query("a", "b;c"), "ssh -l %r"),
        (Query("a", "b -c"), "ssh -l %r"),
    ],
)
def test_names_that_a_shell_would_act_on_reach_no_command(query: Query, command: str) -> None:
    with pytest.raises(SshConfigError, match="signs that a shell acts on"):
        host(query, config=f"ProxyCommand {command}\n")
    assert host(query, config="ProxyCommand nc fixed %%h\n").options.proxy_command == "nc fixed %h"


def test_jump_hosts() -> None:
    text = "ProxyJump ada@a:1,[::1]:2,ssh://b@c:3/  # near to far\nProxyCommand nc\n"
    found = host("gpu", config=text)
    assert found.jumps == (Jump("a", "ada", 1), Jump("::1", None, 2), Jump("c", "b", 3))
    assert found.options.proxy_command is None


def test_forwards() -> None:
    text = (
        "LocalForward 8888 localhost:8888\nLocalForward /run/%h [::1]:9\nLocalForward *:5 /run/y\n"
        "RemoteForward 0 a:1\nRemoteForward 9\nDynamicForward [::1]:1080\n"
    )
    assert host("gpu", config=text).forwards == (
        ForwardSpec(Kind.LOCAL, ForwardEnd(port=8888), ForwardEnd("localhost", 8888)),
        ForwardSpec(Kind.LOCAL, ForwardEnd(path="/run/gpu"), ForwardEnd("::1", 9)),
        ForwardSpec(Kind.LOCAL, ForwardEnd("", 5), ForwardEnd(path="/run/y")),
        ForwardSpec(Kind.REMOTE, ForwardEnd(port=0), ForwardEnd("a", 1)),
        ForwardSpec(Kind.REMOTE, ForwardEnd(port=9)),
        ForwardSpec(Kind.DYNAMIC, ForwardEnd("::1", 1080)),
    )
    assert host("gpu", config=text + "ClearAllForwardings yes\n").forwards == ()


def test_exit_on_forward_failure_is_missed_only_where_there_are_forwards() -> None:
    text = "ExitOnForwardFailure yes\n"
    assert host("gpu", config=text).options.unsupported == ()
    (said,) = host("gpu", config=text + "LocalForward 5 a:1\n").options.unsupported
    assert said == "ExitOnForwardFailure is not supported: a forward that fails costs only itself"


def test_gateway_ports() -> None:
    text = "GatewayPorts yes\nLocalForward 8 a:1\nDynamicForward ::1/9\nRemoteForward 7 b:2\n"
    text = text.replace("::1/9", "[::1]:9")
    assert [one.listen.host for one in host("gpu", config=text).forwards] == ["", "::1", None]


def test_none() -> None:
    text = (
        "IdentityFile none\nIdentityAgent none\nUserKnownHostsFile none\n"
        "GlobalKnownHostsFile none\nProxyCommand none\nCertificateFile none\n"
    )
    options = host("gpu", config=text).options
    assert options.no_identity_files
    assert options.identity_agent == "none"
    assert options.user_known_hosts_files == options.global_known_hosts_files == ()
    assert options.proxy_command is None
    assert options.identity_files == options.certificate_files == ()


def test_what_is_not_honoured_is_said() -> None:
    text = "ForwardAgent yes\nPKCS11Provider /lib/x.so\nPasswordAuthentication yes\nForwardX11 no\n"
    assert host("gpu", config=text).options.unsupported == (
        "ForwardAgent is not supported: the agent stays here",
        "PKCS11Provider is not supported: load the token's keys into the SSH agent",
    )


def test_the_hosts_to_choose_from() -> None:
    files = MemoryFiles(
        {
            "config": "Host gpu gate *.lab !x\nInclude more\nMatch originalhost y,z* user ada\n"
            "Host gpu\nHost 'a b\nInclude config\n",
            "more": "Host inner\n",
        }
    )
    assert aliases(files, Places(HOME)) == ("gpu", "gate", "inner", "y")


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("  Port=22 ", ("port", "22")),
        ('"Port" = 22', ("port", "22")),
        ("Port\t \t22\r\f", ("port", "22")),
        ("Port == 22", ("port", "= 22")),
        ("# x", None),
        (" \t", None),
        ("Port", ("port", "")),
    ],
)
def test_lines(text: str, line: tuple[str, str] | None) -> None:
    assert split_line(text) == line


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a b", ("a", "b")),
        ('"a b" c', ("a b", "c")),
        ("'a \"b' c#d # e", ('a "b', "c#d")),
        (r"a\ b \"c\" \\d \x", ("a b", '"c"', r"\d", r"\x")),
        ('""', ("",)),
        ('a"b c"d', ("ab cd",)),
    ],
)
def test_words(text: str, words: tuple[str, ...]) -> None:
    assert split_words(text) == words


def test_criteria() -> None:
    assert split_criteria('host="a b" user = x # y') == ("host", "a b", "user", "x")


@given(st.text(max_size=200))
def test_whatever_the_text_it_is_read_or_refused(text: str) -> None:
    with contextlib.suppress(SshConfigError):
        assert host("gpu", config=text).options.strict_host_key_checking
