"""Where the files are that are read."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

from platformdirs import user_config_dir

from trayconnect.processes import path_for_others

VARIABLE = "TRAYCONNECT_CONFIG"
SSH_VARIABLE = "TRAYCONNECT_SSH_CONFIG"


def config_file(option: Path | None = None) -> Path:
    """The absolute path of the file, whether or not there is one: `option` (`--config`), else the
    variable TRAYCONNECT_CONFIG, else `servers.yaml` in the user's configuration folder, where an
    editor finds it."""
    named = option or os.environ.get(VARIABLE)
    if named:
        path = Path(named)
        with suppress(RuntimeError):  # "~nobody/x" is then a name like any other
            path = path.expanduser()
        return path.absolute()
    return path_for_others(Path(user_config_dir("trayconnect", appauthor=False)) / "servers.yaml")


def ssh_config_file(option: Path | None = None) -> Path | None:
    """The file to read in place of OpenSSH's usual ones, as after `ssh -F`: `option`, else the
    variable TRAYCONNECT_SSH_CONFIG; None for the usual ones, `none` for no file at all."""
    named = option or os.environ.get(SSH_VARIABLE)
    if not named:
        return None
    path = Path(named)
    return path if str(path) == "none" else path.absolute()
