"""Finds the Jupyter servers of an account with one remote command."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from importlib.resources import files
from typing import Protocol

from trayconnect.core import remote_script, sanitize
from trayconnect.core.endpoints import IPAddress, named_address, proc_address
from trayconnect.core.errors import ProblemError
from trayconnect.core.link import Completed, NotEndedError
from trayconnect.services.http_client import host_port
from trayconnect.services.jupyter.problems import shell_is_slow, shell_ran_nothing

LIMIT = 60.0
"""Seconds for the search. It takes 0.1, but the account's login shell runs first, and its start-up
files (conda, modules) may take much longer."""

VERSION_LENGTH = 40

_BEGIN = "@@trayconnect find 2"
_PID = re.compile(r"[0-9]{1,18}")
_COUNT = re.compile(r"[0-9]{1,6}")
_WORD = re.compile(r"[\w:.+-]{1,100}", re.ASCII)


class Execute(Protocol):
    """See `Link.execute`."""

    def __call__(self, command: str, stdin: bytes, timeout: float) -> Completed: ...


@dataclass(frozen=True, slots=True)
class RunningServer:
    """A running Jupyter server of this account, by its runtime file and its listening socket."""

    host: str
    """The address it listens on, as seen from its own host; empty for a UNIX socket."""
    port: int
    """0 for a UNIX socket."""
    token: str = field(repr=False)
    """Empty if it requires none, or if the port is not proven to be its own."""
    base_url: str
    """Begins and ends with a slash."""
    root_dir: str
    secure: bool
    """Whether it speaks https."""
    pid: int
    version: str
    socket: str = ""
    """The path of the UNIX socket it listens on, instead of a port."""
    kernels: int | None = None
    """Its number of kernels; None if unknown."""
    is_elsewhere: bool = False
    """Whether it runs on another host than the server, one with the same home."""
    hub: str | None = None
    """The address of the JupyterHub that started it, empty if unknown; None without a Hub."""
    is_classic: bool = False
    """Whether it is Notebook 6 or older, which has no JupyterLab."""
    born: str = field(default="", compare=False)
    """When its process began, since process numbers are used again. Empty if unknown."""
    python: str = field(default="", compare=False)
    """The program that it runs, as it was called; empty if unknown."""
    started_as: str = ""
    """The `start.digest` of the entry that it was started for; empty if it was started
    otherwise."""

    @property
    def where(self) -> str:
        """Its port or the path of its socket, unique on its host."""
        if self.socket:
            return self.socket
        usual = self.host in ("127.0.0.1", "localhost")
        return str(self.port) if usual else host_port(self.host, self.port)


@dataclass(frozen=True, slots=True)
class Discovery:
    """The result of one search."""

    servers: tuple[RunningServer, ...] = ()
    """First those in the folder that the login's environment names (`JUPYTER_RUNTIME_DIR`), then
    the others; the newest first."""
    home: str = ""
    """The account's home folder."""


def find(execute: Execute, host: str) -> Discovery:
    """Search the account on `host` (a name for messages) for running servers.

    Raises `ProblemError` as `execute` does, and if the login shell did not run the search: that is
    not the same as finding none."""
    return parse(run(execute, host, script("process.sh", "find.sh"), _BEGIN))


def run(execute: Execute, host: str, script: str, begin: str) -> str:
    """The output of a script that ran to its end. `begin` is its first line; its last is `@@done`.
    Raises as `find` does."""
    slow = False
    try:
        completed = execute(remote_script.COMMAND, remote_script.stdin(script), LIMIT)
    except NotEndedError as error:
        slow, completed = True, error.so_far
    output = completed.stdout.decode("utf-8", "replace")
    if has_ended(output, begin):
        return output
    said = sanitize.end_of(completed.stderr) or sanitize.end_of(output)
    raise ProblemError(shell_is_slow(host, LIMIT, said) if slow else shell_ran_nothing(host, said))


def has_ended(output: str, begin: str) -> bool:
    """Whether a script ran, and to its end."""
    report = output.replace("\r", "").rpartition(f"\n{begin}\n")[2]
    return report != output and "\n@@done\n" in report


def script(*names: str) -> str:
    """The text of these scripts, one after the other, with the line ends of sh."""
    folder = files("trayconnect.services.jupyter")
    data = b"".join(folder.joinpath(name).read_bytes() for name in names)
    return data.replace(b"\r\n", b"\n").decode()


def parse(output: str) -> Discovery:
    """Read the output of `find.sh`; what is malformed is skipped."""
    _, _, report = output.replace("\r", "").partition(f"\n{_BEGIN}\n")
    head, *blocks = report.split("\n@@server ")
    little_endian = "@@order 256" not in head
    found: dict[int, RunningServer] = {}
    for block in blocks:
        server = _server(block, little_endian)
        if server is not None:
            # The same folder may have two names.
            found.setdefault(server.pid, server)
    return Discovery(tuple(found.values()), line_of(head, "home"))


def _word(text: str, key: str) -> str:
    line = line_of(text, key)
    return line if _WORD.fullmatch(line) else ""


def _server(block: str, little_endian: bool) -> RunningServer | None:
    """Check one process; None if its runtime file is stale or broken.

    The host is the exact address of its socket, not "localhost": on [::1] the same port may belong
    to another user, who would get the token."""
    head, begins, rest = block.partition("\n@@file\n")
    said, ends, _ = rest.partition("\n@@end")
    number, _, about = head.partition("\n")
    if not begins or not ends or not _PID.fullmatch(number):
        return None
    pid = int(number)
    info = decoded(said)
    if info is None or info.get("pid", pid) != pid:
        return None
    listens = ListeningSockets.read(line_of(about, "listens").split(), little_endian=little_endian)
    place = _socket(info, about) if info.get("sock") else _port(info, listens)
    if place is None:
        return None
    host, port, socket = place
    token = info.get("token")
    proven = (socket or listens.known) and isinstance(token, str) and TOKEN.fullmatch(token)
    kernels = line_of(about, "kernels")
    return RunningServer(
        host=host,
        port=port,
        token=str(token) if proven else "",
        base_url=slashed(text(info, "base_url")),
        root_dir=_folder(info.get("root_dir")) or _folder(info.get("notebook_dir")),
        secure=info.get("secure") is True,
        pid=pid,
        version=sanitize.line(text(info, "version"), VERSION_LENGTH),
        socket=socket,
        kernels=int(kernels) if _COUNT.fullmatch(kernels) else None,
        is_classic="notebook_dir" in info,
        hub=line_of(about, "hub") if "@@hub" in about.split() else None,
        born=_word(about, "born"),
        python=line_of(about, "python"),
        started_as=_word(about, "started"),
    )


def _socket(info: dict[object, object], about: str) -> tuple[str, int, str] | None:
    """The socket's path in the runtime file, if the process listens there and the path is still its
    own."""
    path = text(info, "sock")
    is_own = path.startswith("/") and f"@@socket {path}" in about.split("\n")
    return ("", 0, path) if is_own else None


def _port(info: dict[object, object], listens: ListeningSockets) -> tuple[str, int, str] | None:
    """The address and port, if the process listens there."""
    port = info.get("port")
    if port == 0 and len({number for _, number in listens.addresses}) == 1:
        # Notebook 6 writes the port it was asked for.
        port = listens.addresses[0][1]
    if not isinstance(port, int) or isinstance(port, bool) or not 0 < port < 65536:
        return None
    host = listens.host(port) if listens.known else "localhost"
    return None if host is None else (host, port, "")


def _folder(value: object) -> str:
    """Unchanged if it is printable: a choice is found again by it."""
    return sanitize.exact(value) or (sanitize.line(value) if isinstance(value, str) else "")


TOKEN = re.compile(r"[\x21-\x7e]+")


def line_of(report: str, key: str) -> str:
    """The rest of the last line that begins with `@@key`."""
    lines = [rest for line in report.split("\n") if (rest := _rest(line, key)) is not None]
    return sanitize.exact(lines[-1]) if lines else ""


def _rest(line: str, key: str) -> str | None:
    word, _, rest = line.partition(" ")
    return rest if word == f"@@{key}" else None


def decoded(content: str) -> dict[object, object] | None:
    """A runtime file; None if it is not an object."""
    try:
        info = json.loads(content)
    except (ValueError, RecursionError):
        return None
    return info if isinstance(info, dict) else None


def text(info: dict[object, object], key: str) -> str:
    return sanitize.exact(info.get(key))


def slashed(path: str) -> str:
    """A base URL, which begins and ends with a slash."""
    inner = path.strip("/")
    return f"/{inner}/" if inner else "/"


@dataclass(frozen=True, slots=True)
class ListeningSockets:
    """The TCP addresses that a process listens on; `known` is false if nothing reports them."""

    known: bool
    addresses: tuple[tuple[IPAddress, int], ...] = ()

    @classmethod
    def read(cls, words: list[str], *, little_endian: bool) -> ListeningSockets:
        """From the output of `find.sh`: the source, and the addresses in its format."""
        match words:
            case ["proc", *rest]:
                pairs = [_proc_address(word, little_endian) for word in rest]
            case ["lsof", *rest]:
                pairs = [_lsof_address(word) for word in rest]
            case _:
                return cls(known=False)
        return cls(known=True, addresses=tuple(pair for pair in pairs if pair is not None))

    def host(self, port: int) -> str | None:
        """The address for that port: loopback if it listens there; None if it does not listen."""
        found = [address for address, number in self.addresses if number == port]
        if not found:
            return None
        best = min(found, key=lambda a: (not (a.is_loopback or a.is_unspecified), a.version))
        if best.is_unspecified:
            return "127.0.0.1" if best.version == 4 else "::1"
        return str(best)


def _proc_address(word: str, little_endian: bool) -> tuple[IPAddress, int] | None:
    try:
        return proc_address(word, little_endian=little_endian)
    except ValueError:
        return None


def _lsof_address(word: str) -> tuple[IPAddress, int] | None:
    try:
        return named_address(word)
    except ValueError:
        return None
