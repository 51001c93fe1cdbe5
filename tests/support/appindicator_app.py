"""A tray over libappindicator, for the Python that has PyGObject: prints what is clicked. A line
on stdin shows a shorter menu and another icon; Quit ends it."""

from __future__ import annotations

import sys
import threading

from tests.support.tray_lines import ITEMS, VIEW
from trayconnect.tray.backends.linux import LinuxTray
from trayconnect.tray.view import Action, IconState, Verb, View


def main() -> None:
    def act(action: Action) -> None:
        sys.stdout.write(f"{action.verb.value} {action.server}\n")
        sys.stdout.flush()
        if action.verb is Verb.QUIT:
            report = tray.report()
            sys.stdout.write(f"{report.way.value} {report.host} {report.shown}\n")
            tray.stop()

    def follow() -> None:
        for _ in sys.stdin:
            tray.show(View(IconState.OFF, "off", ITEMS[3:]))

    tray = LinuxTray("trayconnect", act, print, None, screen=True, fallback_patience=0.1)  # type: ignore[arg-type]
    tray.show(VIEW)
    threading.Thread(target=follow, daemon=True).start()
    tray.run()


if __name__ == "__main__":
    main()
