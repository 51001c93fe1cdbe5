"""Whole verdicts on what a server shows: OpenSSH's client and ours, over the same files.

Each case is an sshd of its own behind a ProxyCommand, so that it can have any name and port. By
hand, for as many cases as you like: python -m tests.support.trust_opinions FIRST COUNT"""

from __future__ import annotations

import functools
import logging
import random
import shlex
import subprocess
import sys
import tempfile
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from tests.support.certificates import certify
from tests.support.keys import make_key, public_line
from tests.support.sshd import _find_sshd
from tests.support.tunnel_kit import Kit, User, entry
from trayconnect.core.errors import Cancelled, ProblemError
from trayconnect.core.questions import QuestionKind
from trayconnect.ssh.config.ssh_config import SshConfig

HOSTS = ("gpu.lab", "GPU.lab", "10.0.0.7", "fe80::7")
ALIASES = (None, None, None, "farm", "FARM")
PORTS = (22, 22, 2222)
SERVER_KEYS = ("ed25519", "ecdsa", "rsa")
CERTIFIED = ("ed25519", "ecdsa", "rsa", "rsa1024")
AUTHORITIES = ("ca", "ca", "ca", "ca_ecdsa", "ca_rsa", "ca_rsa1024")
# HOST stands for the name that fits.
PRINCIPALS = (
    "HOST",
    "HOST",
    "HOST",
    "HOST,other",
    "other,HOST",
    "",
    "*",
    "?*",
    "gpu.*",
    "*.lab",
    "10.0.0.*",
    "GPU.lab",
    "HOST ",
    " HOST",
    "!HOST",
    "other",
    "[HOST]:2222",
    "gpu",
    "HOST.",
)
VALIDITY = ("", "", "", "", "", "", "", "-1h:+1h", "-2h:-1h", "+1h:+2h", "always:forever")
CERT_OPTIONS = (
    (),
    (),
    (),
    (),
    (),
    (),
    ("critical:x@y=z",),
    ("extension:x@y=z",),
    ("critical:force-command=x",),
)
# What a line of known_hosts is for; NAME is as the files have it, port included.
PATTERNS = (
    "NAME",
    "NAME",
    "NAME",
    "HOST",
    "*",
    "*.lab",
    "gpu.*,!*.lab",
    "!NAME,*",
    "*,!NAME",
    "[*]:2222",
    "other",
    "x,NAME,y",
    "NAME,!HOST",
    "gpu.?ab",
    "farm",
    "10.0.0.*",
    "\\*",
)
CERTIFICATE = "certificate"
"""In place of a key's name: the certificate that is shown, or the key where there is none."""
OTHERS = (*CERTIFIED, *AUTHORITIES, "dsa", "other", CERTIFICATE)
MARKERS = ("", "", "@cert-authority", "@cert-authority", "@revoked", "@other")
SETTINGS = (
    (),
    (),
    (),
    ("CASignatureAlgorithms ssh-ed25519",),
    ("CASignatureAlgorithms rsa-sha2-256,ecdsa-sha2-nistp256",),
    ("CASignatureAlgorithms -ssh-ed25519",),
    ("HostKeyAlgorithms ssh-ed25519,rsa-sha2-512",),
    ("HostKeyAlgorithms -*-cert-v01@openssh.com",),
    ("HostKeyAlgorithms ssh-ed25519-cert-v01@openssh.com,ssh-ed25519",),
)
# What KnownHostsCommand does; it gets %I, %H, %t and %K. PRINT prints lines made as the files' are.
COMMANDS = {
    "prints": "PRINT",
    "prints for the name": '[ "$1" != HOSTNAME ] || PRINT',
    "prints before": '[ "$1" != ORDER ] || PRINT',
    "prints amid garbage": "echo nonsense; printf '\\377 @\\n'; PRINT",
    "knows all": 'echo "$2 $3 $4"',
    "revokes all": 'PRINT; echo "@revoked $2 $3 $4"',
    "talks": "echo words >&2; PRINT",
    "fails": "PRINT; exit 1",
    "fails for the name": 'PRINT; [ "$1" = ORDER ]',
    "is missing": "",
    "is relative": "PRINT",
    "is not executable": "PRINT",
}


@dataclass(frozen=True, slots=True)
class Case:
    """What differs from one case to the next; made from a number, the same each time."""

    host: str
    alias: str | None
    port: int
    key: str
    certificate: dict[str, object] | None
    lines: tuple[tuple[str, str, str], ...]
    hashed: bool
    settings: tuple[str, ...]
    revoked: str | None
    command: str | None = None
    printed: tuple[tuple[str, str, str], ...] = ()


def case(number: int) -> Case:
    """The case with that number."""
    r = random.Random(number)
    certificate: dict[str, object] | None = None
    key = r.choice(SERVER_KEYS)
    if r.random() < 0.75:
        key = r.choice(CERTIFIED)
        ca = r.choice(AUTHORITIES)
        certificate = {
            "ca": ca,
            "host": r.random() < 0.9,
            "names": r.choice(PRINCIPALS),
            "validity": r.choice(VALIDITY),
            "options": r.choice(CERT_OPTIONS),
            "signature": r.choice(("", "ssh-rsa", "rsa-sha2-256")) if "rsa" in ca else "",
        }
    lines = _lines(r, key, certificate)
    settings = r.choice(SETTINGS)
    if r.random() < 0.1:
        settings = (*settings, f"RequiredRSASize {r.choice((1024, 2048, 3072))}")
    command: str | None = None
    printed: tuple[tuple[str, str, str], ...] = ()
    other = random.Random(f"KnownHostsCommand {number}")
    if other.random() < 0.5:
        command = other.choice(("prints", "prints", *COMMANDS))
        printed = _lines(other, key, certificate)
        lines = lines if other.random() < 0.5 else ()
    return Case(
        host=r.choice(HOSTS),
        alias=r.choice(ALIASES),
        port=r.choice(PORTS),
        key=key,
        certificate=certificate,
        lines=lines,
        hashed=r.random() < 0.2,
        settings=settings,
        revoked=r.choice((key, "ca", "other")) if r.random() < 0.1 else None,
        command=command,
        printed=printed,
    )


def _lines(
    r: random.Random, key: str, certificate: dict[str, object] | None
) -> tuple[tuple[str, str, str], ...]:
    """Some lines of known_hosts: a marker, a pattern, and the name of a key."""
    lines = []
    for _ in range(r.choice((1, 1, 1, 2, 2, 3))):
        marker = r.choice(MARKERS)
        fitting = certificate["ca"] if certificate and marker == "@cert-authority" else key
        name = fitting if r.random() < 0.7 else r.choice(OTHERS)
        lines.append((marker, r.choice(PATTERNS), str(name)))
    return tuple(lines)


@dataclass
class Stage:
    """The keys of all cases, and the files of the present one."""

    folder: Path
    keys: dict[str, Path] = field(default_factory=dict)

    def __post_init__(self) -> None:
        kinds = {
            "ed25519": ("ed25519", None),
            "ecdsa": ("ecdsa", None),
            "rsa": ("rsa", "2048"),
            "rsa1024": ("rsa", "1024"),
            "other": ("ed25519", None),
            "ca": ("ed25519", None),
            "ca_ecdsa": ("ecdsa", None),
            "ca_rsa": ("rsa", "2048"),
            "ca_rsa1024": ("rsa", "1024"),
            "dsa": ("dsa", None),
        }
        for name, (kind, bits) in kinds.items():
            self.keys[name] = make_key(self.folder, kind, name=name, bits=bits)
        self._shown: Path | None = None
        self._certificate = functools.cache(self._certify)
        Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)

    def opinions(self, one: Case) -> tuple[str, str]:
        """What `ssh` says, and what we say: "yes" or the words of a refusal."""
        self._write(one)
        return self._theirs(one), self._ours(one)

    def _certify(self, key: str, ca: str, host: bool, names: str, *rest: object) -> Path:
        validity, options, signature = rest
        made = certify(
            self.keys[ca],
            self.keys[key],
            host=host,
            names=names.split(",") if names else [],
            validity=str(validity),
            options=list(options),  # type: ignore[call-overload]
            signature=str(signature),
        )
        return made.rename(made.with_name(f"{len(list(self.folder.iterdir()))}-cert.pub"))

    def _write(self, one: Case) -> None:
        known = one.alias.lower() if one.alias else one.host.lower()
        name = known if one.port == 22 or one.alias else f"[{known}]:{one.port}"

        def filled(text: str) -> str:
            return text.replace("NAME", name).replace("HOST", known)

        def written(lines: tuple[tuple[str, str, str], ...]) -> str:
            text = ""
            for marker, pattern, key in lines:
                words = [marker, filled(pattern), *self._public(one, key)]
                text += " ".join(words).strip() + "\n"
            return text

        self._shown = None
        server = [f"HostKey {self.keys[one.key]}", "StrictModes no", "UsePAM no"]
        server += ["PasswordAuthentication no", "KbdInteractiveAuthentication no"]
        server += ["RequiredRSASize 1024"]
        if one.certificate is not None:
            how = dict(one.certificate) | {"names": filled(str(one.certificate["names"]))}
            order = ("ca", "host", "names", "validity", "options", "signature")
            self._shown = self._certificate(one.key, *map(how.get, order))
            server.append(f"HostCertificate {self._shown}")
        text = written(one.lines)
        file = self.folder / "known_hosts"
        file.write_text(text)
        if one.hashed and text:
            command = ["ssh-keygen", "-q", "-H", "-f", str(file)]
            subprocess.run(command, check=False, capture_output=True)
        (self.folder / "sshd_config").write_text("\n".join(server) + "\n")
        command_line = shlex.join([_find_sshd(), "-i", "-f", str(self.folder / "sshd_config")])
        client = [
            f"UserKnownHostsFile {file}",
            "GlobalKnownHostsFile none",
            "StrictHostKeyChecking yes",
            "BatchMode yes",
            "UpdateHostKeys no",
            "IdentityFile none",
            "IdentityAgent none",
            f"ProxyCommand {command_line}",
            *one.settings,
        ]
        if one.alias:
            client.append(f"HostKeyAlias {one.alias}")
        if one.revoked:
            revoked = self.folder / "revoked"
            revoked.write_text(public_line(self.keys[one.revoked]) + "\n")
            client.append(f"RevokedHostKeys {revoked}")
        if one.command:
            self._write_command(one.command, written(one.printed))
            program = "/nowhere/x" if one.command == "is missing" else self.folder / "command"
            program = "command" if one.command == "is relative" else program
            client.append(f'KnownHostsCommand {program} %I "%H" %t %K')
        self.config.write_text("\n".join(client) + "\n")

    def _public(self, one: Case, key: str) -> list[str]:
        if key == CERTIFICATE:
            shown = self._shown
            text = public_line(self.keys[one.key]) if shown is None else shown.read_text()
        else:
            text = public_line(self.keys[key])
        return text.split()[:2]

    def _write_command(self, what: str, printed: str) -> None:
        lines = self.folder / "printed"
        lines.write_text(printed)
        program = self.folder / "command"
        program.write_text(f"#!/bin/sh\n{COMMANDS[what].replace('PRINT', f'cat {lines}')}\n")
        program.chmod(0o644 if what == "is not executable" else 0o755)

    @property
    def config(self) -> Path:
        return self.folder / "ssh_config"

    def _theirs(self, one: Case) -> str:
        command = ["ssh", "-F", str(self.config), "-p", str(one.port), one.host, "true"]
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, timeout=60, check=False
        )
        words = done.stderr.decode(errors="replace").strip()
        # What comes after the host key: no key of ours is let in.
        return "yes" if "Permission denied (" in words else words

    def _ours(self, one: Case) -> str:
        kit = Kit(self.folder / "kit", ssh_config=lambda: SshConfig(self.config))
        server = entry(one.port, host=one.host, username="nobody")
        user = User()
        try:
            kit.connect(server, user).close()
        except Cancelled:
            return "asks" if QuestionKind.HOST_KEY in user.kinds else "yes"
        except ProblemError as error:
            # What comes after the host key: a login, or the question for a key.
            logs_in = "refused the login" in str(error) or "Private key for" in str(error)
            return "yes" if logs_in else str(error)
        return "yes"


def main() -> None:
    first, count = map(int, sys.argv[1:])
    logging.disable()
    seen: Counter[tuple[bool, bool]] = Counter()
    with tempfile.TemporaryDirectory(prefix="tc-opinions-") as folder:
        stage = Stage(Path(folder))
        for number in range(first, first + count):
            theirs, ours = stage.opinions(case(number))
            pair = (theirs == "yes", ours == "yes")
            seen[pair] += 1
            if pair[0] != pair[1]:
                kind = "WE ARE STRICTER" if pair[0] else "WE ACCEPT WHAT SSH REFUSES"
                print(kind, number, case(number), f"ssh: {theirs}", f"we: {ours}", sep="\n  ")
    for (theirs_, ours_), times in sorted(seen.items()):
        print(
            f"ssh {'accepts' if theirs_ else 'refuses'}, we {'accept' if ours_ else 'refuse'}:",
            times,
        )


if __name__ == "__main__":
    main()
