"""What a click does when what it sets going fails."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.nulls import NoNotifier, NoPrompter
from tests.unit.test_orders import Desk
from tests.unit.test_session_manager import Run, World
from trayconnect.actions.jupyter_commands import JupyterOrders
from trayconnect.actions.jupyter_stop import JupyterStops
from trayconnect.actions.menu_actions import MenuActions
from trayconnect.config.server_file import ServerFile
from trayconnect.core.errors import Problem, ProblemError
from trayconnect.core.notices import Notice
from trayconnect.desktop.autostart.entry import autostart
from trayconnect.desktop.windows.text_view import TextViews
from trayconnect.tray.view import Action, Verb

ASLEEP = Problem("The panel is asleep", "Wake it")


class Notices(NoNotifier):
    def __init__(self) -> None:
        self.titles: list[str] = []

    def notify(self, notice: Notice) -> None:
        self.titles.append(notice.title)


@pytest.mark.parametrize(
    ("error", "title"),
    [
        (ProblemError(ASLEEP), ASLEEP.title),
        (RuntimeError("no such luck"), "Something unforeseen went wrong"),
    ],
)
def test_whatever_fails_is_told_and_not_raised(error: Exception, title: str) -> None:
    def show_status() -> None:
        raise error

    desk, notices = Desk(Run(World())), Notices()
    act = MenuActions(
        desk.orders,
        JupyterStops(JupyterOrders(desk.orders), NoPrompter(), notices),
        ServerFile(Path("/nowhere/servers.yaml")),
        autostart(),
        NoPrompter(),
        notices,
        TextViews(),
        refresh=lambda: None,
        show_status=show_status,
        quit=lambda: None,
    )
    act(Action(Verb.SHOW_STATUS))
    assert notices.titles == [title]
    assert desk.run.manager.close()
