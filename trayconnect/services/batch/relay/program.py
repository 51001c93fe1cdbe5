"""The relay's text, and the command that starts it where nothing of ours is installed. Pure."""

from __future__ import annotations

import functools
import re
import shlex
from importlib import resources

_PYTHONS = ("python3", "/usr/libexec/platform-python")
_TOO_OLD = 9
_BOOT = (
    "import os,signal,sys;"
    f"sys.version_info<(3,6)and os._exit({_TOO_OLD});"
    # A step may begin after its srun has ended, and gets no end of its input then.
    "signal.alarm(30);"
    # Unbuffered: what follows the text belongs to the relay.
    'r=open(0,"rb",0,closefd=False);'
    'n=int(next((l for l in iter(r.readline,b"")if l.strip()),0));'
    't=b"";'
    'exec("while len(t)<n:\\n d=r.read(n-len(t))\\n d or os._exit(8)\\n t+=d");'
    "exec(t)"
)
"""One line without a single quote or an exclamation mark: a login shell may be a csh."""
_PARTS = ("frames", "far_owners", "far_channels", "far_commands", "far", "far_serve", "far_main")
_IMPORTS = re.compile(r"^from trayconnect\..*\n", re.MULTILINE)
_NO_PYTHON = "@@trayconnect relay none"


def command(pid: int | None = None) -> str:
    """A line of sh that runs the relay, which reads `stdin` first. `pid`: of the job's Jupyter,
    whose Python serves where the node has no other."""
    pythons = [*_PYTHONS]
    if pid is not None:
        pythons.append(f'"$(readlink /proc/{pid}/exe)"')
    pythons.append("python")
    # What comes after the start is never tried again: the relay's status is 0, whatever happens.
    return (
        f"for p in {' '.join(pythons)}; do "
        f'"$p" -ISc {shlex.quote(_BOOT)} && exit; done; echo; echo "{_NO_PYTHON}"'
    )


_SERVE = r"""
# Lets this account in from the login node while the job's script runs: see relay/far_serve.py. $1
# is the job's Jupyter, whose Python serves where the node has no other.
serve_node() {
    printf '%s\n' "$relay" >"$state/relay.py"
    (
        trap '' HUP INT TERM USR1 USR2 XCPU # Jupyter still saves
        looks=0
        until $wanted || [ -e "$state/wanted" ]; do
            kill -0 $$ || exit
            looks=$((looks + 1))
            # It is wanted soon, or late.
            if [ $looks -lt 300 ] && sleep 0.4; then :; else sleep 3; fi
            ls "$state" # a shared home may lag
        done
        for python in python3 /usr/libexec/platform-python "$(readlink "/proc/$1/exe")" python; do
            "$python" -ISc 'import sys; sys.exit(sys.version_info < (3, 6))' || continue
            exec "$python" -IS "$state/relay.py" serve "$state" $$
        done
    ) </dev/null >/dev/null 2>"$state/relay.log" &
}
"""


def job_lines(reach: str) -> str:
    """Functions of sh for a job's script: `serve_node PID`, where the entry's way allows it. The
    job's folder is in the variable state; the umask is 077. For `auto`, no port is open until the
    account has put the file `wanted` there, as `direct_way` does after the other ways."""
    if reach not in ("auto", "direct"):
        return "serve_node() { :; }\n"
    wanted = "true" if reach == "direct" else "false"
    return f"wanted={wanted}\nrelay={shlex.quote(text().decode())}\n{_SERVE}"


@functools.cache
def text() -> bytes:
    """The program."""
    folder = resources.files(__package__)
    parts = (folder.joinpath(f"{name}.py").read_text(encoding="utf-8") for name in _PARTS)
    return _IMPORTS.sub("", "".join(parts)).encode()


def stdin() -> bytes:
    """What the command reads. Start-up files that read their input take the first lines."""
    program = text()
    return b"\n\n\n%d\n%b" % (len(program), program)
