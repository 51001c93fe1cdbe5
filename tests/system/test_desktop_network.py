"""Real changes of a network: an address comes and goes in a namespace of the test's own."""

from __future__ import annotations

import contextlib
import subprocess
import sys
from pathlib import Path

# Runs within the namespace; each line printed is one call of the watcher.
WATCH = """
import sys, threading
from trayconnect.desktop.events.network import NetlinkWatcher
changed = threading.Semaphore(0)
watcher = NetlinkWatcher(changed.release, quiet=0.05)
import subprocess
def ip(*words):
    subprocess.run(["ip", *words], check=True)
def expect(what):
    assert changed.acquire(timeout=30), what
for round in range(2):
    watcher.start()
    watcher.start()
    ip("link", "set", "lo", "up")
    expect("link up")
    ip("addr", "add", "127.0.0.77/32", "dev", "lo")
    expect("address added")
    ip("addr", "del", "127.0.0.77/32", "dev", "lo")
    expect("address removed")
    ip("-6", "addr", "add", "fd00::77/128", "dev", "lo")
    expect("IPv6 address added")
    ip("route", "add", "10.1.0.0/16", "dev", "lo")
    expect("route added")
    watcher.stop()
    watcher.stop()
    ip("addr", "flush", "dev", "lo")
    ip("link", "set", "lo", "down")
    while changed.acquire(blocking=False):
        pass
names = [thread.name for thread in threading.enumerate()]
assert names == ["MainThread"], names
print("done")
"""

# The watcher stopped from its own callback, and in the middle of a burst.
STOP = """
import subprocess, threading
from trayconnect.desktop.events.network import NetlinkWatcher
stopped = threading.Event()
def on_change():
    watcher.stop()
    stopped.set()
watcher = NetlinkWatcher(on_change, quiet=0.01)
watcher.start()
subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
assert stopped.wait(30)
slow = NetlinkWatcher(lambda: print("unwanted"), quiet=30)
slow.start()
subprocess.run(["ip", "link", "set", "lo", "down"], check=True)
slow.stop()
for thread in threading.enumerate():
    if thread is not threading.main_thread():
        thread.join(30)
assert threading.active_count() == 1
print("done")
"""


def unshare() -> list[str]:
    """A command that runs another in a network namespace: without rights where the system lets
    everybody make one, else by those of root."""
    ways = (
        ["unshare", "--user", "--map-root-user", "--net"],
        ["unshare", "--net"],
        ["sudo", "-n", "unshare", "--net"],
    )
    for way in ways:
        with contextlib.suppress(OSError):
            if subprocess.run([*way, "true"], capture_output=True, check=False).returncode == 0:
                return way
    raise AssertionError("no way to make a network namespace: neither unshare(1) nor sudo may")


def in_namespace(script: str) -> str:
    """What `script` prints in a network namespace of its own."""
    root = Path(__file__).resolve().parents[2]
    done = subprocess.run(
        [*unshare(), "env", f"PYTHONPATH={root}", sys.executable, "-c", script],
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_links_addresses_and_routes_are_noticed() -> None:
    assert in_namespace(WATCH) == "done\n"


def test_it_stops_in_its_own_callback_and_within_a_burst() -> None:
    assert in_namespace(STOP) == "done\n"
