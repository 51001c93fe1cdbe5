"""Real pages of Jupyter in a real browser, on the real way through sshd."""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.chromium import Chromium
from tests.support.devtools import LIMIT, Tab
from tests.support.jupyter import JupyterServer
from tests.support.keys import make_key
from tests.support.sshd import Sshd
from tests.support.whole import Whole, entry
from tests.support.xvfb import XServer, wait_for
from trayconnect.desktop.browser import SystemBrowser
from trayconnect.ports import Page
from trayconnect.session.state import State

pytestmark = pytest.mark.timeout(300)

CUT = 10.0
"""Seconds for which the server is gone."""
COUNT = 100
CODE = f"""\
import time
for number in range({COUNT}):
    print(number)
    time.sleep(0.25)
"""
OUTPUT = "Array.from(document.querySelectorAll('.jp-OutputArea-output'), e => e.innerText).join('')"
DONE = "document.querySelector('.jp-CodeCell .jp-InputPrompt')?.textContent === '[1]:'"
CELL = "document.querySelector('.jp-Notebook .jp-CodeCell .cm-content')"
LAB = "document.querySelector('#jp-main-dock-panel .lm-TabBar-tab') !== null"


def notebook(folder: Path, name: str) -> None:
    cell: dict[str, object] = {
        "cell_type": "code", "id": "count", "execution_count": None, "metadata": {}, "outputs": [],
        "source": CODE,
    }  # fmt: skip
    spec = {"name": "python3", "display_name": "Python 3", "language": "python"}
    text = {"cells": [cell], "metadata": {"kernelspec": spec}, "nbformat": 4, "nbformat_minor": 5}
    (folder / name).write_text(json.dumps(text))


@pytest.fixture(scope="module")
def jupyter() -> Iterator[JupyterServer]:
    with JupyterServer("--ServerApp.jpserver_extensions=notebook=True") as server:
        yield server


@contextlib.contextmanager
def sshd_to(jupyter: JupyterServer, key: Path) -> Iterator[Sshd]:
    """An sshd whose sessions find that Jupyter."""
    with Sshd(options={"SetEnv": f"JUPYTER_RUNTIME_DIR={jupyter.runtime_dir}"}) as server:
        server.authorize(key)
        yield server


@pytest.fixture
def key(tmp_path: Path) -> Path:
    return make_key(tmp_path)


class Desk:
    """A browser as a user has one: what it is told to open, it opens in a tab."""

    def __init__(self, folder: Path) -> None:
        self.chromium = Chromium(folder)
        runtime = folder / "runtime"
        runtime.mkdir(mode=0o700)
        environ = {"BROWSER": str(self.chromium.command), "XDG_RUNTIME_DIR": str(runtime)}
        self._browser = SystemBrowser(environ)

    def open(self, page: Page) -> Tab:
        """The tab, where the page has got rid of the token."""
        self._browser.open(page)
        return Tab(self.chromium, page.url)

    def close(self) -> None:
        self.chromium.close()
        self._browser.close()


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Desk]:
    with XServer() as screen:
        monkeypatch.setenv("DISPLAY", screen.display)
        desk = Desk(tmp_path)
        try:
            yield desk
        finally:
            desk.close()


def page(whole: Whole, name: str = "GPU box") -> Page:
    whole.connect(name)
    now = whole.until_ready(name)
    assert now.page is not None
    assert now.page.token
    return now.page


def has_kernel(jupyter: JupyterServer, name: str) -> bool:
    """Whether a page has opened the notebook, and its kernel is ready."""
    sessions: Any = jupyter.request("api/sessions")
    return any(
        session["path"] == name
        and session["kernel"]["connections"]
        and session["kernel"]["execution_state"] == "idle"
        for session in sessions
    )


def begin_to_count(tab: Tab, jupyter: JupyterServer, name: str) -> None:
    tab.show()
    wait_for(lambda: has_kernel(jupyter, name), f"the kernel of {name}", LIMIT)
    tab.until(f"{CELL} !== null")
    tab.evaluate(f"{CELL}.focus()")
    tab.shift_enter()
    tab.until(f"({OUTPUT}).includes('3')")
    tab.evaluate("window.tcSame = true")


def test_a_cut_of_ten_seconds_loses_no_output_in_lab_and_notebook(
    jupyter: JupyterServer, key: Path, desk: Desk
) -> None:
    for name in ("lab.ipynb", "classic.ipynb"):
        notebook(jupyter.notebooks, name)
    everything = "".join(f"{number}\n" for number in range(COUNT)).strip()
    with sshd_to(jupyter, key) as sshd, contextlib.ExitStack() as tabs:
        known = sshd.known_hosts_lines()
        server = entry(sshd, key, jupyter={"path": "/lab/tree/lab.ipynb"})
        whole = tabs.enter_context(Whole(server, known_hosts=known))
        lab_page = page(whole)
        classic_page = Page(
            lab_page.url.replace("/lab/tree/lab", "/notebooks/classic"), lab_page.token
        )
        lab = tabs.enter_context(desk.open(lab_page))
        classic = tabs.enter_context(desk.open(classic_page))
        begin_to_count(lab, jupyter, "lab.ipynb")
        begin_to_count(classic, jupyter, "classic.ipynb")
        sshd.stop()
        begin = time.monotonic()
        whole.until(lambda s: s.state is State.WAITING)
        for tab in (lab, classic):
            assert not tab.evaluate(DONE)
        wait_for(lambda: time.monotonic() > begin + CUT, "the end of the cut")
        sshd.start()
        whole.until_ready()
        for tab in (lab, classic):
            tab.show()
            tab.until(f"({OUTPUT}).includes('{COUNT - 1}') && {DONE}", 90)
            assert tab.evaluate(OUTPUT).strip() == everything
            assert tab.evaluate("window.tcSame")  # nobody loaded it again


def test_two_servers_stay_logged_in_and_old_tabs_survive_a_restart(
    jupyter: JupyterServer, key: Path, desk: Desk
) -> None:
    with (
        JupyterServer() as other,
        sshd_to(jupyter, key) as one,
        sshd_to(other, key) as two,
        contextlib.ExitStack() as tabs,
    ):
        servers = entry(one, key), entry(two, key, "Lab")
        known = [*one.known_hosts_lines(), *two.known_hosts_lines()]
        with Whole(*servers, known_hosts=known) as whole:
            pages = [page(whole, server.name) for server in servers]
            opened = [tabs.enter_context(desk.open(each)) for each in pages]
            for tab in opened:
                tab.show()
                tab.until(LAB)
            for tab in opened:  # after both have set their cookies
                tab.show()
                tab.reload()
                tab.until(LAB)
                assert "token" not in tab.evaluate("location.href")
        with Whole(*servers, known_hosts=known) as again:
            for server in servers:
                page(again, server.name)
            for tab in opened:
                tab.show()
                tab.reload()
                tab.until(LAB)
            # Pasted into a new tab, without a token.
            opened[0].call("Page.navigate", url="about:blank")
            pasted = tabs.enter_context(desk.open(Page(pages[0].url)))
            pasted.until(LAB)
