"""The paths of the configuration files."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

from platformdirs import user_config_dir

from trayconnect.core.subprocesses import path_for_others

VARIABLE = "TRAYCONNECT_CONFIG"
SSH_VARIABLE = "TRAYCONNECT_SSH_CONFIG"


def config_file(option: Path | None = None) -> Path:
    """The absolute path of the server file, whether or not it exists: `option` (`--config`), else
    the variable TRAYCONNECT_CONFIG, else `servers.yaml` in the user's configuration folder."""
    named = option or os.environ.get(VARIABLE)
    if named:
        path = Path(named)
        with suppress(RuntimeError):  # an unknown user: "~nobody/x" is then a plain name
            path = path.expanduser()
        return path.absolute()
    return path_for_others(Path(user_config_dir("trayconnect", appauthor=False)) / "servers.yaml")


def ssh_config_file(option: Path | None = None) -> Path | None:
    """The file instead of OpenSSH's default ones, as after `ssh -F`: `option`, else the variable
    TRAYCONNECT_SSH_CONFIG; None for the default files, `none` for no file."""
    named = option or os.environ.get(SSH_VARIABLE)
    if not named:
        return None
    path = Path(named)
    return path if str(path) == "none" else path.absolute()
