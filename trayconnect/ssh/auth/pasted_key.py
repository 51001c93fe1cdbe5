"""Pasted private keys: verified, repaired, stored."""

from __future__ import annotations

import base64
import binascii
import contextlib
import hashlib
import os
import re
import tempfile
import textwrap
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote

import platformdirs

from trayconnect.core.errors import Problem, ProblemError
from trayconnect.core.privacy import make_private
from trayconnect.core.questions import Ask, Field, Question, QuestionKind
from trayconnect.ssh.auth import key_kinds
from trayconnect.ssh.auth.keyfile import KeyFile, PassphraseNeededError, key_in
from trayconnect.ssh.hostkeys.known_hosts import HostKey
from trayconnect.ssh.target import LoginTarget

MAX_CHARACTERS = 65536

_ARMOUR = re.compile(
    r"-----BEGIN (?P<kind>[A-Z0-9 ]*PRIVATE KEY)-----(?P<body>.*?)-----END (?P=kind)-----",
    re.DOTALL,
)
_LAST_LINE = re.compile(r"\s*(-----END .*PRIVATE KEY-----|Private-MAC:)")
_HEADER = re.compile(r"[A-Za-z][A-Za-z0-9-]*: ")
_LONGEST_NAME = 120
_NAME = Path("the pasted key")
_OUR_ADVICE = "Copy the whole private key, from its BEGIN line to its END line."


@dataclass(frozen=True, slots=True)
class PastedKey:
    """A usable private key, perhaps still encrypted."""

    data: bytes = field(repr=False)
    """The content of its file."""
    public: HostKey | None
    """The public half; None if a passphrase hides it."""
    encrypted: bool

    @property
    def description(self) -> str:
        """A line to recognize the key by."""
        kind = f"{self.public.type} {self.public.fingerprint}" if self.public else "private key"
        return f"{kind}, with a passphrase" if self.encrypted else kind


def default_folder() -> Path:
    """The folder of pasted keys."""
    return platformdirs.user_data_path("trayconnect", appauthor=False) / "keys"


def place(folder: Path, server: str) -> Path:
    """The path of the key of the server `server`, whether or not it exists."""
    # No two names share a path, and no path leaves the folder.
    name = quote(server, safe="")
    if len(name) > _LONGEST_NAME:
        name = hashlib.sha256(server.encode()).hexdigest()
    return folder / f"id_{name}"


def accept(text: str) -> PastedKey:
    """The private key in a pasted text, repaired after damage by the clipboard: indentation,
    quotation marks, joined or rewrapped lines, a lost last newline.

    Raises `ProblemError` if the text is no usable key."""
    if len(text) > MAX_CHARACTERS:
        raise _refused("The pasted text is too long for a private key", _OUR_ADVICE)
    data = _repaired(text).encode("utf-8", "replace")
    try:
        key_kinds.check(_NAME, data)
        file = key_in(_NAME, data)
        if file.is_on_device:
            raise _refused(
                "The pasted text belongs to a security key",
                "Such a key is used through ssh-agent: add it there with ssh-add.",
            )
        return _opened(file)
    except ProblemError as error:
        raise _reworded(error.problem) from error


def store(folder: Path, server: str, key: PastedKey) -> Path:
    """Store a key for a server, readable by its owner alone. Returns its path. An older key is
    never overwritten. Raises `ProblemError`."""
    path = place(folder, server)
    try:
        make_private(folder)
        descriptor, name = tempfile.mkstemp(prefix=".key-", dir=folder)  # with mode 0600
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(key.data)
                file.flush()
                os.fsync(file.fileno())
            _move_if_absent(Path(name), path)
        finally:
            with contextlib.suppress(FileNotFoundError):
                Path(name).unlink()
    except FileExistsError:
        raise _refused(
            f"There is a key for “{server}” already",
            f"It is stored as {path}; to use the new one, move or delete that file first.",
        ) from None
    except OSError as error:
        raise _refused(
            f"The key could not be stored as {path}",
            f"The system says: {error.strerror or error}. Check the permissions of that folder.",
        ) from error
    return path


def _move_if_absent(source: Path, target: Path) -> None:
    """Raises FileExistsError."""
    try:
        os.link(source, target)
    except FileExistsError:
        raise
    except OSError:
        # A file system without hard links, such as FAT; on Windows, rename never overwrites a file.
        if target.exists():
            raise FileExistsError(target) from None
        source.rename(target)


def is_last_line(line: str) -> bool:
    """Whether a line ends a private key, in any of its formats."""
    return bool(_LAST_LINE.match(line))


def _opened(file: KeyFile) -> PastedKey:
    """Raises `ProblemError` if the key cannot be used."""
    try:
        key = file.decrypt()
    except PassphraseNeededError:
        return PastedKey(file.data, file.public, encrypted=True)
    return PastedKey(file.data, HostKey(key.get_name(), key.asbytes()), encrypted=False)


def _repaired(text: str) -> str:
    lines = text.replace("\r\n", "\n").replace("\r", "\n").lstrip("\ufeff")
    found = _ARMOUR.search(lines)
    if found is None:
        # PuTTY counts its lines, and its headers matter to the last space: remove the indentation
        # only.
        return textwrap.dedent(lines).strip() + "\n"
    kind, body = found["kind"], found["body"]
    # The headers of an encrypted PEM (RFC 1421), and the empty line below them.
    stripped = [line.strip().strip("\"'") for line in body.replace("\\n", "\n").split("\n")]
    headers = [line for line in stripped if _HEADER.match(line)]
    rest = "".join("".join(line.split()) for line in stripped if not _HEADER.match(line))
    with contextlib.suppress(binascii.Error, ValueError):
        rest = base64.b64encode(base64.b64decode(rest, validate=True)).decode("ascii")
    width = 70 if "OPENSSH" in kind else 64
    parts = [f"-----BEGIN {kind}-----", *headers, *([""] if headers else [])]
    parts += [rest[at : at + width] for at in range(0, len(rest), width)]
    return "\n".join([*parts, f"-----END {kind}-----", ""])


def _refused(title: str, advice: str) -> ProblemError:
    return ProblemError(Problem(title, advice))


def _reworded(problem: Problem) -> ProblemError:
    """The problem of a file, reworded for a pasted text."""
    title = problem.title.replace(f"The key file {_NAME}", "The pasted text")
    speaks_of_files = any(word in problem.advice for word in ("Name ", "opy ", str(_NAME)))
    advice = _OUR_ADVICE if speaks_of_files else problem.advice
    return ProblemError(Problem(title, advice, detail=problem.detail))


PASTE_TRIES = 3


def ask_for_key(target: LoginTarget, ask: Ask) -> PastedKey | None:
    """A key that the user pasted; None after several texts that were no key. Raises `Cancelled`."""
    note = ""
    for _ in range(PASTE_TRIES):
        answer = ask(_question(target, note))
        try:
            return accept(answer.values[0] if answer.values else "")
        except ProblemError as error:
            note = str(error)
    return None


def _question(target: LoginTarget, note: str) -> Question:
    message = (
        f"{target.address} accepts only keys, and trayconnect found none in the ssh-agent, in "
        f"~/.ssh or in servers.yaml. Paste the private key for {target.description}, "
        "from its BEGIN line to its END line. It is stored in a file that only you can read."
    )
    return Question(
        kind=QuestionKind.PRIVATE_KEY,
        server=target.server,
        title=f"Private key for {target.account}",
        message="\n".join(text for text in (note, message) if text),
        fields=(Field("Private key", multiline=True),),
        confirm="Log in",
    )
