"""Chromium as the default browser of a test, and what it shows."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import urllib.request
from pathlib import Path

LIMIT = 120.0


class Chromium:
    """A `$BROWSER` that starts a real Chromium with a profile of its own.

    `command` goes into the environment of who opens pages."""

    def __init__(self, folder: Path) -> None:
        self._profile = folder / "profile"
        self._pid_file = folder / "chromium.pid"
        self.command = folder / "chromium.sh"
        self.command.write_text(
            "#!/bin/sh\n"
            # Started again, it hands over to the one that runs, which opens a tab.
            f'[ -e "{self._pid_file}" ] || echo $$ >"{self._pid_file}"\n'
            "exec chromium --no-sandbox --disable-gpu --disable-quic --no-first-run"
            " --disable-background-networking --disable-component-update --disable-sync"
            " --disable-background-timer-throttling --disable-renderer-backgrounding"
            " --disable-backgrounding-occluded-windows --remote-allow-origins=*"
            " --disable-dev-shm-usage --test-type --password-store=basic --no-default-browser-check"
            " --window-position=330,41 --window-size=694,559 --remote-debugging-port=0"
            f' --user-data-dir="{self._profile}" "$@" >"{folder}/chromium.log" 2>&1\n'
        )
        self.command.chmod(0o755)

    def pages(self) -> list[tuple[str, str]]:
        """Title and address of each open tab; nothing while it starts."""
        return [(tab["title"], tab["url"]) for tab in self.tabs()]

    def tabs(self) -> list[dict[str, str]]:
        """What the DevTools protocol tells of each open tab; nothing while it starts."""
        port = self._profile / "DevToolsActivePort"
        with contextlib.suppress(OSError, ValueError, IndexError):
            number = int(port.read_text().splitlines()[0])
            with urllib.request.urlopen(f"http://127.0.0.1:{number}/json", timeout=LIMIT) as answer:
                tabs = json.load(answer)
            return [tab for tab in tabs if tab["type"] == "page"]
        return []

    def close(self) -> None:
        """End it, if it was ever started."""
        with contextlib.suppress(OSError, ValueError):
            os.kill(int(self._pid_file.read_text()), signal.SIGKILL)
