"""To a job's node by SSH: a login through the login node, or the relay by the login node's ssh."""

from __future__ import annotations

import shlex
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from trayconnect.config.host_syntax import host_fault
from trayconnect.core import sanitize
from trayconnect.core.cancellation import CancelToken
from trayconnect.core.errors import Cancelled, Problem, ProblemError, Recovery
from trayconnect.core.link import Hop, Link
from trayconnect.core.threads import deadline
from trayconnect.services.batch.job import JobFiles
from trayconnect.services.batch.reach import REACH_LIMIT, Destination, OnLost, words
from trayconnect.services.batch.relay import program
from trayconnect.services.batch.relay.relay_link import start_relay
from trayconnect.services.batch.told import check_socket, enter_folder

_CHECK_SECONDS = 5.0
_LEAST_SECONDS = 8.0
"""Left for the second kind of login, whatever the first one took."""
_OPTIONS = (
    "BatchMode=yes",
    "StrictHostKeyChecking=yes",
    "ForwardAgent=no",
    "ForwardX11=no",
    "ClearAllForwardings=yes",
    "ControlMaster=no",
    "ControlPath=none",
    "PermitLocalCommand=no",
    "ConnectTimeout=6",
    "ServerAliveInterval=15",
    "LogLevel=INFO",  # with the banner, which may say why a login is denied
)


def open_ssh(to: Destination, login: Link, cancel: CancelToken, on_lost: OnLost) -> Link:
    """An `OpenWay`."""
    began = time.monotonic()
    node = to.job.node
    reasons: list[Problem] = []
    if not node:
        raise _unreached("the node", [])
    with _limited(cancel, REACH_LIMIT - _LEAST_SECONDS, f"A login to {node}") as token:
        try:
            return _hop(to, login, token, on_lost, reasons)
        except ProblemError as error:
            reasons.append(error.problem)
    cancel.check()
    try:
        return start_relay(
            login,
            _line(to),
            node,
            keepalive=to.server.keepalive,
            seconds=max(_LEAST_SECONDS, REACH_LIMIT - (time.monotonic() - began)),
            cancel=cancel,
            on_lost=on_lost,
        )
    except ProblemError as error:
        reasons.append(error.problem)
        raise _unreached(node, reasons) from error


@contextmanager
def _limited(cancel: CancelToken, seconds: float, what: str) -> Iterator[CancelToken]:
    """A token that is set with `cancel`, and after so many seconds; what ends by the latter raises
    a `ProblemError`."""
    token = CancelToken()
    with cancel.releasing(token.set), deadline(seconds, token.set):
        try:
            yield token
        except Cancelled as error:
            cancel.check()
            problem = Problem(f"{what} took more than {seconds:g} s", "", Recovery.RETRY)
            raise ProblemError(problem) from error


def _hop(
    to: Destination,
    login: Link,
    cancel: CancelToken,
    on_lost: OnLost,
    reasons: list[Problem],
) -> Link:
    """A login by the first name that works."""
    keys = to.files.host_keys if to.files else ()
    if not keys:
        raise _unreached(to.job.node, [Problem("Its job has not told its host keys", "")])
    for name in to.job.nodes:
        try:
            link = login.hop(Hop(name, keys), cancel=cancel, on_lost=on_lost)
            try:
                _check(link, to.files)
            except BaseException:
                link.close()
                raise
        except ProblemError as error:
            reasons.append(error.problem)
        else:
            return link
    raise ProblemError(reasons.pop())


def _check(link: Link, files: JobFiles | None) -> None:
    """Raises `ProblemError` unless the link leads to the job's node, and its socket. Nodes may
    share their host keys, and a server may take logins but forward nothing."""
    if files is None or not files.node:
        return
    seen = link.execute("uname -n", b"", _CHECK_SECONDS)
    said = seen.stdout.decode(errors="replace").split()
    if seen.status != 0 or not said:
        said_there = sanitize.line(seen.stderr.strip() or seen.stdout.strip(), 300)
        title = f"{files.node} takes a login, but runs no command"
        raise ProblemError(Problem(title, "", Recovery.RETRY, said_there))
    if said[-1] != files.node:
        title = f"The login to {files.node} led to {sanitize.line(said[-1], 60)}"
        raise ProblemError(Problem(title, "", Recovery.RETRY))
    check_socket(files, link)


def _line(to: Destination) -> str:
    """The login node's ssh runs the relay on the node: with a key of the cluster's own, or by the
    host. The job's host keys are the only ones that it accepts, if they are known."""
    node = to.job.node
    if host_fault(node) or node.startswith("-"):
        raise ProblemError(Problem(f"{node!r} is no name of a host", "", Recovery.RETRY))
    options = [word for option in _OPTIONS for word in ("-o", option)]
    relay = program.command(to.files.pid if to.files else None)
    ssh = ["exec", "ssh", "-T", *options]
    before = ""
    if to.files and to.files.host_keys:
        before = _known_hosts(to.server.name, to.files.job, node, to.files.host_keys)
        ssh += ["-o", "GlobalKnownHostsFile=/dev/null"]
        # Not by its whole path, in which ssh would see blanks and percent signs.
        ssh += ["-o", "UserKnownHostsFile=./known_hosts"]
    remote = shlex.quote(f"exec sh -c {shlex.quote(relay)}")
    line = f"{before}{shlex.join(ssh)} -- {shlex.quote(node)} {remote}"
    return f"exec sh -c {shlex.quote(line)}"


def _known_hosts(server: str, job: str, node: str, keys: Sequence[str]) -> str:
    """A line of sh that writes them into the job's folder, which goes with the job's files. A login
    shell may be csh, which allows no line break in quotes."""
    lines = shlex.join(f"{node} {' '.join(key.split()[:2])}" for key in keys)
    return (
        f"{enter_folder(server, job)}umask 077; "
        f"printf '%s\\n' {lines} >known_hosts.$$ && "
        "mv -f known_hosts.$$ known_hosts || exit; "
    )


def _unreached(node: str, reasons: Sequence[Problem]) -> ProblemError:
    said = "; ".join(dict.fromkeys(map(words, reasons)))
    return ProblemError(Problem(f"No login to {node} is possible", "", Recovery.RETRY, said))
