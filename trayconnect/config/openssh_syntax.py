"""Syntax of ssh_config(5): keywords, lines, single values, jump hosts."""

from __future__ import annotations

import re
import socket
from collections.abc import Mapping
from typing import Literal, NamedTuple
from urllib.parse import unquote

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


WHITESPACE = " \t\r\n"
_KEYWORD = re.compile(r'[ \t\r\n]*(?:"(?P<quoted>[^"]*)"|(?P<plain>[^ \t\r\n"=]*))')
_EQUALS = re.compile(r"[ \t\r\n]*=?[ \t\r\n]*")


class ConfigLine(NamedTuple):
    """`rest` is the unsplit text after the keyword, for keywords that take it so."""

    keyword: str
    rest: str


def split_line(text: str) -> ConfigLine | None:
    """A line's keyword, in lower case, and the rest; None for an empty line or a comment."""
    text = text.rstrip(WHITESPACE + "\f")
    match = _KEYWORD.match(text)
    assert match is not None  # it matches the empty string too
    keyword = match["quoted"] if match["quoted"] is not None else match["plain"]
    if not keyword or keyword.startswith("#"):
        return None
    equals = _EQUALS.match(text, match.end())
    assert equals is not None
    return ConfigLine(keyword.lower(), text[equals.end() :])


def split_words(text: str, *, comments: bool = True) -> tuple[str, ...]:
    """The arguments, without quotes and escapes, up to a comment; as argv_split() of misc.c.

    Raises ValueError for an unclosed quote."""
    words: list[str] = []
    position = 0
    while position < len(text):
        if text[position] in " \t":
            position += 1
            continue
        if comments and text[position] == "#":
            break
        word, position = _word(text, position)
        words.append(word)
    return tuple(words)


def _word(text: str, position: int) -> tuple[str, int]:
    found: list[str] = []
    quote = ""
    while position < len(text):
        sign, following = text[position], text[position + 1 : position + 2]
        if sign == "\\" and (following in ("'", '"', "\\") or (not quote and following == " ")):
            position += 1
            found.append(following)
        elif not quote and sign in " \t":
            break
        elif not quote and sign in "\"'":
            quote = sign
        elif quote and sign == quote:
            quote = ""
        else:
            found.append(sign)
        position += 1
    if quote:
        raise ValueError("invalid quotes")
    return "".join(found), position


def split_criteria(text: str) -> tuple[str, ...]:
    """The arguments of a Match line, as strdelim() of misc.c: with `"…"`, and one `=` between two
    of them.

    Raises ValueError for an unclosed quote."""
    words: list[str] = []
    text = text.strip(WHITESPACE)
    while text:
        if text.startswith("#"):
            break
        if text.startswith('"'):
            word, closed, text = text[1:].partition('"')
            if not closed:
                raise ValueError("invalid quotes")
        else:
            end = re.search(r'[ \t\r\n"=]', text)
            word = text[: end.start()] if end else text
            text = text[end.start() :] if end else ""
            separator = _EQUALS.match(text)
            assert separator is not None
            text = text[separator.end() :]
        words.append(word)
        text = text.lstrip(WHITESPACE)
    return tuple(words)


StrictHostKeyChecking = Literal["yes", "accept-new", "ask", "no"]

_TIME = re.compile(r"([0-9]+)([smhdwSMHDW]?)")
_SECONDS = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}
_LONGEST = 2**31 - 1

FLAGS = {"yes": True, "true": True, "no": False, "false": False}


def flag(text: str) -> bool:
    """yes or no."""
    try:
        return FLAGS[text.lower()]
    except KeyError:
        raise ValueError(f"must be yes or no, not {text!r}") from None


def seconds(text: str) -> int | None:
    """A time such as 90, 1m30s or 2h, in seconds; None for `none`."""
    if text == "none":
        return None
    total = 0
    position = 0
    for match in _TIME.finditer(text):
        if match.start() != position:
            break
        total += int(match[1][:12]) * _SECONDS[match[2].lower()]
        position = match.end()
    if not text or position != len(text) or total > _LONGEST:
        raise ValueError(f"must be a time such as 90 or 1m30s, not {text!r}")
    return total


def port_number(text: str, lowest: int = 1) -> int:
    """A port, by its number or its service's name."""
    if text.isascii() and text.isdigit():
        port = int(text[:6])
    else:
        try:
            port = socket.getservbyname(text, "tcp")
        except (OSError, UnicodeError, ValueError):
            raise ValueError(f"{text!r} is no port") from None
    if not lowest <= port <= 65_535:
        raise ValueError(f"a port must be from {lowest} to 65535, not {text}")
    return port


def whole_number(text: str) -> int:
    """An integer."""
    if not re.fullmatch(r"-?[0-9]{1,9}", text):
        raise ValueError(f"must be a whole number, not {text!r}")
    return int(text)


def strict_host_key_checking(text: str) -> StrictHostKeyChecking:
    """StrictHostKeyChecking."""
    match text.lower():
        case "yes" | "true":
            return "yes"
        case "no" | "false" | "off":
            return "no"
        case "ask":
            return "ask"
        case "accept-new":
            return "accept-new"
    raise ValueError(f"must be yes, no, ask or accept-new, not {text!r}")


class Jump(NamedTuple):
    """`[user@]host[:port]`; None: unspecified."""

    host: str
    user: str | None = None
    port: int | None = None


def jump_hosts(text: str) -> tuple[Jump, ...]:
    """The hosts in order; none for `none`. Raises ValueError."""
    if text.strip().lower() == "none":
        return ()
    return tuple(jump_host(part.strip()) for part in text.split(","))


def jump_host(text: str) -> Jump:
    """`[user@]host[:port]` or `ssh://[user@]host[:port]`. Raises ValueError."""
    is_uri = text.startswith("ssh://")
    text = text.removeprefix("ssh://")
    user, at, rest = text.rpartition("@")
    if is_uri:
        rest = rest.partition("/")[0]
        user = unquote(user.partition(";")[0])
    if at and not user:
        raise ValueError("the user's name before '@' is missing")
    host, port = _host_and_port(rest)
    if not host or host.startswith("-") or any(c.isspace() for c in host):
        raise ValueError(f"{text!r} must be [user@]host[:port]")
    return Jump(host, user or None, port_number(port) if port else None)


def _host_and_port(text: str) -> tuple[str, str]:
    if text.startswith("["):
        host, closed, rest = text[1:].partition("]")
        if not closed or (rest and not rest.startswith(":")):
            raise ValueError("a '[' is not closed, or something follows it")
        return host, rest[1:]
    host, _, port = text.partition(":")
    if ":" in port:
        raise ValueError("write an IPv6 address in brackets")
    return host, port
