"""The round trips between a click and the page: over a far line they are what a user waits for."""

from __future__ import annotations

import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support.jupyter import JupyterServer
from tests.support.keys import make_key
from tests.support.ports import free_port
from tests.support.sshd import Sshd
from tests.support.turnstile import Turnstile
from tests.support.waiting import wait_for
from tests.support.whole import LIMIT, Whole, entry

ATTEMPTS = 4
"""On a busy machine an answer may miss its delivery, which adds a round trip."""


@dataclass(frozen=True, slots=True)
class Places:
    sshd: Sshd
    jupyter: JupyterServer
    key: Path
    known_hosts: Path


@pytest.fixture(scope="module")
def places(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Places]:
    folder = tmp_path_factory.mktemp("click")
    with JupyterServer() as jupyter:
        options = {"SetEnv": f"JUPYTER_RUNTIME_DIR={jupyter.runtime_dir}"}
        with Sshd(options=options) as sshd:
            key = make_key(folder)
            sshd.authorize(key)
            known = folder / "known_hosts"
            yield Places(sshd, jupyter, key, known)


def know(places: Places, line: Turnstile) -> list[str]:
    name = f"[127.0.0.1]:{line.port}"
    lines = [
        each.replace(places.sshd.known_host_name, name) for each in places.sshd.known_hosts_lines()
    ]
    places.known_hosts.write_text("".join(f"{each}\n" for each in lines))
    return lines


def page(url: str) -> None:
    with urllib.request.urlopen(url, timeout=LIMIT) as answer:
        assert answer.status == 200
        answer.read(1)


def over_ssh(places: Places) -> float:
    """With the port and the token known, and the page fetched as soon as `ssh` listens."""
    port = free_port()
    with Turnstile(places.sshd.port) as line:
        know(places, line)
        ssh = subprocess.Popen(
            [
                *("ssh", "-F", "none", "-N", "-i", str(places.key), "-p", str(line.port)),
                *("-o", f"UserKnownHostsFile={places.known_hosts}", "-o", "BatchMode=yes"),
                *("-L", f"127.0.0.1:{port}:127.0.0.1:{places.jupyter.port}"),
                f"{places.sshd.username}@127.0.0.1",
            ],
            stdin=subprocess.DEVNULL,
        )
        try:
            deadline = time.monotonic() + LIMIT
            while True:
                try:
                    page(f"http://127.0.0.1:{port}/lab?token={places.jupyter.token}")
                    return line.round_trips
                except urllib.error.URLError:
                    assert time.monotonic() < deadline
                    time.sleep(0.02)
        finally:
            ssh.kill()
            ssh.wait()


def clicks(places: Places) -> list[float]:
    """The round trips of two clicks in one run of the app: the second time, the key is known."""
    counts = []
    with Turnstile(places.sshd.port) as line:
        server = entry(places.sshd, places.key, port=line.port)
        with Whole(server, known_hosts=know(places, line)) as whole:
            for _ in range(2):
                before = line.round_trips
                whole.pages.clear()
                whole.connect()
                wait_for(lambda: whole.pages, "the browser", LIMIT)
                page(whole.pages[0].link)
                counts.append(line.round_trips - before)
                whole.off()
    return counts


def test_a_click_takes_no_more_round_trips_than_ssh(places: Places) -> None:
    """It finds the Jupyter, proves that it is the account's own, and checks that its page answers,
    while `ssh` only forwards a port that is known. TCP's handshake comes to each."""
    by_ssh = over_ssh(places)
    for attempt in range(ATTEMPTS):
        first, second = clicks(places)
        if first <= by_ssh and second <= by_ssh:
            return
        print(f"attempt {attempt}: {first} and {second} round trips; {by_ssh} by ssh")
    raise AssertionError(f"{first} and {second} round trips; {by_ssh} by ssh")
