"""What a click does when what it sets going fails."""

from __future__ import annotations

from pathlib import Path

import pytest

from trayconnect.config.model import Config
from trayconnect.desktop.autostart import autostart
from trayconnect.desktop.clock import SystemClock
from trayconnect.desktop.text_view import TextViews
from trayconnect.errors import Problem, ProblemError
from trayconnect.forward.forwarding import listen
from trayconnect.jupyter.direct import DirectConnector
from trayconnect.jupyter.examine import Examiner
from trayconnect.jupyter.launch import Launcher
from trayconnect.jupyter.pages import look_at_pages
from trayconnect.jupyter_orders import JupyterOrders
from trayconnect.jupyter_stops import JupyterStops
from trayconnect.menu_actions import MenuActions
from trayconnect.orders import Orders
from trayconnect.ports import BriefChoices, NoBrowser, NoNotifier, NoPrompter, Notice
from trayconnect.server_file import ServerFile
from trayconnect.session.manager import Manager
from trayconnect.session.runner import Peers
from trayconnect.tray.view import Action, Verb

ASLEEP = Problem("The panel is asleep", "Wake it")


class Notices(NoNotifier):
    def __init__(self) -> None:
        self.titles: list[str] = []

    def notify(self, notice: Notice) -> None:
        self.titles.append(notice.title)


def actions(notices: Notices, error: Exception) -> MenuActions:
    """The status window fails."""

    def show_status() -> None:
        raise error

    examine = Examiner()
    peers = Peers(
        connector=lambda _: DirectConnector(),
        listen=listen,
        examine=examine,
        launch=Launcher(examine.search_anew),
        look_at_pages=look_at_pages,
        prompter=NoPrompter(),
        notifier=notices,
        browser=NoBrowser(),
    )
    orders = Orders(Manager(peers, SystemClock()), NoBrowser(), print, Config, BriefChoices())
    return MenuActions(
        orders,
        JupyterStops(JupyterOrders(orders), NoPrompter(), notices),
        ServerFile(Path("/nowhere/servers.yaml")),
        autostart(),
        NoPrompter(),
        notices,
        TextViews(),
        refresh=lambda: None,
        show_status=show_status,
        quit=lambda: None,
    )


@pytest.mark.parametrize(
    ("error", "title"),
    [
        (ProblemError(ASLEEP), ASLEEP.title),
        (RuntimeError("can't start new thread"), "Something unforeseen went wrong"),
    ],
)
def test_whatever_fails_is_told_and_not_raised(error: Exception, title: str) -> None:
    notices = Notices()
    actions(notices, error)(Action(Verb.SHOW_STATUS))
    assert notices.titles == [title]
