"""Where the running app listens, and which version of the protocol it speaks.

A command for whose page the user waits sends its request before it imports anything: this imports
only what an interpreter has loaded anyway. mypy needs no more, either."""

from __future__ import annotations

import os
import stat
import sys

TYPE_CHECKING = False  # `typing` takes longer than everything here
if TYPE_CHECKING:
    import _socket
    from collections.abc import Mapping

VERSION = 3
"""See `protocol`."""
REQUEST_MAX = 64 * 1024
"""Bytes of a request, with its newline."""
REPLY_MAX = 4 * 1024 * 1024
"""Bytes of a reply, with its newline: the status of some thousands of servers."""
OVERRIDE = "TRAYCONNECT_RUNTIME_DIR"
"""Environment variable naming another folder, to run a second app beside the first."""
SOCKET_NAME = "control.sock"
SOCKET_PATH_MAX = 103
"""Bytes: the least `sun_path` of the systems served, macOS's 104, less its NUL (Linux has 108)."""


def runtime_path(environ: Mapping[str, str]) -> str:
    """The path of `place.runtime_folder`, which may be missing or unsafe."""
    override = environ.get(OVERRIDE)
    if override:
        folder = os.path.join(os.getcwd(), override)  # noqa: PTH109, PTH118
    elif sys.platform == "win32":
        import platformdirs

        # Not the runtime folder, which is within Temp: the system tidies that one up.
        folder = platformdirs.user_data_dir("trayconnect", appauthor=False)
    elif sys.platform == "darwin":
        # As platformdirs' user_runtime_path, but for XDG variables, which the Finder doesn't know.
        folder = f"{_home()}/Library/Caches/TemporaryItems/trayconnect"
    else:
        folder = _linux_path(environ, os.geteuid())
    socket_path = os.fsencode(f"{folder}/{SOCKET_NAME}")
    if sys.platform != "win32" and len(socket_path) > SOCKET_PATH_MAX:
        import hashlib

        digest = hashlib.sha256(os.fsencode(folder)).hexdigest()[:16]
        folder = f"/tmp/trayconnect-{os.geteuid()}-{digest}"  # noqa: S108 - checked by the caller
    return folder


def is_private(folder: str) -> bool:
    """Whether only this user can enter the folder. Raises OSError."""
    found = os.lstat(folder)
    if not stat.S_ISDIR(found.st_mode):
        return False
    # On Windows, the profile's access list decides.
    return sys.platform == "win32" or (
        found.st_uid == os.geteuid() and stat.S_IMODE(found.st_mode) == 0o700
    )


def peer_uid(sock: _socket.socket) -> int:
    """The user at the other end of a Unix socket when it connected, or began to listen. Raises
    OSError."""
    if sys.platform == "linux":
        import _socket

        # struct ucred of unix(7): pid, uid, gid.
        credentials = sock.getsockopt(_socket.SOL_SOCKET, _socket.SO_PEERCRED, 12)
        return int.from_bytes(credentials[4:8], sys.byteorder)
    else:  # noqa: RET505 - mypy calls code after a platform's return unreachable
        import ctypes

        return getpeereid(sock, ctypes.CDLL(None, use_errno=True))


def getpeereid(sock: _socket.socket, libc: object) -> int:
    """`peer_uid` by getpeereid(3), which macOS and the BSDs have. Raises OSError."""
    import ctypes

    uid, gid = ctypes.c_uint32(), ctypes.c_uint32()
    call = libc.getpeereid  # type: ignore[attr-defined]
    if call(sock.fileno(), ctypes.byref(uid), ctypes.byref(gid)) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return uid.value


def _linux_path(environ: Mapping[str, str], uid: int) -> str:
    """In the runtime directory of the XDG Base Directory Specification where the user has one.

    The variable is missing in `su`, cron and some terminals, and under `sudo` it is another user's:
    then the folder that systemd gives every login is used, by its name."""
    for parent in (environ.get("XDG_RUNTIME_DIR"), f"/run/user/{uid}"):
        if parent and parent.startswith("/") and _is_ours(parent, uid):
            return os.path.join(parent, "trayconnect")  # noqa: PTH118
    usual = f"/tmp/trayconnect-{uid}"  # noqa: S108 - checked by the caller
    # Anyone can be first in /tmp, and only the user in the home folder.
    return f"{_home()}/.cache/trayconnect/run" if _is_anothers(usual, uid) else usual


def _home() -> str:
    """As `Path.home`."""
    home = os.path.expanduser("~")  # noqa: PTH111
    if home.startswith("~"):
        raise RuntimeError("Could not determine home directory.")
    return home


def _is_anothers(folder: str, uid: int) -> bool:
    try:
        return os.lstat(folder).st_uid != uid
    except OSError:
        return False


def _is_ours(folder: str, uid: int) -> bool:
    """Whether no other user can rename or replace what is in it."""
    try:
        found = os.stat(folder)  # noqa: PTH116
    except OSError:
        return False
    return stat.S_ISDIR(found.st_mode) and found.st_uid == uid and not found.st_mode & 0o022
