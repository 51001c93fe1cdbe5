"""One tab of a Chromium, driven through the DevTools protocol
(https://chromedevtools.github.io/devtools-protocol/)."""

from __future__ import annotations

import base64
import itertools
import json
import time
from pathlib import Path
from typing import Any

import websocket

from tests.support.chromium import Chromium
from tests.support.scoped import Scoped
from tests.support.waiting import wait_for

LIMIT = 120.0
"""Seconds for what a page does; a busy machine takes its time."""
_ANOTHER_PAGE = ("Inspected target navigated or closed", "Execution context was destroyed.")
_SHIFT = 8
_RETURN = 13


class Tab(Scoped):
    """The tab whose address begins with `url`, as soon as there is one."""

    def __init__(self, chromium: Chromium, url: str) -> None:
        def find() -> str:
            urls = [t["webSocketDebuggerUrl"] for t in chromium.tabs() if t["url"].startswith(url)]
            return urls[0] if urls else ""

        self._socket = websocket.create_connection(
            wait_for(find, f"a tab at {url}", LIMIT), timeout=LIMIT
        )
        self._numbers = itertools.count(1)

    def close(self) -> None:
        self._socket.close()

    def show(self) -> None:
        """Bring it before the other tabs, whose pages draw nothing."""
        self.call("Page.bringToFront")

    def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        """A command of the protocol, and its result."""
        answer = self._answer(method, parameters)
        assert "error" not in answer, answer
        result: dict[str, Any] = answer["result"]
        return result

    def _answer(self, method: str, parameters: dict[str, Any]) -> dict[str, Any]:
        number = next(self._numbers)
        message = {"id": number, "method": method, "params": parameters}
        self._socket.send(json.dumps(message))
        while True:
            answer: dict[str, Any] = json.loads(self._socket.recv())
            if answer.get("id") == number:
                return answer

    def evaluate(self, expression: str) -> Any:  # noqa: ANN401
        """A value of the page's JavaScript; None while it has none, or while another page loads."""
        parameters = {"expression": expression, "returnByValue": True}
        answer = self._answer("Runtime.evaluate", parameters)
        if answer.get("error", {}).get("message") in _ANOTHER_PAGE:
            return None
        assert "error" not in answer, answer
        return answer["result"]["result"].get("value")

    def until(self, expression: str, limit: float = LIMIT) -> Any:  # noqa: ANN401
        """Wait for a true value; it is told, with the page's text, if none comes."""
        deadline = time.monotonic() + limit
        while not (value := self.evaluate(expression)):
            if time.monotonic() > deadline:
                text = self.evaluate("location.href + '\\n' + document.body.innerText")
                raise AssertionError(f"waited {limit:g} s in vain for {expression} on {text}")
            time.sleep(0.1)
        return value

    def shift_enter(self) -> None:
        """Press these two keys."""
        key = {
            "key": "Enter", "code": "Enter", "modifiers": _SHIFT, "windowsVirtualKeyCode": _RETURN,
        }  # fmt: skip
        self.call("Input.dispatchKeyEvent", type="rawKeyDown", **key)
        self.call("Input.dispatchKeyEvent", type="keyUp", **key)

    def reload(self) -> None:
        """Load the page again, and wait until that has begun."""
        self.evaluate("window.tcBefore = true")
        self.call("Page.reload")
        self.until("window.tcBefore !== true && document.readyState === 'complete'")

    def screenshot(self, path: Path) -> None:
        answer = self.call("Page.captureScreenshot", format="png")
        path.write_bytes(base64.b64decode(answer["data"]))
