"""Logging in: which ways are tried, in which order, and how often."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from trayconnect.config.algorithms import certified, is_certified, plain
from trayconnect.config.model import Server
from trayconnect.core.cancellation import CancelToken
from trayconnect.core.errors import ProblemError
from trayconnect.core.keyring import Secrets
from trayconnect.core.questions import Answer, Ask, ProgressDisplay, Question
from trayconnect.ssh import connection_problems, out_of_band
from trayconnect.ssh.auth import agent, identities, paste, pasted_key, user_certificates
from trayconnect.ssh.auth.agent import Agent, AgentError
from trayconnect.ssh.auth.identities import Candidate, Candidates, UnlockedKeys, Wanted
from trayconnect.ssh.auth.key_passphrase import Unlocker
from trayconnect.ssh.auth.keyfile import KeyFile
from trayconnect.ssh.auth.passwords import Passwords
from trayconnect.ssh.auth.pasted_key import PastedKey
from trayconnect.ssh.auth.signatures import rsa_bits
from trayconnect.ssh.auth.user_certificates import CertifiedKey
from trayconnect.ssh.auth.userauth import (
    AuthLostError,
    AuthResult,
    AuthTimeoutError,
    PasswordExpiredError,
    Prompt,
    SigningKey,
    UserAuth,
)
from trayconnect.ssh.connection_problems import Tried
from trayconnect.ssh.hostkeys.known_hosts import HostKey
from trayconnect.ssh.target import LoginTarget
from trayconnect.ssh.transport import offered_algorithms
from trayconnect.ssh.transport.ssh_transport import SshTransport

log = logging.getLogger(__name__)

MAX_FAILURES = 5
"""sshd disconnects at the sixth failure (MaxAuthTries)."""
PASSWORD_TRIES = 3
"""For each of the two methods that ask, as OpenSSH's NumberOfPasswordPrompts."""

_SHORT = "shorter than RequiredRSASize in your ssh configuration"
_PUBLICKEY, _INTERACTIVE, _PASSWORD = "publickey", "keyboard-interactive", "password"


@dataclass(frozen=True, slots=True)
class Credentials:
    """What a login can draw on. `agent_socket` None: the platform's agent, if any."""

    secrets: Secrets
    unlocked: UnlockedKeys
    agent_socket: str | None
    default_identity_files: tuple[Path, ...]
    pasted_keys: Path
    """The folder of `pasted_key`."""


@dataclass(frozen=True, slots=True)
class LoginResult:
    """How a login went that succeeded."""

    typed: bool
    """Whether a human typed what a retry could not reuse."""
    banner: str
    """What the server gave to be read before it."""
    by: str
    """What let us in, in words."""


def log_in(
    transport: SshTransport,
    target: LoginTarget,
    server: Server,
    means: Credentials,
    ask: Ask,
    cancel: CancelToken,
    tell: ProgressDisplay,
) -> LoginResult:
    """Log in to `target`. Raises `ProblemError` and `Cancelled`."""
    with (
        Agent(agent_place(target, server, means)) as ssh_agent,
        cancel.releasing(ssh_agent.close),
    ):
        login = _Login(transport, target, server, means, ask, tell, ssh_agent)
        try:
            login.run()
        except AuthTimeoutError:
            raise login.slow() from None
        except AuthLostError as error:
            cancel.check()
            raise login.lost(str(error)) from error
        return LoginResult(login.typed, login.banner, login.by)


def agent_place(target: LoginTarget, server: Server, means: Credentials) -> str | None:
    """Which agent to ask: the entry's, that of ssh_config(5), that of the environment."""
    return agent.chosen(server.auth.agent, target.options.identity_agent, means.agent_socket)


def verify_identity(target: LoginTarget, server: Server, means: Credentials) -> None:
    """Raise `ProblemError` if the entry's identity file cannot be used; nothing is dialled."""
    own = _own_file(target, server)
    if own is not None:
        with Agent(agent_place(target, server, means)) as ssh_agent:
            identities.verify(own, ssh_agent.keys)


class _Login:
    def __init__(
        self,
        transport: SshTransport,
        target: LoginTarget,
        server: Server,
        means: Credentials,
        ask: Ask,
        tell: ProgressDisplay,
        ssh_agent: Agent,
    ) -> None:
        self._transport = transport
        self._target = target
        self._timeout = target.connect_timeout
        self._ask = ask
        self._agent = ssh_agent
        self._tell = tell
        self._auth = UserAuth(
            transport, target.username, target.connect_timeout, self._wait_elsewhere
        )
        self._passwords = Passwords(target, server.auth, means.secrets, self._put)
        self._unlocker = Unlocker(target, server.auth, means.secrets, means.unlocked, self._put)
        self._candidates = Candidates(
            _wanted(target, server, means), ssh_agent.keys(), means.unlocked
        )
        self._tried: list[str] = []
        self._failures = 0
        prompts = target.options.number_of_password_prompts
        self._left = dict.fromkeys(
            (_INTERACTIVE, _PASSWORD),
            PASSWORD_TRIES if prompts is None else prompts,
        )
        self._pasted_keys = means.pasted_keys
        self._lost_key = False
        """Whether a pasted key could not be kept."""
        self._asked = False
        self._at_stake = False
        """Whether a password went out on which there is no verdict yet."""
        self._banner_shown = False
        self._accepted: list[str] = []
        self._last = ""
        """The method of the last password that was refused."""

    @property
    def typed(self) -> bool:
        return self._passwords.typed or self._lost_key or self._auth.waited_for_human

    @property
    def banner(self) -> str:
        return self._auth.banner

    @property
    def by(self) -> str:
        return " and ".join(self._accepted) or "nothing: it asks for no login"

    def run(self) -> None:
        """The methods in OpenSSH's order: a key costs its owner nothing; keyboard-interactive can
        ask for everything that a password can, and for one-time codes and new passwords too."""
        result = self._auth.begin()
        while not result.success:
            allowed = set(result.allowed) - set(self._target.options.ruled_out_methods)
            if _PUBLICKEY in allowed and (candidate := self._next_key(allowed)) is not None:
                result = self._key(candidate, result)
            elif self._may_ask(_INTERACTIVE, allowed):
                result = self._interactive()
            elif self._may_ask(_PASSWORD, allowed):
                result = self._password()
            elif _PUBLICKEY in allowed and self._has_nothing():
                result = self._pasted(result)
            else:
                raise connection_problems.login_refused(
                    self._target, self._account(), result.allowed
                )

    def lost(self, detail: str) -> ProblemError:
        """The server ended it: for the number of tries, if it says so."""
        if "too many" in detail.lower():
            return connection_problems.too_many_tries(self._target, self._account())
        return connection_problems.login_lost(
            self._target, detail, asked=self._asked, at_stake=self._at_stake
        )

    def slow(self) -> ProblemError:
        """It did not answer."""
        asked = self._asked or self._at_stake
        return connection_problems.login_slow(self._target, self._timeout, asked=asked)

    def _account(self) -> Tried:
        """What was tried, and what was not."""
        skipped = list(self._candidates.skipped)
        if self._agent.fault:
            skipped.append(f"the ssh-agent does not answer ({self._agent.fault})")
        # What is left is looked at only to be named: nothing is offered, nothing asked.
        untried = [candidate.label for candidate in self._rest()]
        says = self._passwords.heard or self._auth.banner
        return Tried(tuple(self._tried), tuple(untried), tuple(skipped), says)

    def _rest(self) -> list[Candidate]:
        try:
            return list(self._candidates)
        except ProblemError:
            return []

    def _put(self, question: Question) -> Answer:
        """Ask the user, once with what the server gave to be read."""
        self._asked = True
        if self._auth.banner and not self._banner_shown:
            self._banner_shown = True
            message = f"{question.message}\n\nThe server says:\n{self._auth.banner}"
            question = replace(question, message=message)
        return self._ask(question)

    def _wait_elsewhere(self, words: str) -> Callable[[], None]:
        """The server waits for what its `words` ask for."""
        self._asked = True
        return self._tell.show(
            out_of_band.question(self._target, f"{self._target.host} says", words)
        )

    # --- keys -------------------------------------------------------------------------------------

    def _next_key(self, allowed: set[str]) -> Candidate | None:
        # One try is kept for a password, where the server takes one.
        limit = MAX_FAILURES - bool({_INTERACTIVE, _PASSWORD} & allowed)
        return next(iter(self._candidates), None) if self._failures < limit else None

    def _key(self, candidate: Candidate, before: AuthResult) -> AuthResult:
        """Try a key; `before` is the result to go on with if it cannot be tried."""
        if candidate.public is not None:
            if self._too_short(candidate.public.type, candidate.public.blob):
                return self._unfit(candidate, before, _SHORT)
            algorithm = self._algorithm(candidate.public.type)
            if algorithm is None:
                return self._unfit(candidate, before)
            # Asked first, so that nobody types a passphrase for nothing.
            refusal = self._auth.offer(candidate.public.blob, algorithm)
            if refusal is not None:
                return self._failed(candidate.label, refusal)
        key = candidate.key or self._unlocked(candidate)
        if self._too_short(key.get_name(), key.asbytes()):
            return self._unfit(candidate, before, _SHORT)
        algorithm = self._algorithm(key.get_name())
        if algorithm is None:
            return self._unfit(candidate, before)
        try:
            result = self._auth.publickey(key, algorithm)
        except AgentError as error:
            self._tried.append(f"{candidate.label} (the agent did not sign: {error})")
            return before
        if result.success or result.partial:
            self._accepted.append(candidate.label)
        return result if result.success else self._failed(candidate.label, result)

    def _has_nothing(self) -> bool:
        """Whether no key was to be found, be it a useless one, and none was pasted."""
        return not (self._tried or self._candidates.skipped or self._agent.fault)

    def _pasted(self, before: AuthResult) -> AuthResult:
        """Try a key that the user pastes, and keep it if it is the one."""
        label = "the pasted key"
        pasted = paste.ask_for_key(self._target, self._put)
        if pasted is None:
            self._tried.append(label)
            return before
        place = pasted_key.place(self._pasted_keys, self._target.server)
        file = KeyFile(place, pasted.data, pasted.public)
        key = None if pasted.encrypted else file.decrypt()
        result = self._key(Candidate(label, pasted.public, key, file), before)
        if result.success or result.partial:
            self._keep(pasted)
        return result

    def _keep(self, pasted: PastedKey) -> None:
        try:
            pasted_key.store(self._pasted_keys, self._target.server, pasted)
        except ProblemError as error:
            log.warning("%s: the pasted key is not kept: %s", self._target.server, error)
            self._lost_key = True

    def _unfit(
        self,
        candidate: Candidate,
        before: AuthResult,
        why: str = "not of a type that the server takes",
    ) -> AuthResult:
        self._tried.append(f"{candidate.label} ({why})")
        return before

    def _too_short(self, kind: str, blob: bytes) -> bool:
        certificate = user_certificates.of(blob) if is_certified(kind) else None
        bits = rsa_bits(certificate.key if certificate else HostKey(kind, blob))
        return bits is not None and bits < self._target.options.required_rsa_size

    def _unlocked(self, candidate: Candidate) -> SigningKey:
        assert candidate.file is not None
        key = self._unlocker.unlock(candidate.file)
        if candidate.certificate is None:
            return key
        return CertifiedKey(candidate.certificate.public, key)

    def _algorithm(self, key_type: str) -> str | None:
        """How to sign with a key of that type, with its certificate if it has one."""

        def shown(name: str) -> str:
            return certified(name) if is_certified(key_type) else name

        kind = plain(key_type)
        accepted = offered_algorithms.signatures(kind)
        # Only for RSA is there a choice; what a server says of others may be incomplete.
        if kind == "ssh-rsa" and self._transport.signature_algorithms:
            accepted = self._transport.signature_algorithms
        wanted = self._target.options.pubkey_accepted_algorithms
        if wanted:
            accepted = tuple(name for name in accepted if shown(name) in wanted)
        found = offered_algorithms.signature_for(kind, accepted) if accepted else None
        return shown(found) if found else None

    # --- passwords --------------------------------------------------------------------------------

    def _may_ask(self, method: str, allowed: set[str]) -> bool:
        # It was this very password that was refused. A server that is not OpenSSH may ask for a new
        # one by `password` alone, and say nothing in the other method: there the two take turns.
        over = _PASSWORD if self._is_openssh else self._last
        if self._passwords.asked_for_account and _PASSWORD in allowed and method == over:
            return False
        return method in allowed and self._left[method] > 0 and self._failures < MAX_FAILURES

    @property
    def _is_openssh(self) -> bool:
        return "OpenSSH" in self._transport.remote_version

    def _interactive(self) -> AuthResult:
        self._left[_INTERACTIVE] -= 1
        self._passwords.asked = False
        result = self._auth.interactive(self._respond)
        if not self._passwords.asked:
            self._left[_INTERACTIVE] = 0  # it has nothing to ask
        return self._judged(_INTERACTIVE, result)

    def _respond(self, prompt: Prompt) -> tuple[str, ...]:
        values = self._passwords.respond(prompt)
        self._at_stake |= bool(values)
        return values

    def _password(self) -> AuthResult:
        self._left[_PASSWORD] -= 1
        password = self._passwords.password()
        self._at_stake = True
        try:
            result = self._auth.password(password)
        except PasswordExpiredError as error:
            raise connection_problems.password_expired(self._target, str(error)) from None
        return self._judged(_PASSWORD, result)

    def _judged(self, method: str, result: AuthResult) -> AuthResult:
        self._at_stake = False
        if result.success or result.partial:
            self._passwords.accepted()
            self._accepted.append(method)
            return result
        self._passwords.refused()
        self._last = method
        return self._failed(method, result)

    def _failed(self, label: str, result: AuthResult) -> AuthResult:
        if not result.partial:
            self._failures += 1
        if label not in self._tried:
            self._tried.append(label)
        return result


def _wanted(target: LoginTarget, server: Server, means: Credentials) -> Wanted:
    """Which keys the entry, ssh_config(5) and the habits of OpenSSH come to."""
    options = target.options
    own = _own_file(target, server)
    named = tuple(path for path in options.identity_files if path != own)
    if own is None and not named and not options.no_identity_files:
        named = means.default_identity_files
    pasted = pasted_key.place(means.pasted_keys, server.name)
    if pasted.exists():
        own, named = (pasted, named) if own is None else (own, (pasted, *named))
    return Wanted(
        server=server.name,
        username=target.username,
        own=own,
        files=named,
        certificates=options.certificate_files,
        missing=identities.missing(options.identity_files),
        only=options.identities_only,
    )


def _own_file(target: LoginTarget, server: Server) -> Path | None:
    """The entry's identity file, unless ssh_config(5) names others for this very target: a jump
    host."""
    own = server.auth.identity_file
    named = target.options.identity_files
    return own if not named or own in named else None
