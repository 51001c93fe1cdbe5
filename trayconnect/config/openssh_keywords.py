"""The keywords of ssh_config(5)."""

from __future__ import annotations

from collections.abc import Mapping

from trayconnect.config import forward_syntax
from trayconnect.config.forward_syntax import Kind

_KEYWORDS = (
    "addkeystoagent addressfamily afstokenpassing batchmode bindaddress bindinterface "
    "canonicaldomains canonicalizefallbacklocal canonicalizehostname canonicalizemaxdots "
    "canonicalizepermittedcnames casignaturealgorithms certificatefile channeltimeout "
    "checkhostip cipher ciphers clearallforwardings compression compressionlevel "
    "connectionattempts connecttimeout controlmaster controlpath controlpersist debianbanner "
    "dynamicforward enableescapecommandline enablesshkeysign escapechar exitonforwardfailure "
    "fallbacktorsh fingerprinthash forkafterauthentication forwardagent forwardx11 "
    "forwardx11timeout forwardx11trusted gatewayports globalknownhostsfile "
    "globalknownhostsfile2 gssapiauthentication gssapiclientidentity gssapidelegatecredentials "
    "gssapikexalgorithms gssapikeyexchange gssapirenewalforcesrekey gssapiserveridentity "
    "gssapitrustdns hashknownhosts hostbasedacceptedalgorithms hostbasedauthentication "
    "hostkeyalgorithms hostkeyalias hostname identitiesonly identityagent identityfile "
    "ignoreunknown ipqos kbdinteractiveauthentication kbdinteractivedevices "
    "kerberosauthentication kerberostgtpassing kexalgorithms knownhostscommand localcommand "
    "localforward loglevel logverbose macs nohostauthenticationforlocalhost "
    "numberofpasswordprompts obscurekeystroketiming passwordauthentication permitlocalcommand "
    "permitremoteopen pkcs11provider port preferredauthentications protocol proxycommand "
    "proxyjump proxyusefdpass pubkeyacceptedalgorithms pubkeyauthentication refuseconnection "
    "rekeylimit remotecommand remoteforward requesttty requiredrsasize revokedhostkeys "
    "rhostsauthentication rhostsrsaauthentication rsaauthentication securitykeyprovider sendenv "
    "serveralivecountmax serveraliveinterval sessiontype setenv stdinnull streamlocalbindmask "
    "streamlocalbindunlink stricthostkeychecking syslogfacility tag tcpkeepalive tunnel "
    "tunneldevice updatehostkeys usekeychain useprivilegedport user userknownhostsfile "
    "userknownhostsfile2 useroaming usersh verifyhostkeydns versionaddendum visualhostkey "
    "warnweakcrypto xauthlocation"
)
KEYWORDS = frozenset(_KEYWORDS.split())
"""Also those of OpenSSH as Debian, Fedora and macOS build it, and outdated ones."""

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
