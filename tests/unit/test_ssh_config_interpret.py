"""From what `ssh -G` says of a host to what is done."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.ssh_opinions import decided, host
from tests.support.systems import has_ssh
from trayconnect.config.forward_syntax import ForwardEnd, ForwardSpec, Kind
from trayconnect.config.openssh_syntax import Jump
from trayconnect.ssh.config.ssh_options import Query, SshConfigError, SshOptions

pytestmark = has_ssh


def test_an_empty_file_changes_nothing() -> None:
    found = host("Gpu")
    assert (found.hostname, found.port, found.jumps, found.forwards) == ("gpu", 22, (), ())
    assert found.options == SshOptions()


def test_what_is_asked_for_comes_before_the_file() -> None:
    text = "Match user bob\n  HostName bobs\nHost *\n  Port 5\n  User eve\n  ProxyJump gate\n"
    found = host(Query("gpu", "bob", 7, direct=True), text)
    assert (found.hostname, found.port, found.user, found.jumps) == ("bobs", 7, "bob", ())


def test_tokens() -> None:
    text = (
        "HostName box.%h.org\nPort 7\nUser bob\nHostKeyAlias Al\n"
        "IdentityFile ~/k/%h/%n/%p/%r/%u/%d/%k/%%/${X}\n"
        "ProxyCommand run %h %n %p %r %% $HOME\nProxyJump none\n"
    )
    options = host("gpu", text, {"X": "%h"}).options
    assert options.identity_files == (
        Path("/home/ada/k/box.gpu.org/gpu/7/bob/ada/home/ada/al/%/%h"),
    )
    assert options.proxy_command == "run box.gpu.org gpu 7 bob % $HOME"


@pytest.mark.parametrize("value", ["~/%z", "%", "${NO_SUCH}", "${X"])
def test_unknown_tokens_are_refused(value: str) -> None:
    with pytest.raises(SshConfigError):
        host("gpu", f"IdentityFile {value}\n", {"X": ""})


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
    """OpenSSH of today refuses such names itself; older ones do not."""
    with pytest.raises(SshConfigError, match="contains shell characters"):
        decided(query, proxycommand=command)
    assert decided(query, proxycommand="nc fixed %%h").options.proxy_command == "nc fixed %h"


def test_jump_hosts() -> None:
    text = "ProxyJump ada@a:1,[::1]:2,ssh://b@c:3/  # near to far\nProxyCommand nc\n"
    found = host("gpu", text)
    assert found.jumps == (Jump("a", "ada", 1), Jump("::1", None, 2), Jump("c", "b", 3))
    assert found.options.proxy_command is None


def test_forwards() -> None:
    text = (
        "LocalForward 8888 localhost:8888\nLocalForward /run/%h [::1]:9\nLocalForward *:5 /run/y\n"
        "RemoteForward 0 a:1\nRemoteForward 9\nDynamicForward [::1]:1080\n"
    )
    assert host("gpu", text).forwards == (
        ForwardSpec(Kind.LOCAL, ForwardEnd(port=8888), ForwardEnd("localhost", 8888)),
        ForwardSpec(Kind.LOCAL, ForwardEnd(path="/run/gpu"), ForwardEnd("::1", 9)),
        ForwardSpec(Kind.LOCAL, ForwardEnd("", 5), ForwardEnd(path="/run/y")),
        ForwardSpec(Kind.REMOTE, ForwardEnd(port=0), ForwardEnd("a", 1)),
        ForwardSpec(Kind.REMOTE, ForwardEnd(port=9)),
        ForwardSpec(Kind.DYNAMIC, ForwardEnd("::1", 1080)),
    )
    assert host("gpu", text + "ClearAllForwardings yes\n").forwards == ()


def test_exit_on_forward_failure_is_missed_only_where_there_are_forwards() -> None:
    text = "ExitOnForwardFailure yes\n"
    assert host("gpu", text).options.unsupported == ()
    (said,) = host("gpu", text + "LocalForward 5 a:1\n").options.unsupported
    assert (
        said == "ExitOnForwardFailure is ignored: the connection continues without a failed forward"
    )


def test_gateway_ports() -> None:
    text = "GatewayPorts yes\nLocalForward 8 a:1\nDynamicForward ::1/9\nRemoteForward 7 b:2\n"
    text = text.replace("::1/9", "[::1]:9")
    assert [one.listen.host for one in host("gpu", text).forwards] == [
        "",
        None,
        "::1",
    ]


def test_none() -> None:
    text = (
        "IdentityFile none\nIdentityAgent none\nUserKnownHostsFile none\n"
        "GlobalKnownHostsFile none\nProxyCommand none\nCertificateFile none\n"
    )
    options = host("gpu", text).options
    assert options.no_identity_files
    assert options.identity_agent == "none"
    assert options.user_known_hosts_files == options.global_known_hosts_files == ()
    assert options.proxy_command is None
    assert options.identity_files == options.certificate_files == ()


def test_what_is_not_honoured_is_said() -> None:
    text = "ForwardAgent yes\nPKCS11Provider /lib/x.so\nPasswordAuthentication yes\nForwardX11 no\n"
    assert host("gpu", text).options.unsupported == (
        "ForwardAgent is ignored: trayconnect does not forward the agent",
        "PKCS11Provider is ignored: load the token's keys into the SSH agent",
    )
