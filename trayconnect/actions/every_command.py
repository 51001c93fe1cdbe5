"""Makes the dispatcher with all commands of the program."""

from __future__ import annotations

from collections.abc import Callable

from trayconnect.actions.dispatcher import Dispatcher
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
    """`reload` reads the server file."""
    program = ProgramCommands(
        servers, file, autostart, prompter, notifier, views, display, reload, quit
    )
    return Dispatcher(notifier, servers.handlers, program.handlers)
