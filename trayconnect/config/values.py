"""The types of single values of the file, and the constraints behind them.

Each function takes the value and returns it, or raises ValueError with words that follow the key's
name: "host" + "must not contain spaces". No message repeats a value that may hold a secret."""

from __future__ import annotations

import ipaddress
import os
import re
from pathlib import Path
from typing import Annotated
from unicodedata import category
from urllib.parse import parse_qsl, urlsplit

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, Strict

from trayconnect.config.host_syntax import host_fault, user_fault
from trayconnect.config.local_addresses import EVERYWHERE, LOCALHOST
from trayconnect.config.secret_keys import names_secret

HOST_PATTERN = r"^[^\s/@\[\]'`\"$\\;&<>|(){},*?!#^-][^\s/@\[\]'`\"$\\;&<>|(){},*?!#^]*$"
USER_PATTERN = r"^[^'`\";&<>|(){}-][^'`\";&<>|(){}]*$"
PATH_PATTERN = r"^/.*$"
URL_PATTERN = r"^[Hh][Tt][Tt][Pp][Ss]?://[^\s/@?#]+([/?#]\S*)?$"
JUMP_HOST_PATTERN = r"^([^\s:]+@)?(\[[0-9A-Fa-f:.%]+\](:[0-9]+)?|[^\s/@\[\],]+)$"
LOCAL_SOCKET_PATTERN = r"^(/|~)"
REMOTE_SOCKET_PATTERN = r"^/"
SOCKET_PATH_BYTES = 107
"""Limit of a UNIX socket's path: `sun_path` of unix(7) has 108 bytes, including the final zero."""
JUMP_HOST_FORM = "must be [user@]host[:port], with an IPv6 address in brackets"

_UNSEEN = ("Cc", "Cs", "Zl", "Zp")
"""Unicode's categories of control characters, surrogates and line separators."""
_HOST_AND_PORT = re.compile(r"[^:]+:[0-9]+")
_JUMP_HOST = re.compile(
    r"(?:(?P<username>.+)@)?(?:\[(?P<address>[^\[\]]+)\]|(?P<host>[^@:\[\]]+))(?::(?P<port>[0-9]+))?"
)


def printable(value: str) -> str:
    """No control characters, and no space at the ends."""
    # Emoji and some scripts use joiners, which Python does not count as printable.
    visible = value.replace("\u200c", "").replace("\u200d", "")
    if value != value.strip() or not visible.isprintable():
        raise ValueError("must not begin or end with a space, or contain control characters")
    return value


def host_name(value: str) -> str:
    """A name or an address, and nothing else."""
    if "://" in value:
        raise ValueError("must be the bare name: split it into username, host and port")
    if "@" in value:
        raise ValueError("must not contain a user name: split it into username and host")
    if not value.isprintable() or any(character.isspace() for character in value):
        raise ValueError(
            "must not contain spaces: it is a name such as gpu.example.org, or an address; "
            "the text for the menu is 'name'"
        )
    if "[" in value or "]" in value:
        raise ValueError("takes an address without brackets, and the port under 'port'")
    if "/" in value:
        raise ValueError("must not contain a slash: it is a name or an address, not a URL")
    # OpenSSH parses such a value as an option (CVE-2017-1000117 and similar).
    if value.startswith("-"):
        raise ValueError("must not begin with '-'")
    if fault := host_fault(value):
        raise ValueError(fault)
    if ":" in value and not _is_ipv6(value):
        if _HOST_AND_PORT.fullmatch(value):
            raise ValueError("must not contain the port: split it into host and port")
        raise ValueError("is not an IPv6 address, and other hosts have no ':'")
    return value


def user_name(value: str) -> str:
    r"""An account on a server; one of a directory service may contain a domain: `LAB\ada`."""
    if fault := user_fault(printable(value)):
        raise ValueError(fault)
    return value


def bind_address(value: str) -> str:
    """An address to listen on, here or on the server."""
    if value in (LOCALHOST, EVERYWHERE):
        return value
    try:
        ipaddress.ip_address(value)
    except ValueError:
        raise ValueError("must be an IP address, localhost, or '*' for every address") from None
    return value


def local_socket(value: object) -> object:
    """The path of a local UNIX socket, with `~` expanded; a value that is no text is left to the
    type check."""
    if not isinstance(value, str):
        return value
    path = os.path.expanduser(value)  # noqa: PTH111 - text stays text
    if not (path.startswith("/") or os.path.isabs(path)):  # noqa: PTH117
        raise ValueError("must be a whole path: begin it with '/' or '~/'")
    return _socket_path(path)


def remote_socket(value: str) -> str:
    """The path of a UNIX socket on the server."""
    if not value.startswith("/"):
        raise ValueError("must be the whole path on the server: begin it with '/'")
    return _socket_path(value)


def _socket_path(path: str) -> str:
    if not path.isprintable() or path.endswith("/"):
        raise ValueError("must be the path of a UNIX socket")
    if len(path.encode()) > SOCKET_PATH_BYTES:
        raise ValueError(
            f"must have at most {SOCKET_PATH_BYTES} bytes, the limit for the path of a UNIX "
            "socket: choose a shorter folder"
        )
    return path


def local_port(value: int) -> int:
    """A port that needs no privileges."""
    if value < 1024:
        raise ValueError("must be from 1024 to 65535: only root may listen on a port below 1024")
    return value


def user_path(value: object) -> object:
    """A path, with `~` expanded; a value that is no text is left to the type check."""
    if not isinstance(value, str):
        return value
    if "PRIVATE KEY" in value or "\n" in value:
        raise ValueError("must be the path of a key file, not the key itself")
    if not value or not value.isprintable():
        raise ValueError("must be the path of a file, such as ~/.ssh/id_ed25519")
    try:
        return Path(value).expanduser()
    except RuntimeError:
        raise ValueError("names the home folder of a user unknown here") from None


def agent_place(value: str) -> str:
    """The path of a socket, with `~` expanded, or "none"; on Windows, a pipe or "pageant"."""
    if not value or not value.isprintable():
        raise ValueError("must be the path of an agent's socket, or none")
    try:
        return str(Path(value).expanduser()) if value.startswith("~") else value
    except RuntimeError:
        raise ValueError("names the home folder of a user unknown here") from None


def server_path(value: str) -> str:
    """The path of a file or folder on a server, where its `~` is expanded."""
    if not value.isprintable() or value != value.strip() or value.startswith("-"):
        raise ValueError("must be a path on the server, such as ~/thesis")
    return value


def page_path(value: str) -> str:
    """The path of a page, with its query and fragment; see `page_paths.url_path`."""
    if not value.startswith("/") or any(category(one) in _UNSEEN for one in value):
        raise ValueError("must begin with '/' and contain no control characters")
    _no_token(value)
    return value


def direct_url(value: str) -> str:
    """An http or https URL without credentials."""
    if not value.isprintable() or any(character.isspace() for character in value):
        raise ValueError("must not contain spaces")
    try:
        parts = urlsplit(value)
        host, _ = parts.hostname, parts.port
    except ValueError:
        raise ValueError(
            "is not a valid address: write it as http://host:port/path, with an IPv6 address in "
            "brackets"
        ) from None
    if parts.scheme not in ("http", "https"):
        raise ValueError("must begin with http:// or https://")
    if "@" in parts.netloc:
        raise ValueError("must not contain a user name or a password: the page asks for them")
    if not host:
        raise ValueError("names no host: write it as http://host:port/path")
    _no_token(value)
    return value


def jump_host(value: str) -> dict[str, object]:
    """`[user@]host[:port]`, as in OpenSSH's ProxyJump, split; missing parts are absent."""
    if "," in value:
        raise ValueError("must be one jump host: give each its own entry of the list")
    if _is_ipv6(value):
        return {"host": value}
    match = _JUMP_HOST.fullmatch(value)
    if match is None:
        raise ValueError(JUMP_HOST_FORM)
    username, address, port = match["username"], match["address"], match["port"]
    if username and ":" in username:
        raise ValueError("must not contain a password: " + JUMP_HOST_FORM)
    if address and not _is_ipv6(address):
        raise ValueError(JUMP_HOST_FORM)
    parts: dict[str, object] = {"host": address or match["host"]}
    if username:
        parts["username"] = username
    if port:
        # Six digits are out of range already; int() refuses thousands of them.
        parts["port"] = int(port[:6])
    return parts


def _is_ipv6(value: str) -> bool:
    try:
        ipaddress.IPv6Address(value)
    except ValueError:
        return False
    return True


def _no_token(url: str) -> None:
    parts = urlsplit(url)
    if any(names_secret(key) for key, _ in parse_qsl(f"{parts.query}&{parts.fragment}")):
        raise ValueError("must not contain a token: remove it, the page asks for it")


Port = Annotated[int, Strict(), Field(ge=1, le=65535)]
LocalPort = Annotated[Port, AfterValidator(local_port), Field(json_schema_extra={"minimum": 1024})]
Flag = Annotated[bool, Strict()]
Seconds = Annotated[float, Strict(), Field(gt=0, le=86_400)]
UserPath = Annotated[Path, BeforeValidator(user_path)]
Name = Annotated[str, Field(min_length=1, max_length=80), AfterValidator(printable)]
UserName = Annotated[
    str,
    Field(min_length=1, max_length=255, json_schema_extra={"pattern": USER_PATTERN}),
    AfterValidator(user_name),
]
HostName = Annotated[
    str,
    Field(min_length=1, max_length=255, json_schema_extra={"pattern": HOST_PATTERN}),
    AfterValidator(host_name),
]
BindAddress = Annotated[str, AfterValidator(bind_address)]
PagePath = Annotated[
    str,
    Field(max_length=2000, json_schema_extra={"pattern": PATH_PATTERN}),
    AfterValidator(page_path),
]
Url = Annotated[
    str,
    Field(max_length=2000, json_schema_extra={"pattern": URL_PATTERN}),
    AfterValidator(direct_url),
]
RemotePort = Annotated[int, Strict(), Field(ge=0, le=65535)]
LocalSocket = Annotated[
    str,
    BeforeValidator(local_socket),
    Field(json_schema_extra={"pattern": LOCAL_SOCKET_PATTERN}),
]
RemoteSocket = Annotated[
    str,
    Field(json_schema_extra={"pattern": REMOTE_SOCKET_PATTERN}),
    AfterValidator(remote_socket),
]


class Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")
