"""What each command checks of the program's own folders."""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from pathlib import Path

from trayconnect.core.privacy import close_to_others, own_folders


def check_folders() -> None:
    """Close the program's folders to other users, and say so if one was open; remove what an
    earlier run left there."""
    from trayconnect.desktop.redirect_page import remove_leftovers

    for folder in close_to_others(own_folders()):
        print(f"Other users could write to {folder}.", file=sys.stderr)
        print("  trayconnect has fixed that. Check that its content is yours.", file=sys.stderr)
    with suppress(RuntimeError):  # the system knows no home folder of this user
        remove_leftovers(os.environ, Path.home())
