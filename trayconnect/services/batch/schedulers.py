"""The schedulers, and which of them a login node has."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from trayconnect.config.batch_options import System
from trayconnect.core.errors import Problem
from trayconnect.services.batch import report as reports
from trayconnect.services.batch.gridengine import GridEngine
from trayconnect.services.batch.scheduler import Scheduler
from trayconnect.services.batch.script import login_script
from trayconnect.services.batch.slurm import Slurm

_ALL: tuple[Scheduler, ...] = (Slurm(), GridEngine())

SCHEDULERS: Mapping[System, Scheduler] = MappingProxyType({one.system: one for one in _ALL})
"""Where a login node has several, the first is meant: Slurm brings commands of others."""

_FOREIGN = {
    "pbs": "PBS or Torque",
    "lsf": "LSF",
    "htcondor": "HTCondor",
    "oar": "OAR",
    "flux": "Flux",
}


def which() -> str:
    """The script that tells which schedulers a login node has."""
    finders = "".join(f"has_{one.system}() ( {one.find}; is_{one.system}; )\n" for one in _ALL)
    return login_script("which.sh", finders, ":", {"systems": " ".join(SCHEDULERS)})


def systems(output: str) -> frozenset[str] | None:
    """Read its output: the names of all that it found; None if it is not complete."""
    report = reports.sections(output, "which 1")
    if report is None:
        return None
    return frozenset(section.value for section in report if section.key == "has")


def none_found(host: str, found: frozenset[str], wanted: str) -> Problem:
    """`wanted`: the entry's `system`."""
    foreign = [_FOREIGN[name] for name in sorted(found) if name in _FOREIGN]
    others = [one.title for one in _ALL if one.system in found]
    known = " and ".join(one.title for one in _ALL)
    if others:
        title = next((one.title for one in _ALL if one.system == wanted), wanted)
        return Problem(
            f"{host} has no {title}",
            f"It has {', '.join(others)}: change 'system' under 'batch' in the server file.",
        )
    if foreign:
        return Problem(
            f"The scheduler of {host} is {foreign[0]}",
            f"trayconnect knows {known}. Submit a job by hand, and name its node in the server "
            "file ('host' under 'jupyter', without 'batch').",
        )
    return Problem(
        f"{host} has no scheduler for batch jobs",
        f"trayconnect looked for {known} in the usual folders, and in what your login shell "
        "knows. Log in to a login node of the cluster, or make its commands known in ~/.profile.",
    )
