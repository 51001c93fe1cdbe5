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

SLACK = 2.5
"""Round trips: on a busy machine an answer may miss its delivery."""


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


def test_few_round_trips_lead_from_the_click_to_the_page(places: Places) -> None:
    by_ssh = over_ssh(places)
    counts = []
    with Turnstile(places.sshd.port) as line:
        server = entry(places.sshd, places.key, port=line.port)
        with Whole(server, known_hosts=know(places, line)) as whole:
            for _ in range(2):  # the second time, the key is known
                before = line.round_trips
                whole.pages.clear()
                whole.connect()
                wait_for(lambda: whole.pages, "the browser", LIMIT)
                started = line.round_trips - before
                page(whole.pages[0].link)
                counts.append((started, line.round_trips - before))
                whole.off()
    print(by_ssh, counts)
    assert counts[0][1] <= by_ssh + 4 + SLACK
    assert counts[1][1] <= by_ssh + 3 + SLACK
