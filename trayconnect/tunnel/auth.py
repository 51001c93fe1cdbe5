"""Logging in: which ways are tried, in which order, and how often."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from trayconnect.cancel import Cancel
from trayconnect.config.model import Server
from trayconnect.errors import ProblemError
from trayconnect.ports import Ask, Field, Question, QuestionKind, Secrets
from trayconnect.tunnel import algorithms, problems
from trayconnect.tunnel.agent import Agent, AgentError
from trayconnect.tunnel.identities import Candidate, UnlockedKeys, candidates
from trayconnect.tunnel.keyfile import KeyFile, PassphraseNeededError, WrongPassphraseError
from trayconnect.tunnel.passwords import Passwords
from trayconnect.tunnel.target import Target
from trayconnect.tunnel.transport import SshTransport
from trayconnect.tunnel.userauth import (
    AuthLostError,
    AuthTimeoutError,
    PasswordExpiredError,
    Result,
    SigningKey,
    UserAuth,
)

log = logging.getLogger(__name__)

MAX_FAILURES = 5
"""sshd disconnects at the sixth failure (MaxAuthTries)."""
PASSWORD_TRIES = 3
PASSPHRASE_TRIES = 3
_INTERACTIVE = {"password", "keyboard-interactive"}


@dataclass(frozen=True, slots=True)
class Means:
    """What a login can draw on. `agent_socket` None: the platform's agent, if any."""

    secrets: Secrets
    unlocked: UnlockedKeys
    agent_socket: str | None
    default_identity_files: tuple[Path, ...]


def log_in(
    transport: SshTransport,
    target: Target,
    server: Server,
    means: Means,
    ask: Ask,
    cancel: Cancel,
) -> bool:
    """Log in to `target`; returns whether a human typed what a retry could not reuse.

    Raises `ProblemError` and `Cancelled`."""
    with Agent(means.agent_socket) as agent, cancel.releasing(agent.close):
        login = _Login(transport, target, server, means, ask, agent)
        try:
            login.run()
        except AuthTimeoutError:
            raise problems.login_slow(target, target.connect_timeout) from None
        except AuthLostError as error:
            raise login.lost(str(error)) from error
        return login.typed


class _Login:
    def __init__(
        self,
        transport: SshTransport,
        target: Target,
        server: Server,
        means: Means,
        ask: Ask,
        agent: Agent,
    ) -> None:
        self._transport = transport
        self._target = target
        self._means = means
        self._ask = ask
        self._auth = UserAuth(transport, target.username, target.connect_timeout)
        self._passwords = Passwords(target, server.auth, means.secrets, ask)
        self._candidates: Iterator[Candidate] = candidates(
            server.name,
            target.options.identity_files,
            server.auth.identity_file,
            agent.keys(),
            means.default_identity_files,
            means.unlocked,
        )
        self._tried: list[str] = []
        self._failures = 0
        self._password_tries = 0
        self._asked = False

    @property
    def typed(self) -> bool:
        return self._passwords.typed

    def run(self) -> None:
        result = self._auth.begin()
        while not result.success:
            allowed = set(result.allowed)
            if "publickey" in allowed and (candidate := self._next_key(allowed)) is not None:
                result = self._key(candidate, result)
            elif _INTERACTIVE & allowed and self._may_ask():
                result = self._answer(allowed)
            else:
                raise problems.login_refused(self._target, self._tried, result.allowed)

    def lost(self, detail: str) -> ProblemError:
        """The server ended it: for the number of tries, if it says so."""
        if "too many" in detail.lower():
            return problems.too_many_tries(self._target, self._tried)
        return problems.login_lost(self._target, detail, asked=self._asked)

    # --- keys -------------------------------------------------------------------------------------

    def _next_key(self, allowed: set[str]) -> Candidate | None:
        # One try is kept for a password, where the server takes one.
        limit = MAX_FAILURES - bool(_INTERACTIVE & allowed)
        return next(self._candidates, None) if self._failures < limit else None

    def _key(self, candidate: Candidate, before: Result) -> Result:
        """Try a key; `before` is the result to go on with if it cannot be tried."""
        if candidate.public is not None:
            algorithm = self._algorithm(candidate.public.type)
            if algorithm is None:
                self._tried.append(f"{candidate.label} (not of a type that the server takes)")
                return before
            # Asked first, so that nobody types a passphrase for nothing.
            refusal = self._auth.offer(candidate.public.blob, algorithm)
            if refusal is not None:
                return self._failed(candidate.label, refusal)
        key = candidate.key
        if key is None:
            assert candidate.file is not None
            key = self._unlock(candidate.file)
        algorithm = self._algorithm(key.get_name())
        try:
            result = self._auth.publickey(key, algorithm or key.get_name())
        except AgentError as error:
            self._tried.append(f"{candidate.label} (the agent did not sign: {error})")
            return before
        return result if result.success else self._failed(candidate.label, result)

    def _algorithm(self, key_type: str) -> str | None:
        return algorithms.signature_for(key_type, self._transport.signature_algorithms)

    def _unlock(self, file: KeyFile) -> SigningKey:
        note = ""
        for _ in range(PASSPHRASE_TRIES):
            question = Question(
                kind=QuestionKind.PASSPHRASE,
                server=self._target.server,
                title=f"Passphrase for the key {file.path.name}",
                message=f"{note}The key file {file.path} is encrypted; it logs in to "
                f"{self._target.description}.",
                fields=(Field("Passphrase"),),
                confirm="Unlock",
            )
            self._asked = True
            answer = self._ask(question)
            try:
                key = file.decrypt(answer.values[0] if answer.values else "")
            except (WrongPassphraseError, PassphraseNeededError):
                note = "Wrong passphrase, try again.\n"
            else:
                self._means.unlocked.put(self._target.server, file, key)
                return key
        raise problems.wrong_passphrase(str(file.path))

    # --- passwords --------------------------------------------------------------------------------

    def _may_ask(self) -> bool:
        return self._password_tries < PASSWORD_TRIES and self._failures < MAX_FAILURES

    def _answer(self, allowed: set[str]) -> Result:
        self._password_tries += 1
        self._asked = True
        if "password" in allowed:
            label = "password"
            try:
                result = self._auth.password(self._passwords.password())
            except PasswordExpiredError:
                raise problems.password_expired(self._target) from None
        else:
            label = "keyboard-interactive"
            result = self._auth.interactive(self._passwords.respond)
        if result.success or result.partial:
            self._passwords.accepted()
            return result
        self._passwords.refused()
        return self._failed(label, result)

    def _failed(self, label: str, result: Result) -> Result:
        if not result.partial:
            self._failures += 1
        if label not in self._tried:
            self._tried.append(label)
        return result
