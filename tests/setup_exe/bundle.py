"""A Windows desktop on which the bundle is run: from its folder, or as the installer put it."""

from __future__ import annotations

import contextlib
import os
import subprocess
import tomllib
from pathlib import Path

from tests.support.waiting import wait_for
from tests.windows.desk import HEIGHT, LIMIT, WIDTH, Windows
from tests.windows.environment import ROOT, processes, windows_path, wine

BUNDLE = ROOT / "dist" / "windows" / "trayconnect"
VERSION = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
SETUP = ROOT / "dist" / f"trayconnect-{VERSION}-setup.exe"


class BundleDesk(Windows):
    """Its commands are those of the bundle. The server file is in its usual place."""

    programs_of = ("trayconnect",)

    def __init__(self, servers: str | None = None) -> None:
        super().__init__()
        self._env = {"TRAYCONNECT_SSH_CONFIG": "none"}
        self._servers = servers
        self.place: Path | str = BUNDLE

    def __enter__(self) -> BundleDesk:
        super().__enter__()
        self.file = self.data / "servers.yaml"
        if self._servers is not None:
            self.file.parent.mkdir(parents=True)
            self.file.write_text(self._servers)
        return self

    @property
    def installed(self) -> Path:
        return self.home / "AppData" / "Local" / "Programs" / "trayconnect"

    @property
    def link(self) -> Path:
        menu = self.home / "AppData" / "Roaming" / "Microsoft" / "Windows" / "Start Menu"
        return menu / "Programs" / "trayconnect.lnk"

    def use_windows_10(self) -> None:
        self.end("winecfg", "-v", "win10")

    def end(self, *arguments: str) -> tuple[int, str]:
        """A program, to its own end; its exit code and what it printed. Wine gives its stderr to
        whatever it starts, so that the end of the output can come later."""
        loader = wine()
        assert loader is not None
        reading, writing = os.pipe()
        try:
            process = subprocess.Popen(
                [loader, *arguments], env=self.env, stdin=subprocess.DEVNULL,
                stdout=writing, stderr=writing,
            )  # fmt: skip
            os.close(writing)
            try:
                code = process.wait(LIMIT)
            finally:
                process.kill()
                process.wait(LIMIT)
            os.set_blocking(reading, False)
            parts = []
            with contextlib.suppress(BlockingIOError):
                while part := os.read(reading, 65536):
                    parts.append(part)
        finally:
            os.close(reading)
        return code, b"".join(parts).decode("cp1252").replace("\r\n", "\n")

    def command(self, *arguments: str, code: int = 0) -> str:
        ended, words = self.end(self.program("trayconnect.exe"), *arguments)
        assert ended == code, (ended, words, self.log)
        return words

    def program(self, name: str) -> str:
        """The path of a program of the bundle, as a user of Windows has it."""
        place = self.place
        return f"{place}\\{name}" if isinstance(place, str) else windows_path(place / name)

    def installed_for_user(self) -> str:
        """The folder that the installer takes, as Windows names it."""
        return rf"C:\users\{self.home.name}\AppData\Local\Programs\trayconnect"

    def open_on_desktop(self, *arguments: str) -> None:
        """Start a program as the user would, on a desktop with a taskbar."""
        loader = wine()
        assert loader is not None
        command = (loader, "explorer", f"/desktop=shell,{WIDTH}x{HEIGHT}", *arguments)
        with self._log.open("ab") as log:
            process = subprocess.Popen(
                ["/bin/sh", "-c", '"$@" 2>&1 | cat', "sh", *command],
                env=self.env, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                start_new_session=True,
            )  # fmt: skip
        if self._process is None:
            self._process = process

    def programs(self) -> list[str]:
        """The command lines of ours that run in this prefix."""
        names = ("trayconnect.exe", "trayconnectw.exe")
        lines = processes(self.prefix).values()
        return [line for line in lines if any(name in line for name in names)]

    def apps(self) -> list[int]:
        """The processes of the app itself."""
        return [
            number
            for number, line in processes(self.prefix).items()
            if "trayconnectw.exe" in line and "--desktop-helper" not in line
        ]

    def wait_answer(self) -> None:
        """Until the app answers commands."""
        wait_for(
            lambda: self.end(self.program("trayconnect.exe"), "status")[0] == 0, "the app", LIMIT
        )

    def registry(self, key: str) -> str:
        """What is in a key; nothing where there is none."""
        code, words = self.end("reg", "query", key, "/s")
        return words if code == 0 else ""
