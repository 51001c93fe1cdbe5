"""What becomes of the keywords of ssh_config(5): each is in one table, and none by which `ssh`
would refuse is passed over."""

from __future__ import annotations

import subprocess

import pytest

from tests.support.ssh_opinions import decided, host, ssh
from tests.support.systems import has_ssh
from trayconnect.config.openssh_syntax import KEYWORDS
from trayconnect.ssh.config.honoured import HARMLESS, QUIET, REFUSED, REPORTED
from trayconnect.ssh.config.ssh_options import Query, SshConfigError

pytestmark = has_ssh

# Those of ssh_config(5), OpenSSH 9.2 to 10.2.
MANUAL = """
AddKeysToAgent AddressFamily BatchMode BindAddress BindInterface CASignatureAlgorithms
CanonicalDomains CanonicalizeFallbackLocal CanonicalizeHostname CanonicalizeMaxDots
CanonicalizePermittedCNAMEs CertificateFile ChannelTimeout CheckHostIP Ciphers ClearAllForwardings
Compression ConnectTimeout ConnectionAttempts ControlMaster ControlPath ControlPersist
DynamicForward EnableEscapeCommandline EnableSSHKeysign EscapeChar ExitOnForwardFailure
FingerprintHash ForkAfterAuthentication ForwardAgent ForwardX11 ForwardX11Timeout
ForwardX11Trusted GSSAPIAuthentication GSSAPIClientIdentity GSSAPIDelegateCredentials
GSSAPIKexAlgorithms GSSAPIKeyExchange GSSAPIRenewalForcesRekey GSSAPIServerIdentity
GSSAPITrustDns GatewayPorts GlobalKnownHostsFile HashKnownHosts Host HostKeyAlgorithms
HostKeyAlias HostbasedAcceptedAlgorithms HostbasedAuthentication Hostname IPQoS IdentitiesOnly
IdentityAgent IdentityFile IgnoreUnknown Include KbdInteractiveAuthentication
KbdInteractiveDevices KexAlgorithms KnownHostsCommand LocalCommand LocalForward LogLevel
LogVerbose MACs Match NoHostAuthenticationForLocalhost NumberOfPasswordPrompts
ObscureKeystrokeTiming PKCS11Provider PasswordAuthentication PermitLocalCommand PermitRemoteOpen
Port PreferredAuthentications ProxyCommand ProxyJump ProxyUseFdpass PubkeyAcceptedAlgorithms
PubkeyAuthentication RefuseConnection RekeyLimit RemoteCommand RemoteForward RequestTTY
RequiredRSASize RevokedHostKeys SecurityKeyProvider SendEnv ServerAliveCountMax
ServerAliveInterval SessionType SetEnv StdinNull StreamLocalBindMask StreamLocalBindUnlink
StrictHostKeyChecking SyslogFacility TCPKeepAlive Tag Tunnel TunnelDevice UpdateHostKeys User
UserKnownHostsFile VerifyHostKeyDNS VersionAddendum VisualHostKey WarnWeakCrypto XAuthLocation
"""
_HONOURED = (
    "host match include ignoreunknown tag "
    "hostname port user addressfamily bindaddress connecttimeout proxycommand proxyjump "
    "canonicaldomains canonicalizefallbacklocal canonicalizehostname canonicalizemaxdots "
    "canonicalizepermittedcnames "
    "serveraliveinterval serveralivecountmax "
    "identityfile certificatefile identitiesonly identityagent numberofpasswordprompts "
    "pubkeyacceptedalgorithms requiredrsasize batchmode preferredauthentications "
    "passwordauthentication kbdinteractiveauthentication pubkeyauthentication "
    "hostkeyalias userknownhostsfile globalknownhostsfile revokedhostkeys checkhostip "
    "knownhostscommand stricthostkeychecking updatehostkeys "
    "hostkeyalgorithms casignaturealgorithms kexalgorithms ciphers macs "
    "localforward remoteforward dynamicforward clearallforwardings gatewayports"
)
HONOURED = frozenset(_HONOURED.split())
TABLES = (HONOURED, frozenset(REFUSED), frozenset(REPORTED), frozenset(QUIET))


def printed() -> set[str]:
    done = subprocess.run([ssh(), "-G", "-F", "none", "h"], capture_output=True, check=True)
    return {line.split()[0].lower() for line in done.stdout.decode().splitlines()}


def test_each_keyword_is_in_one_table() -> None:
    wanted = {name.lower() for name in MANUAL.split()} | printed() | KEYWORDS
    for keyword in wanted:
        assert sum(keyword in table for table in TABLES) == 1, keyword
    assert HARMLESS.keys() <= REFUSED.keys() | REPORTED.keys() | QUIET.keys()


@pytest.mark.parametrize(
    "text",
    ["BindInterface tun0", "ProxyUseFdpass yes\nProxyCommand nc %h %p", "RefuseConnection no way"],
)
def test_what_is_refused(text: str) -> None:
    said = dict(line.lower().split(" ", 1) for line in text.splitlines())  # any version's
    with pytest.raises(SshConfigError, match=text.split()[0]) as caught:
        decided(Query("gpu"), **said)
    assert "is not supported" in caught.value.problem.title
    assert caught.value.problem.advice


@pytest.mark.parametrize("text", ["BindInterface none", "ProxyUseFdpass no", "ProxyUseFdpass yes"])
def test_what_need_not_be_refused(text: str) -> None:
    assert host("gpu", text + "\n").options.unsupported == ()


def test_what_is_told() -> None:
    text = "ControlMaster auto\nControlPath ~/x\nGSSAPIAuthentication yes\nSendEnv LANG\n"
    options = host("gpu", text).options
    assert [words.split()[0] for words in options.unsupported] == ["ControlMaster", "ControlPath"]
    assert options.ignored == ("GSSAPIAuthentication", "SendEnv")
    assert host("gpu", "ControlMaster no\nGSSAPIAuthentication no\n").options.ignored == ()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", ()),
        ("PasswordAuthentication no", ("password",)),
        ("KbdInteractiveAuthentication no", ("keyboard-interactive",)),
        ("PubkeyAuthentication no", ("publickey",)),
        ("PubkeyAuthentication unbound", ()),
        ("PreferredAuthentications publickey", ("keyboard-interactive", "password")),
        (
            "PreferredAuthentications gssapi-with-mic",
            (
                "publickey",
                "keyboard-interactive",
                "password",
            ),
        ),
        ("BatchMode yes", ("keyboard-interactive", "password")),
    ],
)
def test_ways_to_log_in(text: str, expected: tuple[str, ...]) -> None:
    options = host("gpu", text + "\n").options
    assert options.ruled_out_methods == expected
    assert options.batch_mode is (text == "BatchMode yes")
    assert options.unsupported == ()


def test_the_order_of_the_ways_is_told() -> None:
    (note,) = host("gpu", "PreferredAuthentications password,publickey\n").options.unsupported
    assert "order" in note
