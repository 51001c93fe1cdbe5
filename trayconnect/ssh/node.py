"""A login to another host through a live link, with the same keys and without a question."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from trayconnect.config.host_syntax import host_fault
from trayconnect.config.model import Server
from trayconnect.core.cancellation import CancelToken
from trayconnect.core.errors import Problem, ProblemError, Recovery
from trayconnect.core.link import Hop
from trayconnect.core.questions import Answer, ProgressDisplay, Question
from trayconnect.ssh.auth.credentials import Credentials
from trayconnect.ssh.hostkeys import known_hosts
from trayconnect.ssh.hostkeys.known_hosts_store import KnownHosts
from trayconnect.ssh.route import Route, open_route
from trayconnect.ssh.target import LoginTarget

STEP_SECONDS = 10.0
"""Limit for each step of the login."""
_REPORT = Path("host keys of the node")
_TYPED = ("keyboard-interactive", "password")


def open_node(
    server: Server, base: Route, node: Hop, credentials: Credentials, cancel: CancelToken
) -> Route:
    """The route that begins behind `base`; see `link.Link.hop`. Raises `ProblemError` and
    `Cancelled`."""
    target = _target(base.target, node)
    pinned = _pinned(target, node)
    if not pinned:
        raise ProblemError(
            Problem(
                f"The host keys of {node.host} are unknown",
                "Nothing proves that a login there reaches that host.",
                Recovery.RETRY,
            )
        )
    return open_route(
        server,
        targets=(target,),
        known_hosts=KnownHosts(user=(), own=None, pinned=pinned),
        credentials=credentials,
        ask=_ask_nobody,
        cancel=cancel,
        display=ProgressDisplay(),
        base=base,
    )


def _target(login: LoginTarget, node: Hop) -> LoginTarget:
    options = replace(
        login.options,
        proxy_command=None,
        host_key_alias=None,
        user_known_hosts_files=(),
        global_known_hosts_files=(),
        known_hosts_command=(),
        strict_host_key_checking="yes",
        check_host_ip=False,
        update_host_keys=False,
        ruled_out_methods=(*login.options.ruled_out_methods, *_TYPED),
        batch_mode=True,
        unsupported=(),
    )
    return replace(
        login,
        host=node.host,
        port=node.port,
        is_jump_host=False,
        options=options,
        connect_timeout=min(login.connect_timeout, STEP_SECONDS),
    )


def _pinned(target: LoginTarget, node: Hop) -> tuple[known_hosts.KnownHostsEntry, ...]:
    name = target.known_hosts_names[0]
    if host_fault(node.host) or not known_hosts.is_plain(node.host):
        return ()
    keys = (" ".join(key.split()[:2]) for key in node.host_keys)
    text = "".join(f"{name} {key}\n" for key in keys)
    return tuple(known_hosts.parse(text.encode(), _REPORT, warn=False))


def _ask_nobody(question: Question) -> Answer:
    title = f"The node asks a question: {question.title}"
    raise ProblemError(Problem(title, "Only a login without one is possible.", Recovery.RETRY))
