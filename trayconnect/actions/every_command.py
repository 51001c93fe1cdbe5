"""Every command of the program, from its families."""

from __future__ import annotations

from collections.abc import Callable

from trayconnect.actions.dispatcher import Dispatcher
from trayconnect.actions.jupyter_commands import JupyterCommands
from trayconnect.actions.jupyter_stop import JupyterStops
from trayconnect.actions.program_commands import ProgramCommands
from trayconnect.actions.server_commands import ServerCommands
from trayconnect.config.server_file import ServerFile
from trayconnect.core.notices import Notifier
from trayconnect.core.questions import Prompter
from trayconnect.desktop.autostart.entry import Autostart
from trayconnect.desktop.windows.text_view import TextViews
from trayconnect.tray.display import Display


def make_dispatcher(
    servers: ServerCommands,
    file: ServerFile,
    autostart: Autostart,
    prompter: Prompter,
    notifier: Notifier,
    views: TextViews,
    display: Display,
    *,
    reload: Callable[[], None],
    quit: Callable[[], None],  # noqa: A002 - the command's name
) -> Dispatcher:
    """`reload` reads the server file; the dispatcher is to be closed."""
    jupyter = JupyterCommands(servers)
    stops = JupyterStops(jupyter, prompter, notifier)
    program = ProgramCommands(
        servers, stops, file, autostart, prompter, notifier, views, display, reload, quit
    )
    families = (servers, jupyter, stops, program)
    return Dispatcher(notifier, *(family.handlers for family in families), close=stops.close)
