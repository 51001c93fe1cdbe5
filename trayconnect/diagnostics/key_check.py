"""Warnings about the identity files in the server file, and about who can write that file.

The file stays in force: a key may be on a USB stick that is not plugged in."""

from __future__ import annotations

import os
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from trayconnect.config.file_problems import FileProblem
from trayconnect.config.model import Config, Server
from trayconnect.config.yaml_file import read_text
from trayconnect.config.yaml_tree import mark_of
from trayconnect.core.errors import ProblemError
from trayconnect.core.privacy import writers
from trayconnect.ssh.auth import agent
from trayconnect.ssh.auth.agent import Agent, AgentKey
from trayconnect.ssh.auth.identities import verify


def key_warnings(config: Config, path: Path) -> tuple[FileProblem, ...]:
    """The identity files of `config`, which was read from `path`, that cannot log in as they are;
    in file order, each problem once. Decrypts nothing, and connects to no server."""
    found: dict[FileProblem, None] = {}
    for index, server in enumerate(config.servers):
        if server.auth.identity_file is None:
            continue
        try:
            verify(server.auth.identity_file, partial(_held_for, server))
        except ProblemError as error:
            mark = mark_of(read_text(path), index, "auth", "identity_file")
            found[FileProblem(path, *mark, str(error.problem))] = None
    return tuple(sorted(found, key=lambda warning: (warning.line, warning.column)))


def exposed(path: Path) -> tuple[FileProblem, ...]:
    """Where other users can change the server file, and so redirect the user's logins."""
    return tuple(
        FileProblem(
            path, 0, 0, f"other users can write to {place}, and redirect your logins: {advice}"
        )
        for place, advice in writers(path)
    )


def _held_for(server: Server) -> Sequence[AgentKey]:
    place = agent.chosen(server.auth.agent, os.environ.get("SSH_AUTH_SOCK"))
    with Agent(place) as ssh_agent:
        return ssh_agent.keys()
