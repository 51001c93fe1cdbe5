"""From nothing to a login: the window asks for a key, it is pasted from the clipboard, and kept."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.support.keys import make_key
from tests.support.sshd import Sshd
from tests.support.tunnel_kit import Kit, entry
from tests.support.waiting import wait_for
from tests.support.xvfb import XServer
from trayconnect.core.cancellation import CancelToken
from trayconnect.core.errors import Cancelled
from trayconnect.core.questions import Answer, Question
from trayconnect.desktop.clipboard import Clipboard
from trayconnect.desktop.prompts.prompter import ChainPrompter
from trayconnect.desktop.prompts.window_prompter import WindowPrompter

LIMIT = 120.0


class Window:
    """Asks in our own window, as the app does."""

    def __init__(self) -> None:
        way = WindowPrompter(None, limit=LIMIT, guard=0.0, show_limit=LIMIT)
        self._prompter = ChainPrompter(lambda: [way])

    def __call__(self, question: Question) -> Answer:
        answer = self._prompter.ask(question, CancelToken())
        if answer is None:
            raise Cancelled
        return answer


def test_a_key_is_pasted_into_the_window(screen: XServer, tmp_path: Path) -> None:
    key = make_key(tmp_path, passphrase="open sesame")
    text = key.read_text()
    clipboard = Clipboard({"DISPLAY": screen.display}, which=lambda _: None)
    with Sshd() as sshd, ThreadPoolExecutor(1) as pool:
        sshd.authorize(key)
        clipboard.copy(text)
        kit = Kit(tmp_path)
        kit.trust(sshd.known_hosts_lines())

        def connect() -> bool:
            tunnel = kit.connector.connect(
                entry(sshd.port), ask=Window(), cancel=CancelToken(), on_lost=lambda _: None
            )
            typed = tunnel.typed_login
            tunnel.close()
            return typed

        connected = pool.submit(connect)
        title = "GPU box: private key \N{EN DASH} trayconnect"
        screen.wait_focus(screen.wait_window(title, LIMIT), LIMIT)
        screen.key("v", "Control_L")

        def is_taken() -> bool:
            """What was pasted may still be under way, and then nothing answers."""
            screen.key("Return", "Control_L")
            return screen.find_window(title) is None

        wait_for(is_taken, "the key to be taken", LIMIT)
        title = "GPU box: passphrase \N{EN DASH} trayconnect"
        screen.wait_focus(screen.wait_window(title, LIMIT), LIMIT)
        screen.type("open sesame")
        screen.key("Return")
        assert connected.result(LIMIT) is False
        clipboard.close()
    (kept,) = (tmp_path / "keys").iterdir()
    assert kept.read_text() == text
