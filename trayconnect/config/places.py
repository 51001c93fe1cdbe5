"""Where the file of servers is."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

from platformdirs import user_config_dir

VARIABLE = "TRAYCONNECT_CONFIG"


def config_file(option: Path | None = None) -> Path:
    """The absolute path of the file, whether or not there is one: `option` (`--config`), else the
    variable TRAYCONNECT_CONFIG, else `servers.yaml` in the user's configuration folder."""
    named = option or os.environ.get(VARIABLE)
    if named:
        path = Path(named)
        with suppress(RuntimeError):  # "~nobody/x" is then a name like any other
            path = path.expanduser()
        return path.absolute()
    return Path(user_config_dir("trayconnect", appauthor=False)) / "servers.yaml"
