"""Debians of the test's own, without Python.

They are made once by debootstrap, under .deb-roots/, and only read afterwards: what a test installs
lies in a layer over them, which goes with the test."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from tests.support.scoped import Scoped

CACHE = Path(__file__).resolve().parents[2] / ".deb-roots"
USER = "ada"
HOME = Path("/home") / USER
LIMIT = 1200.0
"""Seconds for what is downloaded and unpacked; a machine may be very busy."""
_DESKTOP = ("xfce4-session", "xfce4-panel", "xfwm4", "dbus", "procps")
_NO_PYTHON = """\
Package: python3
Version: 3.99
Architecture: all
Multi-Arch: foreign
Provides: python3:any
Maintainer: nobody <nobody@example.org>
Description: nothing, in place of the Python that a panel's helper asks for
"""
_ENVIRONMENT = {
    "PATH": "/usr/sbin:/usr/bin:/sbin:/bin",
    "LC_ALL": "C.UTF-8",
    "DEBIAN_FRONTEND": "noninteractive",
}


def plain() -> Path:
    """The least that debootstrap makes, with the lists of packages."""
    return _made("plain", _make_plain)


def desktop() -> Path:
    """That, with a panel, a session that starts it, and a user."""
    return _made("desktop", _make_desktop)


class Root(Scoped):
    """One of those, to write in, for the time of a `with`."""

    def __init__(self, base: Path) -> None:
        self._base = base
        self._folder = Path(tempfile.mkdtemp(prefix="tc-root-"))
        self.path = self._folder / "root"
        self._mounts: list[Path] = []

    def start(self) -> None:
        upper, work = self._folder / "upper", self._folder / "work"
        for folder in (self.path, upper, work):
            folder.mkdir()
        layers = f"lowerdir={self._base},upperdir={upper},workdir={work}"
        self._mount(self.path, "-t", "overlay", "-o", layers, "overlay")
        self._mount(self.path / "proc", "-t", "proc", "proc")
        # A slave: unmounting it must unmount nothing in the /dev of this machine.
        self._mount(self.path / "dev", "--make-rslave", "--rbind", "/dev")
        (self.path / "etc/hosts").write_text("127.0.0.1 localhost\n")
        names = Path("/etc/resolv.conf")
        if names.exists():
            shutil.copy(names, self.path / "etc/resolv.conf")

    def close(self) -> None:
        while self._mounts:
            subprocess.run(["umount", "--lazy", self._mounts.pop()], check=True)
        shutil.rmtree(self._folder)

    def bind(self, folder: Path) -> None:
        """Show a folder of this machine at the same path inside."""
        inside = self.inside(folder)
        inside.mkdir(parents=True, exist_ok=True)
        self._mount(inside, "--bind", str(folder))

    def inside(self, path: Path) -> Path:
        return self.path / path.relative_to("/")

    def command(self, command: Sequence[str], user: str = "root") -> list[str]:
        return ["/usr/sbin/chroot", f"--userspec={user}:{user}", str(self.path), *command]

    def run(
        self,
        *command: str,
        user: str = "root",
        env: Mapping[str, str] | None = None,
        check: bool = True,
        limit: float = LIMIT,
    ) -> subprocess.CompletedProcess[str]:
        """Run a program inside; its outputs in one."""
        home = {"HOME": str(HOME) if user == USER else "/root"}
        done = subprocess.run(
            self.command(command, user), env={**_ENVIRONMENT, **home, **(env or {})}, cwd="/",
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            text=True, check=False, timeout=limit,
        )  # fmt: skip
        if check and done.returncode != 0:
            raise AssertionError(f"{' '.join(command)}: {done.returncode}\n{done.stdout}")
        return done

    def install(self, package: Path) -> str:
        """As a user does, with what the package depends on."""
        name = Path("/tmp") / package.name
        shutil.copy(package, self.inside(name))
        said = self.run(
            "apt-get", "install", "--yes", "--no-install-recommends", "--quiet", str(name)
        )
        self.inside(name).unlink()
        return said.stdout

    def files(self) -> set[str]:
        """Every path but what the system keeps of its own doings."""
        told = self.run("find", "/", "-xdev", "-not", "-type", "d", "-not", "-path", "/home/*")
        passing = ("/var/lib/dpkg/", "/var/lib/apt/", "/var/cache/", "/var/log/", "/tmp/", "/run/")
        return {path for path in told.stdout.splitlines() if not path.startswith(passing)}

    def _mount(self, place: Path, *arguments: str) -> None:
        subprocess.run(["mount", *arguments, str(place)], check=True)
        self._mounts.append(place)


def _made(name: str, make: Callable[[Path], None]) -> Path:
    folder = CACHE / name
    if not folder.is_dir():
        CACHE.mkdir(exist_ok=True)
        unfinished = Path(tempfile.mkdtemp(prefix=f"{name}-", dir=CACHE))
        unfinished.chmod(0o755)
        try:
            make(unfinished)
            unfinished.rename(folder)
        except BaseException:
            shutil.rmtree(unfinished, ignore_errors=True)
            raise
    return folder


def _make_plain(folder: Path) -> None:
    release = dict(
        line.split("=", 1)
        for line in Path("/etc/os-release").read_text().splitlines()
        if "=" in line
    )
    suite = release["VERSION_CODENAME"].strip('"')
    _do("debootstrap", "--variant=minbase", suite, str(folder))
    _inside(folder, "apt-get", "update", "--quiet")


def _make_desktop(folder: Path) -> None:
    _do("cp", "--archive", f"{plain()}/.", str(folder))
    with tempfile.TemporaryDirectory() as scratch:
        stage = Path(scratch) / "stage"
        (stage / "DEBIAN").mkdir(parents=True)
        (stage / "DEBIAN/control").write_text(_NO_PYTHON)
        stage.chmod(0o755)
        _do("dpkg-deb", "--build", str(stage), str(folder / "tmp/no-python.deb"))
    install = ("apt-get", "install", "--yes", "--no-install-recommends", "--quiet")
    _inside(folder, *install, "/tmp/no-python.deb", *_DESKTOP)
    _inside(folder, "useradd", "--create-home", "--shell", "/bin/sh", USER)


def _inside(folder: Path, *command: str) -> None:
    if Path("/etc/resolv.conf").exists():
        shutil.copy("/etc/resolv.conf", folder / "etc/resolv.conf")
    _do("mount", "-t", "proc", "proc", str(folder / "proc"))
    try:
        _do("chroot", str(folder), *command)
    finally:
        _do("umount", "--lazy", str(folder / "proc"))


def _do(*command: str) -> None:
    done = subprocess.run(
        command, env={**os.environ, **_ENVIRONMENT}, stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False, timeout=LIMIT,
    )  # fmt: skip
    if done.returncode != 0:
        raise AssertionError(f"{' '.join(command)}: {done.returncode}\n{done.stdout[-3000:]}")
