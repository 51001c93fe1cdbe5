"""A real gnome-keyring: unlocked, locked, waiting for its user, without a place, and absent."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.bus_names import wait_name
from tests.support.desktop import Desktop, SessionBus
from tests.support.keys import make_key

# Runs on the bus; prints a list with the outcome of each step.
STEPS = """
import json, subprocess, sys, threading
from pathlib import Path
import secretstorage
from trayconnect.config.model import Auth
from trayconnect.desktop.secrets import KeyringSecrets
from trayconnect.core.errors import Cancelled, ProblemError
from trayconnect.core.questions import Answer
from trayconnect.ssh.auth.identities import UnlockedKeys
from trayconnect.ssh.auth.keyfile import read_key_file
from trayconnect.ssh.target import LoginTarget
from trayconnect.ssh.auth.passwords import Unlocker

secrets = KeyringSecrets(time_limit=60)

def lock():
    bus = secretstorage.dbus_init()
    secretstorage.get_default_collection(bus).lock()
    bus.close()

def unlock(answer):
    asked = []
    def ask(question):
        asked.append(question.can_remember)
        if answer is None:
            raise Cancelled
        return answer
    target = LoginTarget("GPU box", "gpu", 22, "ada")
    auth = Auth(password="keyring")
    try:
        Unlocker(target, auth, secrets, UnlockedKeys(), ask).unlock(read_key_file(Path("id_key")))
    except Cancelled:
        return "asked in vain"
    return asked

def change():
    command = ["ssh-keygen", "-q", "-p", "-f", "id_key", "-P", "open sesame", "-N", "another"]
    subprocess.run(command, check=True, stdin=subprocess.DEVNULL, capture_output=True)

steps = {
    "get": lambda: secrets.get("GPU box", "ada@gpu"),
    "other": lambda: secrets.get("Other box", "ada@gpu"),
    "set": lambda: secrets.set("GPU box", "ada@gpu", "s3cret-ünï"),
    "delete": lambda: secrets.delete("GPU box", "ada@gpu"),
    "lock": lock,
    "remember": lambda: unlock(Answer(("open sesame",), remember=True)),
    "unlock": lambda: unlock(None),
    "change": change,
    "hurry": lambda: setattr(secrets, "_time_limit", 2.0),
    "workers": lambda: sum(t.name == "tc-keyring" for t in threading.enumerate()),
}
outcomes = []
for step in sys.argv[1:]:
    try:
        outcomes.append(steps[step]())
    except ProblemError as error:
        outcomes.append("problem: " + error.problem.title)
print(json.dumps(outcomes))
"""
DOES_NOT_ANSWER = "problem: The system keyring does not answer"
LOCKED = "problem: The system keyring is locked"
NO_PLACE = "problem: The system keyring has no place to store passwords yet"
NONE = "problem: There is no system keyring"


def outcomes(env: dict[str, str], *steps: str, folder: Path | None = None) -> list[Any]:
    root = Path(__file__).resolve().parents[2]
    done = subprocess.run(
        [sys.executable, "-c", STEPS, *steps],
        env={**env, "PYTHONPATH": str(root)},
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "s3cret" not in done.stderr
    result = json.loads(done.stdout)
    assert isinstance(result, list)
    return result


def unlock(bus: SessionBus) -> None:
    """Start a keyring whose default collection is open, as after a login with a password."""
    command = "gnome-keyring-daemon --foreground --unlock --components=secrets"
    bus.spawn("sh", "-c", f"printf '\\n' | exec {command}")
    # The bus starts a second daemon, without a place, for whoever asks before this one is there.
    wait_name(bus.env["DBUS_SESSION_BUS_ADDRESS"], "org.freedesktop.secrets")


@pytest.fixture
def bus() -> Iterator[SessionBus]:
    with SessionBus() as bus:
        yield bus


def test_unlocked(bus: SessionBus) -> None:
    unlock(bus)
    steps = ("get", "set", "get", "other", "delete", "delete", "get", "workers")
    secret = "s3cret-ünï"
    assert outcomes(bus.env, *steps) == [None, None, secret, None, None, None, None, 0]


def test_what_is_kept_outlives_us(bus: SessionBus) -> None:
    unlock(bus)
    assert outcomes(bus.env, "set") == [None]
    assert outcomes(bus.env, "get") == ["s3cret-ünï"]


def test_passphrase_of_a_key_file(bus: SessionBus, tmp_path: Path) -> None:
    unlock(bus)
    make_key(tmp_path, name="id_key", passphrase="open sesame")
    in_vain = "asked in vain"
    assert outcomes(bus.env, "unlock", "remember", "unlock", folder=tmp_path) == [
        in_vain,
        [True],
        [],
    ]
    # Refused once, it is forgotten.
    assert outcomes(bus.env, "unlock", "change", "unlock", "unlock", folder=tmp_path) == [
        [],
        None,
        in_vain,
        in_vain,
    ]


def test_passphrase_where_the_keyring_is_locked(bus: SessionBus, tmp_path: Path) -> None:
    unlock(bus)
    make_key(tmp_path, name="id_key", passphrase="open sesame")
    steps = ("remember", "lock", "unlock", "remember")
    # Asked, and not offered to be kept.
    assert outcomes(bus.env, *steps, folder=tmp_path) == [[True], None, "asked in vain", [False]]


def test_locked_where_nobody_can_be_asked(bus: SessionBus) -> None:
    unlock(bus)
    assert outcomes(bus.env, "set", "lock", "get", "set") == [None, None, LOCKED, LOCKED]


def test_locked_and_waiting_for_the_user() -> None:
    with Desktop() as desktop:
        subprocess.run(
            ["dbus-update-activation-environment", "DISPLAY"], env=desktop.env, check=True
        )
        unlock(desktop)
        steps = ("set", "lock", "hurry", "get", "get", "set", "workers")
        assert outcomes(desktop.env, *steps) == [
            None,
            None,
            None,
            DOES_NOT_ANSWER,
            DOES_NOT_ANSWER,
            DOES_NOT_ANSWER,
            1,
        ]


def test_no_place_to_store(bus: SessionBus) -> None:
    bus.spawn("gnome-keyring-daemon", "--foreground", "--components=secrets")
    wait_name(bus.env["DBUS_SESSION_BUS_ADDRESS"], "org.freedesktop.secrets")
    assert outcomes(bus.env, "get", "set") == [NO_PLACE, NO_PLACE]


def test_no_bus(tmp_path: Path, bus: SessionBus) -> None:
    env = {**bus.env, "DBUS_SESSION_BUS_ADDRESS": f"unix:path={tmp_path / 'none'}"}
    assert outcomes(env, "get", "set", "delete") == [NONE, NONE, NONE]


@pytest.mark.parametrize("backend", ["null", "fail"])
def test_a_backend_that_keeps_nothing(bus: SessionBus, backend: str) -> None:
    choice = f"keyring.backends.{backend}.Keyring"
    env = {**bus.env, "PYTHON_KEYRING_BACKEND": choice}
    env["DBUS_SESSION_BUS_ADDRESS"] = "unix:path=/nowhere"
    assert outcomes(env, "set") == [NONE]
