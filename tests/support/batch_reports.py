"""Reports of the scripts for a login node, made by hand."""

from __future__ import annotations

NOW = 1796000000.0
HEAD = (
    "JOBID|STATE|NODELIST|EXEC_HOST|START_TIME|END_TIME|TIME_LIMIT|SUBMIT_TIME|PARTITION|REASON"
    "|NAME"
)
"""The first line of squeue."""


def query_report(
    *lines: str,
    status: str = "0",
    now: str = "1796000000 2026-11-30T00:53:20",
    ended: tuple[str, str] | None = None,
    rest: str = "",
) -> str:
    """`ended`: a job, and what the scheduler says of its end."""
    report = f"Welcome!\n\n@@trayconnect query 1\n@@listed {status}\n"
    report += "".join(f" {line}\n" for line in lines)
    report += f"@@now {now}\n"
    if ended is not None:
        report += f"@@ended {ended[0]}\n {ended[1]}\n"
    return f"{report}{rest}@@hosts\n@@done\n"


def submit_report(status: int, said: str, *, found: str = "", again: int = 0) -> str:
    """`again`: the status of the second look."""
    report = "\n@@trayconnect submit 1\n@@looked 0\n@@sent\n"
    report += "".join(f" {line}\n" for line in [*said.split("\n"), f"@rc {status}"])
    if status:
        report += f"@@looked {again}\n"
    if found:
        report += f"@@found {found}\n"
    return f"{report}@@done\n"
