"""The login: which authentication methods are tried, in which order, and how often."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, replace

from trayconnect.config.model import Server
from trayconnect.core.cancellation import CancelToken
from trayconnect.core.errors import ProblemError
from trayconnect.core.questions import Answer, Ask, ProgressDisplay, Question
from trayconnect.ssh import out_of_band
from trayconnect.ssh.auth import agent, identities, login_problems, pasted_key
from trayconnect.ssh.auth.agent import Agent, AgentError
from trayconnect.ssh.auth.credentials import Credentials
from trayconnect.ssh.auth.identities import Candidate, Candidates, login_keys
from trayconnect.ssh.auth.key_choice import UnfitError, algorithm_for
from trayconnect.ssh.auth.keyfile import KeyFile
from trayconnect.ssh.auth.login_problems import Tried
from trayconnect.ssh.auth.passwords import Passwords, Unlocker
from trayconnect.ssh.auth.pasted_key import PastedKey, ask_for_key
from trayconnect.ssh.auth.user_certificates import CertifiedKey
from trayconnect.ssh.auth.userauth import (
    AuthLostError,
    AuthResult,
    AuthTimeoutError,
    PasswordExpiredError,
    Prompt,
    SignedRequest,
    SigningKey,
    UserAuth,
)
from trayconnect.ssh.hostkeys.known_hosts import HostKey
from trayconnect.ssh.sessions_ahead import SessionsAhead
from trayconnect.ssh.target import LoginTarget
from trayconnect.ssh.transport.ssh_transport import SshTransport

log = logging.getLogger(__name__)

MAX_FAILURES = 5
"""sshd disconnects at the sixth failure (MaxAuthTries)."""
PASSWORD_TRIES = 3
"""For each of the two methods that ask, as OpenSSH's NumberOfPasswordPrompts."""

_PUBLICKEY, _INTERACTIVE, _PASSWORD = "publickey", "keyboard-interactive", "password"


@dataclass(frozen=True, slots=True)
class LoginResult:
    """The result of a successful login."""

    typed: bool
    """Whether a human typed something that a retry could not reuse."""
    banner: str
    """The server's banner before the login."""
    by: str
    """The method that succeeded, for people."""


def log_in(
    transport: SshTransport,
    target: LoginTarget,
    server: Server,
    credentials: Credentials,
    ask: Ask,
    cancel: CancelToken,
    display: ProgressDisplay,
    sessions: SessionsAhead,
) -> LoginResult:
    """Log in to `target`, and request `sessions` there. Raises `ProblemError` and `Cancelled`."""
    with (
        Agent(agent_place(target, server, credentials)) as ssh_agent,
        cancel.releasing(ssh_agent.close),
    ):
        login = _LoginAttempt(
            transport, target, server, credentials, ask, display, ssh_agent, sessions
        )
        try:
            login.run()
        except AuthTimeoutError:
            raise login.slow() from None
        except AuthLostError as error:
            cancel.check()
            raise login.lost(str(error)) from error
        sessions.request(transport)
        return LoginResult(login.typed, login.banner, login.by)


def agent_place(target: LoginTarget, server: Server, credentials: Credentials) -> str | None:
    """Which agent to ask: the entry's, that of ssh_config(5), that of the environment."""
    return agent.chosen(server.auth.agent, target.options.identity_agent, credentials.agent_socket)


def verify_identity(target: LoginTarget, server: Server, credentials: Credentials) -> None:
    """Raise `ProblemError` if the entry's identity file cannot be used; makes no connection."""
    own = identities.own_file(target, server)
    if own is not None:
        with Agent(agent_place(target, server, credentials)) as ssh_agent:
            identities.verify(own, ssh_agent.keys)


class _LoginAttempt:
    def __init__(
        self,
        transport: SshTransport,
        target: LoginTarget,
        server: Server,
        credentials: Credentials,
        ask: Ask,
        display: ProgressDisplay,
        ssh_agent: Agent,
        sessions: SessionsAhead,
    ) -> None:
        self._transport = transport
        self._sessions = sessions
        self._target = target
        self._timeout = target.connect_timeout
        self._ask = ask
        self._agent = ssh_agent
        self._display = display
        self._auth = UserAuth(
            transport, target.username, target.connect_timeout, self._wait_out_of_band
        )
        self._passwords = Passwords(target, server.auth, credentials.secrets, self._put)
        self._unlocker = Unlocker(
            target, server.auth, credentials.secrets, credentials.unlocked, self._put
        )
        keys = login_keys(
            target, server, credentials.default_identity_files, credentials.pasted_keys
        )
        self._candidates = Candidates(keys, ssh_agent.keys(), credentials.unlocked)
        self._tried: list[str] = []
        self._failures = 0
        prompts = target.options.number_of_password_prompts
        self._tries_left = dict.fromkeys(
            (_INTERACTIVE, _PASSWORD),
            PASSWORD_TRIES if prompts is None else prompts,
        )
        self._pasted_keys = credentials.pasted_keys
        assert transport.presented is not None
        self._last_login = credentials.accepted.last_login(target.account, transport.presented.key)
        self._lost_key = False
        """Whether a pasted key could not be stored."""
        self._asked = False
        self._password_pending = False
        """Whether a password was sent and its result is still open."""
        self._banner_shown = False
        self._accepted: list[str] = []
        self._sole_key: HostKey | None = None
        """The key that was accepted last."""
        self._last = ""
        """The method that refused the last password."""

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
        """Try the methods in OpenSSH's order. A key costs the user nothing; keyboard-interactive
        can ask for everything that a password can, and for one-time codes and new passwords too."""
        result = self._begin()
        while not result.success:
            allowed = set(result.allowed) - set(self._target.options.ruled_out_methods)
            if _PUBLICKEY in allowed and (candidate := self._next_key(allowed)) is not None:
                result = self._key(candidate, result)
            elif self._may_ask(_INTERACTIVE, allowed):
                result = self._interactive()
            elif self._may_ask(_PASSWORD, allowed):
                result = self._password()
            elif _PUBLICKEY in allowed and self._has_no_key():
                result = self._pasted(result)
            else:
                raise login_problems.login_refused(self._target, self._account(), result.allowed)
        alone = self._sole_key if len(self._accepted) == 1 else None
        self._last_login.needed(alone)

    def lost(self, detail: str) -> ProblemError:
        """The server closed the connection, for too many tries if it says so."""
        if "too many" in detail.lower():
            return login_problems.too_many_tries(self._target, self._account())
        return login_problems.login_lost(
            self._target, detail, asked=self._asked, password_pending=self._password_pending
        )

    def slow(self) -> ProblemError:
        """The server did not answer."""
        asked = self._asked or self._password_pending
        return login_problems.login_slow(self._target, self._timeout, asked=asked)

    def _account(self) -> Tried:
        """What was tried, and what was not."""
        skipped = list(self._candidates.skipped)
        if self._agent.fault:
            skipped.append(f"the ssh-agent does not answer ({self._agent.fault})")
        # The remaining keys are only listed for the message: none is offered, and nothing is asked.
        untried = [candidate.label for candidate in self._rest()]
        server_message = self._passwords.last_message or self._auth.banner
        return Tried(tuple(self._tried), tuple(untried), tuple(skipped), server_message)

    def _rest(self) -> list[Candidate]:
        try:
            return list(self._candidates)
        except ProblemError:
            return []

    def _put(self, question: Question) -> Answer:
        """Ask the user; the server's banner goes with the first question."""
        self._asked = True
        if self._auth.banner and not self._banner_shown:
            self._banner_shown = True
            message = f"{question.message}\n\nThe server says:\n{self._auth.banner}"
            question = replace(question, message=message)
        return self._ask(question)

    def _wait_out_of_band(self, message: str) -> Callable[[], None]:
        """The server waits for the action that its message asks for."""
        self._asked = True
        return self._display.show(
            out_of_band.question(self._target, f"{self._target.host} says", message)
        )

    # --- keys -------------------------------------------------------------------------------------

    def _begin(self) -> AuthResult:
        first = self._expected()
        if first is None:
            return self._auth.begin()[0]
        candidate, request = first
        result, signed = self._auth.begin(request)
        return result if signed is None else self._signed(candidate, signed)

    def _expected(self) -> tuple[Candidate, SignedRequest] | None:
        """The first key to try, if it was enough the last time, or is named for a server that is
        new. It goes out with the first request, so that the login takes one round trip."""
        ruled_out = _PUBLICKEY in self._target.options.ruled_out_methods
        # Others may answer requests in another order (asyncssh's server).
        if ruled_out or not self._is_openssh:
            return None
        candidate = self._candidates.peek()
        if candidate is None or not candidate.signs_at_once:
            return None
        is_new = self._last_login.is_unknown and self._candidates.are_named
        if not is_new and not self._last_login.needed_only(candidate.public):
            return None
        try:
            request = self._request(candidate)
        except UnfitError:
            return None
        return next(self._candidates), request

    def _next_key(self, allowed: set[str]) -> Candidate | None:
        # One try is reserved for a password, if the server accepts one.
        limit = MAX_FAILURES - bool({_INTERACTIVE, _PASSWORD} & allowed)
        return next(iter(self._candidates), None) if self._failures < limit else None

    def _key(self, candidate: Candidate, before: AuthResult) -> AuthResult:
        """Try a key; `before` is the result to continue with if it cannot be tried."""
        is_confirmed = False
        try:
            if candidate.public is not None and not candidate.signs_at_once:
                # Query the server first, so that nobody types an unnecessary passphrase, or
                # confirms an unnecessary signature.
                public = candidate.public
                refusal = self._auth.offer(public.blob, self._fitting(public.type, public.blob))
                if refusal is not None:
                    return self._failed(candidate.label, refusal)
                is_confirmed = self._last_login.is_unknown
            request = self._request(candidate, is_confirmed=is_confirmed)
            return self._signed(candidate, self._auth.publickey(request))
        except UnfitError as error:
            self._tried.append(f"{candidate.label} ({error})")
        except AgentError as error:
            self._tried.append(f"{candidate.label} (the agent did not sign: {error})")
        return before

    def _request(self, candidate: Candidate, *, is_confirmed: bool = False) -> SignedRequest:
        """`is_confirmed`: the server would accept a signature by the key. Raises `UnfitError`."""
        key = candidate.key or self._unlocked(candidate)
        algorithm = self._fitting(key.get_name(), key.asbytes())
        # OpenSSH reads on behind the signature; others disconnect. If it refuses the signature, or
        # wants more, it logs each message that it cannot serve yet.
        if self._is_openssh and (is_confirmed or self._last_login.needed_only(candidate.public)):
            return SignedRequest(key, algorithm, lambda: self._sessions.request(self._transport))
        return SignedRequest(key, algorithm)

    def _signed(self, candidate: Candidate, result: AuthResult) -> AuthResult:
        """Take in the result of a signature."""
        if result.success or result.partial:
            self._accepted.append(candidate.label)
            self._sole_key = candidate.public
        if result.success:
            return result
        self._sessions.drop()
        if self._last_login.needed_only(candidate.public):
            self._last_login.needed(None)
        return self._failed(candidate.label, result)

    def _has_no_key(self) -> bool:
        """Whether no key was found, not even an unusable one, and none was pasted."""
        return not (self._tried or self._candidates.skipped or self._agent.fault)

    def _pasted(self, before: AuthResult) -> AuthResult:
        """Try a key that the user pastes, and store it if the server accepts it."""
        label = "the pasted key"
        pasted = ask_for_key(self._target, self._put)
        if pasted is None:
            self._tried.append(label)
            return before
        place = pasted_key.place(self._pasted_keys, self._target.server)
        file = KeyFile(place, pasted.data, pasted.public)
        key = None if pasted.encrypted else file.decrypt()
        result = self._key(Candidate(label, pasted.public, key, file), before)
        if result.success or result.partial:
            self._store(pasted)
        return result

    def _store(self, pasted: PastedKey) -> None:
        try:
            pasted_key.store(self._pasted_keys, self._target.server, pasted)
        except ProblemError as error:
            log.warning("%s: the pasted key is not kept: %s", self._target.server, error)
            self._lost_key = True

    def _fitting(self, kind: str, blob: bytes) -> str:
        """The signature algorithm for a key. Raises `UnfitError`."""
        announced = self._transport.signature_algorithms
        return algorithm_for(HostKey(kind, blob), self._target.options, announced)

    def _unlocked(self, candidate: Candidate) -> SigningKey:
        assert candidate.file is not None
        key = self._unlocker.unlock(candidate.file)
        if candidate.certificate is None:
            return key
        return CertifiedKey(candidate.certificate.public, key)

    # --- passwords --------------------------------------------------------------------------------

    def _may_ask(self, method: str, allowed: set[str]) -> bool:
        # The server refused this very password. A server that is not OpenSSH may announce an
        # expired password with `password` alone, and say nothing with the other method: there the
        # two alternate.
        over = _PASSWORD if self._is_openssh else self._last
        if self._passwords.asked_for_account and _PASSWORD in allowed and method == over:
            return False
        return method in allowed and self._tries_left[method] > 0 and self._failures < MAX_FAILURES

    @property
    def _is_openssh(self) -> bool:
        return "OpenSSH" in self._transport.remote_version

    def _interactive(self) -> AuthResult:
        self._tries_left[_INTERACTIVE] -= 1
        self._passwords.asked = False
        result = self._auth.interactive(self._respond)
        if not self._passwords.asked:
            self._tries_left[_INTERACTIVE] = 0  # the server has no prompts
        return self._recorded(_INTERACTIVE, result)

    def _respond(self, prompt: Prompt) -> tuple[str, ...]:
        values = self._passwords.respond(prompt)
        self._password_pending |= bool(values)
        return values

    def _password(self) -> AuthResult:
        self._tries_left[_PASSWORD] -= 1
        password = self._passwords.password()
        self._password_pending = True
        try:
            result = self._auth.password(password)
        except PasswordExpiredError as error:
            raise login_problems.password_expired(self._target, str(error)) from None
        return self._recorded(_PASSWORD, result)

    def _recorded(self, method: str, result: AuthResult) -> AuthResult:
        self._password_pending = False
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
