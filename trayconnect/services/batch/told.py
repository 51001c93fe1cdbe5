"""The job's folder on the login node, and the check that a link leads to the job."""

from __future__ import annotations

from trayconnect.core.endpoints import UnixEndpoint
from trayconnect.core.link import Link
from trayconnect.services.batch.job import JobFiles, JobId, job_name

NOT_OURS = "The job's folder is missing, or others may write there"
_NO_ORIGIN = ("127.0.0.1", 0)


def enter_folder(server: str, job: JobId) -> str:
    """Lines of sh that go into the job's folder on the login node; they exit unless the account
    alone can write there. Paths are relative then: a home may have any path."""
    folder = f"trayconnect/jobs/{job_name(server).rpartition('-')[2]}/{job}"
    return (
        # As in report.sh.
        "case ${XDG_STATE_HOME-} in /*) ;; *) XDG_STATE_HOME= ;; esac; "
        f'cd "${{XDG_STATE_HOME:-$HOME/.local/state}}/{folder}" && [ -O . ] && '
        '[ -z "$(find . -prune \\( -perm -020 -o -perm -002 \\))" ] || '
        f'{{ echo "{NOT_OURS}" >&2; exit 77; }}; '
    )


def check_socket(files: JobFiles | None, link: Link) -> None:
    """Raises `ProblemError` unless the socket of the job's Jupyter is there, and the account's own.
    A login may lead to another node, forward nothing, or see another /tmp than the job does."""
    if files is not None and files.socket:
        socket = UnixEndpoint(files.socket)
        link.open_own_channel(socket, _NO_ORIGIN, named=False)[0].close()
