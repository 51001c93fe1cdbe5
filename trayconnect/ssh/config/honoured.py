"""How each keyword of ssh_config(5) is treated: it is honoured, or the connection is refused, or
the user is told what applies instead. No keyword is ignored for which `ssh` would refuse to
connect.

Up to OpenSSH 10.2, with the keywords that Debian, Fedora and macOS add."""

from __future__ import annotations

from collections.abc import Mapping

REFUSED: Mapping[str, tuple[str, str]] = {
    "bindinterface": ("BindInterface", "Name the interface's address with BindAddress instead."),
    "proxyusefdpass": (
        "ProxyUseFdpass",
        "Set it to no, and give ProxyCommand a command that carries the data itself.",
    ),
    "refuseconnection": ("RefuseConnection", "It forbids ssh to connect there."),
}
"""Keywords without which the connection would be a different one, and what to do."""

REPORTED: Mapping[str, tuple[str, str]] = {
    "channeltimeout": ("ChannelTimeout", "idle connections stay open"),
    "controlmaster": ("ControlMaster", "trayconnect makes its own connection"),
    "controlpath": ("ControlPath", "trayconnect makes its own connection"),
    "exitonforwardfailure": (
        "ExitOnForwardFailure",
        "the connection continues without a failed forward",
    ),
    "forwardagent": ("ForwardAgent", "trayconnect does not forward the agent"),
    "forwardx11": ("ForwardX11", "trayconnect does not forward X11"),
    "hostbasedauthentication": ("HostbasedAuthentication", "trayconnect has no such login method"),
    "nohostauthenticationforlocalhost": (
        "NoHostAuthenticationForLocalhost",
        "trayconnect checks this machine's host key, too",
    ),
    "permitlocalcommand": ("PermitLocalCommand", "trayconnect runs no local command"),
    "permitremoteopen": ("PermitRemoteOpen", "remote forwards without a target are not opened"),
    "pkcs11provider": ("PKCS11Provider", "load the token's keys into the SSH agent"),
    "rekeylimit": ("RekeyLimit", "keys are renewed after the default amount of data"),
    "remotecommand": ("RemoteCommand", "trayconnect runs no remote command"),
    "setenv": ("SetEnv", "trayconnect sends no environment variable"),
    "streamlocalbindmask": ("StreamLocalBindMask", "only the owner can use local sockets"),
    "tunnel": ("Tunnel", "trayconnect makes no network interface"),
    "verifyhostkeydns": ("VerifyHostKeyDNS", "only known_hosts files count"),
}
"""Harmless keywords whose absence a user would notice, and what applies instead."""

_QUIET = (
    "AddKeysToAgent CompressionLevel Compression ConnectionAttempts ControlPersist "
    "DebianBanner EnableEscapeCommandline EnableSSHKeysign EscapeChar FingerprintHash "
    "ForkAfterAuthentication ForwardX11Timeout ForwardX11Trusted GSSAPIAuthentication "
    "GSSAPIClientIdentity GSSAPIDelegateCredentials GSSAPIKexAlgorithms GSSAPIKeyExchange "
    "GSSAPIRenewalForcesRekey GSSAPIServerIdentity GSSAPITrustDns HashKnownHosts "
    "HostbasedAcceptedAlgorithms IPQoS KbdInteractiveDevices LocalCommand LogLevel LogVerbose "
    "ObscureKeystrokeTiming RequestTTY SecurityKeyProvider SendEnv SessionType StdinNull "
    "StreamLocalBindUnlink SyslogFacility TCPKeepAlive TunnelDevice UseKeychain "
    "VersionAddendum VisualHostKey WarnWeakCrypto XAuthLocation "
    # Without effect in current OpenSSH.
    "Protocol Cipher FallBackToRsh GlobalKnownHostsFile2 RhostsAuthentication "
    "UserKnownHostsFile2 UseRoaming UseRsh UsePrivilegedPort AFSTokenPassing "
    "KerberosAuthentication KerberosTgtPassing RSAAuthentication RhostsRSAAuthentication"
)
QUIET: Mapping[str, str] = {name.lower(): name for name in _QUIET.split()}
"""Harmless keywords that nobody would miss, or that systems set for all hosts: only `check` reports
them."""

HARMLESS: Mapping[str, frozenset[str]] = {
    "bindinterface": frozenset(("none",)),
    "channeltimeout": frozenset(("none",)),
    "compression": frozenset(("no", "false")),
    "controlmaster": frozenset(("no", "false")),
    "controlpath": frozenset(("none",)),
    "exitonforwardfailure": frozenset(("no", "false")),
    "forwardagent": frozenset(("no", "false")),
    "forwardx11": frozenset(("no", "false")),
    "gssapiauthentication": frozenset(("no", "false")),
    "hostbasedauthentication": frozenset(("no", "false")),
    "loglevel": frozenset(("info",)),
    "nohostauthenticationforlocalhost": frozenset(("no", "false")),
    "permitlocalcommand": frozenset(("no", "false")),
    "permitremoteopen": frozenset(("any",)),
    "pkcs11provider": frozenset(("none",)),
    "proxyusefdpass": frozenset(("no", "false")),
    "refuseconnection": frozenset(("none",)),
    "rekeylimit": frozenset(("0 0", "default none", "default")),
    "remotecommand": frozenset(("none",)),
    "streamlocalbindmask": frozenset(("0177",)),
    "tunnel": frozenset(("no", "false")),
    "verifyhostkeydns": frozenset(("no", "false")),
}
"""Values of these keywords that change nothing."""

METHODS = ("publickey", "keyboard-interactive", "password")
"""The supported authentication methods, in their order."""

SWITCHES: Mapping[str, str] = {
    "pubkeyauthentication": "publickey",
    "kbdinteractiveauthentication": "keyboard-interactive",
    "passwordauthentication": "password",
}
"""The keywords that disable one of them."""
