"""Our own reader of ssh_config(5), for machines without OpenSSH's `ssh`.

It follows readconf.c: the first value wins, files to include are read where they are named, and a
line that OpenSSH refuses is refused. `Match exec` is never run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from trayconnect.config import jump_hosts, openssh_scalars
from trayconnect.config.forward_syntax import ForwardSpec, parse_words
from trayconnect.config.openssh_keywords import ALIASES, FORWARDS, KEYWORDS, Takes
from trayconnect.config.openssh_tokenizer import ConfigLine, split_line, split_words
from trayconnect.ssh.config import algorithm_lists, expand, match_blocks
from trayconnect.ssh.config.algorithm_lists import SupportedAlgorithms
from trayconnect.ssh.config.files import Files, Places
from trayconnect.ssh.config.patterns import matches_host_line, matches_hostname_list
from trayconnect.ssh.config.raw_options import Query, RawOptions, SshConfigError, broken

MAX_DEPTH = 16
_ALONE = "none"


def read(
    query: Query,
    files: Files,
    places: Places,
    *,
    local_user: str,
    environment: Mapping[str, str],
    known: Mapping[str, SupportedAlgorithms] = algorithm_lists.KNOWN,
) -> RawOptions:
    """What the files say of a host. Raises `SshConfigError`."""
    reader = _Reader(query, files, places, local_user, environment, known)
    reader.read_all(final=False)
    if reader.wants_final_pass:
        reader.begin_final_pass()
        reader.read_all(final=True)
    return reader.said()


@dataclass(frozen=True, slots=True)
class _Source:
    """The file being read: which it is, and how it came to be."""

    path: Path
    of_user: bool
    never: bool = False
    """It is included where the conditions do not hold: only checked."""
    depth: int = 0
    final: bool = False


class _Reader:
    def __init__(
        self,
        query: Query,
        files: Files,
        places: Places,
        local_user: str,
        environment: Mapping[str, str],
        known: Mapping[str, SupportedAlgorithms],
    ) -> None:
        self.wants_final_pass = False
        self._query = query
        self._files = files
        self._places = places
        self._local_user = local_user
        self._environment = environment
        self._known = known
        self._values: dict[str, tuple[str, ...]] = {}
        self._algorithms: dict[str, tuple[str, ...]] = {}
        self._forwards: dict[ForwardSpec, None] = {}
        self._notes: dict[str, None] = {}
        self._host = query.host
        self._active = True
        if query.user:
            self._values["user"] = (query.user,)
        if query.port:
            self._values["port"] = (str(query.port),)
        if query.direct:
            self._values["proxycommand"] = (_ALONE,)

    def said(self) -> RawOptions:
        return RawOptions(
            values=self._values,
            forwards=tuple(self._forwards),
            notes=tuple(self._notes),
            algorithms=self._algorithms,
        )

    # --- files ------------------------------------------------------------------------------------

    def read_all(self, *, final: bool) -> None:
        named = self._places.named
        if named is not None:
            if str(named) != _ALONE:
                self._file(_Source(named, of_user=True, final=final), guarded=False, needed=True)
            return
        self._file(_Source(self._places.user, of_user=True, final=final), guarded=True)
        if self._places.system is not None:
            self._file(_Source(self._places.system, of_user=False, final=final), guarded=False)

    def begin_final_pass(self) -> None:
        """`Host` and `Match` look at the real name of the host from now on."""
        self._host = self._hostname()
        self._values["hostname"] = (self._host.replace("%", "%%"),)

    def _file(self, source: _Source, *, guarded: bool, needed: bool = False) -> None:
        if source.depth > MAX_DEPTH:
            raise broken(str(source.path), f"files include one another more than {MAX_DEPTH} deep")
        try:
            text = self._files.read(source.path, guarded=guarded)
        except FileNotFoundError as error:
            if needed:
                raise broken(str(source.path), "there is no such file") from error
            return
        except OSError as error:
            raise broken(str(source.path), f"cannot be read: {error.strerror or error}") from error
        if not source.depth:
            self._active = True
        for number, line in enumerate(text.split("\n"), 1):
            parsed = split_line(line)
            if parsed is None:
                continue
            try:
                self._line(parsed, source)
            except SshConfigError:
                raise
            except ValueError as error:
                place = f"{source.path} line {number}"
                raise broken(place, f"{parsed.keyword}: {error}") from error

    # --- lines ------------------------------------------------------------------------------------

    def _line(self, line: ConfigLine, source: _Source) -> None:
        if not line.rest:
            raise ValueError("its value is missing")
        keyword = ALIASES.get(line.keyword, line.keyword)
        if keyword == "match":
            self._match(line.rest, source)
            return
        words = split_words(line.rest)
        if keyword == "host":
            if "" in words:
                raise ValueError("a pattern is empty")
            self._active = not source.never and matches_host_line(self._host, words)
        elif keyword == "include":
            self._include(words, source)
        elif keyword in KEYWORDS:
            self._setting(keyword, line.rest, words)
        elif not self._is_ignored(line.keyword):
            raise ValueError("no such keyword")

    def _is_ignored(self, keyword: str) -> bool:
        ignored = self._values.get("ignoreunknown")
        return ignored is not None and matches_hostname_list(keyword, ignored[0])

    def _match(self, text: str, source: _Source) -> None:
        facts = match_blocks.MatchFacts(
            host=self._host if source.final else self._hostname(),
            original=self._query.host,
            user=self._values.get("user", (self._local_user,))[0],
            local_user=self._local_user,
            tag=self._values.get("tag", ("",))[0],
            final=source.final,
        )
        outcome = match_blocks.judge(text, facts)
        self.wants_final_pass |= outcome.wants_final_pass
        if not source.never:
            self._notes.update(dict.fromkeys(outcome.notes))
        self._active = outcome.holds and not source.never

    def _include(self, words: tuple[str, ...], source: _Source) -> None:
        active = self._active
        for word in words:
            if not word:
                raise ValueError("a file's name is empty")
            if word.startswith("~") and not source.of_user:
                raise ValueError(f"{word}: the system's file cannot include from a home folder")
            if word.startswith("~"):
                pattern = Path(expand.tilde(word, self._places.home))
            elif source.of_user:
                pattern = self._places.home / ".ssh" / word
            else:
                pattern = (self._places.system or source.path).parent / word
            for path in self._files.glob(str(pattern)):
                never = source.never or not active
                inner = _Source(path, source.of_user, never, source.depth + 1, source.final)
                self._file(inner, guarded=True)
                self._active = active

    # --- settings ---------------------------------------------------------------------------------

    def _setting(self, keyword: str, rest: str, words: tuple[str, ...]) -> None:
        takes = KEYWORDS[keyword]
        match takes:
            case Takes.ANYTHING:
                if keyword == "canonicalizehostname":
                    self._canonicalize(words)
                self._put(keyword, (" ".join(words),))
                return
            case Takes.COMMAND:
                # A ProxyJump that was said before wins, but not `none`.
                if keyword != "proxycommand" or self._jump() is None:
                    self._put(keyword, (rest,))
                return
            case Takes.JUMPS:
                text = rest.partition("#")[0].rstrip()
                jump_hosts.parse(text)
                if "proxycommand" not in self._values:
                    self._put(keyword, (text,))
                return
            case Takes.WORDS:
                _check_words(words)
                self._put(keyword, words)
                return
            case Takes.FORWARD:
                self._forward(keyword, words)
                return
        if not words or not words[0]:
            raise ValueError("its value is missing")
        if len(words) > 1:
            raise ValueError("it takes one value, and there are more")
        self._word(keyword, takes, words[0])

    def _word(self, keyword: str, takes: Takes, word: str) -> None:
        if takes is Takes.LIST:
            if self._active and word not in self._values.get(keyword, ()):
                self._values[keyword] = (*self._values.get(keyword, ()), word)
            return
        if takes is Takes.ALGORITHMS and keyword in self._known:
            names = algorithm_lists.assemble(word, self._known[keyword])
            if self._active and keyword not in self._algorithms:
                self._algorithms[keyword] = names
            return
        _check(takes, word)
        if takes is Takes.TIME and word == _ALONE:
            return  # as if it were not said: a later line may still set it
        if keyword == "identityagent":
            expand.variables(word, self._environment)
        self._put(keyword, (word,))

    def _forward(self, keyword: str, words: tuple[str, ...]) -> None:
        if len(words) > (1 if keyword == "dynamicforward" else 2):
            raise ValueError("there are more words than it takes")
        whole = tuple(expand.variables(word, self._environment) for word in words)
        forward = parse_words(FORWARDS[keyword], whole)
        if self._active:
            self._forwards[forward] = None

    def _canonicalize(self, words: tuple[str, ...]) -> None:
        if self._active and words and words[0].lower() not in ("no", "false", "none"):
            self.wants_final_pass = True
            self._notes["CanonicalizeHostname needs OpenSSH's ssh: names are taken as they are"] = (
                None
            )

    def _put(self, keyword: str, value: tuple[str, ...]) -> None:
        if self._active and keyword not in self._values:
            self._values[keyword] = value

    def _jump(self) -> str | None:
        said = self._values.get("proxyjump", (_ALONE,))[0]
        return None if said.lower() == _ALONE else said

    def _hostname(self) -> str:
        said = self._values.get("hostname")
        return expand.hostname(said[0], self._query.host) if said else self._query.host


def _check_words(words: tuple[str, ...]) -> None:
    if not words or "" in words:
        raise ValueError("its value is missing")
    if len(words) > 1 and any(word.lower() == _ALONE for word in words):
        raise ValueError("'none' must stand alone")


def _check(takes: Takes, word: str) -> None:
    """Raise ValueError for a word that OpenSSH refuses."""
    match takes:
        case Takes.FLAG:
            openssh_scalars.flag(word)
        case Takes.NUMBER:
            openssh_scalars.whole_number(word)
        case Takes.TIME:
            openssh_scalars.seconds(word)
        case Takes.PORT:
            openssh_scalars.port_number(word)
        case Takes.FAMILY:
            if word.lower() not in ("any", "inet", "inet6"):
                raise ValueError(f"must be any, inet or inet6, not {word!r}")
        case Takes.STRICTNESS:
            openssh_scalars.strictness(word)
