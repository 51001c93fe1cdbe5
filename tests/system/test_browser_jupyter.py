"""Real pages of Jupyter in a real browser, on the real way through sshd."""

from __future__ import annotations

import contextlib
import json
import os
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests.support.chromium import Chromium
from tests.support.devtools import LIMIT, Tab
from tests.support.jupyter import JupyterServer
from tests.support.jupyter_peers import Peer, web
from tests.support.keys import make_key
from tests.support.ports import free_port
from tests.support.sshd import Sshd
from tests.support.waiting import wait_for
from tests.support.whole import Whole, entry
from tests.support.xvfb import XServer
from trayconnect.core.page import Page
from trayconnect.desktop.default_programs import SystemBrowser
from trayconnect.sessions.state import State

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


def in_lab(name: str) -> str:
    """Its page in a workspace of its own: Lab opens again what another test left open."""
    return f"/lab/workspaces/{name.removesuffix('.ipynb')}/tree/{name}"


@pytest.fixture(scope="module")
def other() -> Iterator[JupyterServer]:
    with JupyterServer() as server:
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


@pytest.mark.long
def test_a_cut_of_ten_seconds_loses_no_output_in_lab_and_notebook(
    jupyter: JupyterServer, key: Path, desk: Desk
) -> None:
    for name in ("lab.ipynb", "classic.ipynb"):
        notebook(jupyter.notebooks, name)
    everything = "".join(f"{number}\n" for number in range(COUNT)).strip()
    with sshd_to(jupyter, key) as sshd, contextlib.ExitStack() as tabs:
        known = sshd.known_hosts_lines()
        server = entry(sshd, key, jupyter={"path": in_lab("lab.ipynb")})
        whole = tabs.enter_context(Whole(server, known_hosts=known))
        lab_page = page(whole)
        classic_page = Page(
            lab_page.url.replace(in_lab("lab.ipynb"), "/notebooks/classic.ipynb"), lab_page.token
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
            tab.until(f"({OUTPUT}).includes('{COUNT - 1}') && {DONE}", 240)
            assert tab.evaluate(OUTPUT).strip() == everything
            assert tab.evaluate("window.tcSame")  # nobody loaded it again


TERMINAL_AND_UPLOAD = """
(async () => {
  const xsrf = document.cookie.match(/_xsrf=([^;]+)/)[1];
  const headers = {"X-XSRFToken": xsrf, "Content-Type": "application/json"};
  const made = await (await fetch("/api/terminals", {method: "POST", headers})).json();
  const socket = new WebSocket(`ws://${location.host}/terminals/websocket/${made.name}`);
  window.tcShown = "";
  socket.onmessage = message => {
    const [kind, text] = JSON.parse(message.data);
    if (kind === "setup") socket.send(JSON.stringify(["stdin", "echo $((6 * 7))jar\\r"]));
    if (kind === "stdout") window.tcShown += text;
  };
  const body = {type: "file", format: "base64", content: btoa("x".repeat(3000000))};
  const put = {method: "PUT", headers, body: JSON.stringify(body)};
  window.tcUploaded = (await fetch("/api/contents/upload.bin", put)).ok;
})()
"""
LARGE_COOKIES = "for (let n = 0; n < 60; n++) document.cookie = `large${n}=${'x'.repeat(4000)}`"


def test_no_page_receives_the_cookies_of_another(
    jupyter: JupyterServer, other: JupyterServer, key: Path, desk: Desk
) -> None:
    received: list[str] = []

    def tool(_path: str, headers: Mapping[str, str]) -> tuple[int, str]:
        received.append(headers.get("cookie", ""))
        return 200, "<title>tool</title>"

    notebook(jupyter.notebooks, "jar.ipynb")
    with (
        Peer(web(tool)) as peer,
        sshd_to(jupyter, key) as one,
        sshd_to(other, key) as two,
        contextlib.ExitStack() as tabs,
    ):
        plain = {"name": "tool", "port": peer.port, "open": True}
        forwards = [
            plain | {"local_port": free_port()},
            plain | {"local_port": free_port(), "name": "choosy", "open_as": "localhost"},
        ]
        path = {"path": in_lab("jar.ipynb")}
        servers = entry(one, key, forwards=forwards, jupyter=path), entry(two, key, "Lab")
        known = [*one.known_hosts_lines(), *two.known_hosts_lines()]
        whole = tabs.enter_context(Whole(*servers, known_hosts=known))
        labs = [page(whole, server.name) for server in servers]
        up = whole.until(lambda now: all(forward.is_up for forward in now.forwards))
        tools = [Page(forward.url) for forward in up.forwards if forward.url]
        hosts = [urlsplit(each.url).hostname for each in (*labs, *tools)]
        assert len(set(hosts)) == 4
        assert hosts[3] == "localhost"

        lab_tabs = [tabs.enter_context(desk.open(each)) for each in labs]
        tool_tabs = [tabs.enter_context(desk.open(each)) for each in tools]
        for tab in tool_tabs:
            tab.show()
            tab.until("document.title === 'tool'")
            tab.evaluate(LARGE_COOKIES)
            tab.until("document.cookie.length > 200000")
        lab_tabs[0].show()
        # Loaded again before, its kernel may be counted as one without connections from then on.
        wait_for(lambda: has_kernel(jupyter, "jar.ipynb"), "the kernel of jar.ipynb", LIMIT)
        for tab in lab_tabs:
            tab.show()
            tab.until(LAB)
            tab.reload()  # after the others have set theirs
            tab.until(LAB)
        for tab in tool_tabs:  # after those of the Jupyters are there
            tab.evaluate("fetch('/')")
        wait_for(lambda: sum(each.count("large59=") for each in received) == 2, "the tools")
        assert not [each for each in received if "username-" in each or "_xsrf" in each]
        for tab, host in zip((*lab_tabs, *tool_tabs), hosts, strict=True):
            cookies = tab.call("Network.getCookies")["cookies"]
            assert {cookie["domain"] for cookie in cookies} == {host}
            names = {cookie["name"].partition("-")[0] for cookie in cookies}
            assert ("username" in names) is (tab in lab_tabs)

        begin_to_count(lab_tabs[0], jupyter, "jar.ipynb")
        lab_tabs[1].evaluate(TERMINAL_AND_UPLOAD)
        lab_tabs[1].until("window.tcUploaded && window.tcShown.includes('42jar')")
        assert (other.notebooks / "upload.bin").stat().st_size == 3_000_000


def test_two_servers_stay_logged_in_and_old_tabs_survive_a_restart(
    jupyter: JupyterServer, other: JupyterServer, key: Path, desk: Desk
) -> None:
    with (
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


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="another user")
def test_an_open_tab_sends_nothing_to_who_takes_the_port(key: Path, desk: Desk) -> None:
    """It goes on asking, with its cookies and its token, whoever listens."""
    from tests.support.strangers import Listener, person

    with JupyterServer() as mine, sshd_to(mine, key) as sshd, person() as eve:
        # Those of other tests run, too, elsewhere.
        server = entry(sshd, key, start={"folder": str(mine.notebooks), "when": "menu"})
        with (
            Whole(server, known_hosts=sshd.known_hosts_lines()) as whole,
            desk.open(page(whole)) as tab,
        ):
            tab.show()
            tab.until(LAB)
            with (
                Listener(eve, f"127.0.0.1:{mine.port}", grab=True) as there,
                Listener(eve, "127.0.0.1:8888", grab=True) as usual,
            ):
                mine.stop()
                tab.until(
                    "(fetch('/api/status').then(r => { window.tcSaid = r.status }),"
                    " window.tcSaid === 503)"
                )
                tab.reload()
                tab.until("document.body.innerText.includes('No Jupyter of yours runs')")
                assert there.end() == b""
                assert (usual.end(), usual.connections) == (b"", 0)
            mine.start()
            # By itself: nobody loads the page, or says to look.
            tab.until(LAB)
            whole.until_ready()
