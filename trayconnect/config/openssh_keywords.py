"""The keywords of ssh_config(5), and the syntax of their arguments."""

from __future__ import annotations

import enum
from collections.abc import Mapping

from trayconnect.config import forward_syntax
from trayconnect.config.forward_syntax import Kind


class Takes(enum.Enum):
    """How the rest of a keyword's line is parsed."""

    WORD = enum.auto()
    WORDS = enum.auto()
    LIST = enum.auto()
    """One argument; a further line adds one more."""
    COMMAND = enum.auto()
    """The whole rest of the line, verbatim."""
    FLAG = enum.auto()
    NUMBER = enum.auto()
    TIME = enum.auto()
    PORT = enum.auto()
    FAMILY = enum.auto()
    STRICTNESS = enum.auto()
    ALGORITHMS = enum.auto()
    JUMPS = enum.auto()
    FORWARD = enum.auto()
    ANYTHING = enum.auto()
    """Not interpreted here."""


_BY_KIND: Mapping[Takes, str] = {
    Takes.WORD: "hostname user hostkeyalias bindaddress bindinterface identityagent ignoreunknown "
    "preferredauthentications kbdinteractivedevices pkcs11provider securitykeyprovider "
    "revokedhostkeys controlpath xauthlocation tag",
    Takes.WORDS: "userknownhostsfile globalknownhostsfile",
    Takes.LIST: "identityfile certificatefile",
    Takes.COMMAND: "proxycommand knownhostscommand localcommand remotecommand",
    Takes.FLAG: "identitiesonly batchmode passwordauthentication kbdinteractiveauthentication "
    "hostbasedauthentication gssapiauthentication gssapidelegatecredentials checkhostip "
    "tcpkeepalive nohostauthenticationforlocalhost clearallforwardings exitonforwardfailure "
    "gatewayports forwardx11 forwardx11trusted enablesshkeysign hashknownhosts "
    "permitlocalcommand visualhostkey stdinnull forkafterauthentication proxyusefdpass "
    "canonicalizefallbacklocal streamlocalbindunlink enableescapecommandline",
    Takes.NUMBER: "numberofpasswordprompts serveralivecountmax connectionattempts "
    "canonicalizemaxdots requiredrsasize",
    Takes.TIME: "connecttimeout serveraliveinterval forwardx11timeout",
    Takes.PORT: "port",
    Takes.FAMILY: "addressfamily",
    Takes.STRICTNESS: "stricthostkeychecking",
    Takes.ALGORITHMS: "ciphers macs kexalgorithms hostkeyalgorithms pubkeyacceptedalgorithms "
    "casignaturealgorithms hostbasedacceptedalgorithms",
    Takes.JUMPS: "proxyjump",
    Takes.FORWARD: "localforward remoteforward dynamicforward",
    # The second part is of OpenSSH as Debian, Fedora and macOS build it; the third is outdated.
    Takes.ANYTHING: "addkeystoagent canonicaldomains canonicalizehostname "
    "canonicalizepermittedcnames channeltimeout compression controlmaster controlpersist "
    "escapechar fingerprinthash forwardagent ipqos loglevel logverbose obscurekeystroketiming "
    "permitremoteopen pubkeyauthentication refuseconnection rekeylimit requesttty sendenv "
    "sessiontype setenv streamlocalbindmask syslogfacility tunnel tunneldevice updatehostkeys "
    "verifyhostkeydns versionaddendum warnweakcrypto "
    "gssapiclientidentity gssapikexalgorithms gssapikeyexchange gssapirenewalforcesrekey "
    "gssapiserveridentity gssapitrustdns usekeychain debianbanner "
    "protocol cipher fallbacktorsh globalknownhostsfile2 rhostsauthentication "
    "userknownhostsfile2 useroaming usersh useprivilegedport afstokenpassing "
    "kerberosauthentication kerberostgtpassing rsaauthentication rhostsrsaauthentication "
    "compressionlevel",
}

KEYWORDS: Mapping[str, Takes] = {
    keyword: takes for takes, keywords in _BY_KIND.items() for keyword in keywords.split()
}

FORWARDS: Mapping[str, Kind] = {
    name.lower(): kind for kind, name in forward_syntax.KEYWORDS.items()
}

ALIASES: Mapping[str, str] = {
    "challengeresponseauthentication": "kbdinteractiveauthentication",
    "skeyauthentication": "kbdinteractiveauthentication",
    "tisauthentication": "kbdinteractiveauthentication",
    "dsaauthentication": "pubkeyauthentication",
    "identityfile2": "identityfile",
    "smartcarddevice": "pkcs11provider",
    "keepalive": "tcpkeepalive",
    "hostbasedkeytypes": "hostbasedacceptedalgorithms",
    "pubkeyacceptedkeytypes": "pubkeyacceptedalgorithms",
}
