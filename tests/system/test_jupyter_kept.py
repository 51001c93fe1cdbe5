"""An open browser tab keeps its Jupyter: over links, edits and orders, beside a newer Jupyter that
accepts its cookie."""

from __future__ import annotations

import contextlib
import http.cookiejar
import json
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.forwarding import no_leaks
from tests.support.jupyter import JupyterServer
from tests.support.keys import make_key
from tests.support.ports import free_port
from tests.support.scoped import Scoped
from tests.support.sshd import Sshd
from tests.support.waiting import wait_for
from tests.support.whole import LIMIT, Whole, entry
from trayconnect.config.model import Config, Server
from trayconnect.core.command import Command
from trayconnect.core.page import Page
from trayconnect.sessions.snapshot import Snapshot
from trayconnect.sessions.state import State

FILE = "thesis.txt"


class TwoJupyters(Scoped):
    """In two folders of one account, with one cookie secret; noted in one runtime folder."""

    def __init__(self, folder: Path) -> None:
        self.runtime = folder / "runtime"
        self.runtime.mkdir(mode=0o700)
        secret = folder / "secret"
        secret.write_bytes(b"sixty-four bytes of a secret that both servers of one account share")
        secret.chmod(0o600)
        option = f"--ServerApp.cookie_secret_file={secret}"
        self.third, self.fourth = JupyterServer(option), JupyterServer(option)

    def __enter__(self) -> TwoJupyters:
        self.begin(self.third)
        return self

    def begin(self, one: JupyterServer) -> None:
        """It is the newest from now on."""
        one.start()
        (self.runtime / one.runtime_file.name).write_bytes(one.runtime_file.read_bytes())

    def close(self) -> None:
        for one in (self.third, self.fourth):
            one.close()


class Tab:
    """A tab of JupyterLab, which logged in as the browser does, and has only its cookies since."""

    def __init__(self, page: Page) -> None:
        self._cookies = http.cookiejar.CookieJar()
        self._opener = urllib.request.build_opener(
            urllib.request.HTTPCookieProcessor(self._cookies)
        )
        self._base = page.url.removesuffix("/lab")
        self._opener.open(f"{page.url}?token={page.token}", timeout=LIMIT).close()

    def save(self, text: str) -> int:
        """The status of the answer; 0 if there is none."""
        (xsrf,) = (one.value for one in self._cookies if one.name == "_xsrf")
        request = urllib.request.Request(
            f"{self._base}/api/contents/{FILE}",
            method="PUT",
            data=json.dumps({"type": "file", "format": "text", "content": text}).encode(),
            headers={"X-XSRFToken": xsrf or ""},
        )
        try:
            with self._opener.open(request, timeout=LIMIT) as answer:
                status: int = answer.status
                return status
        except urllib.error.HTTPError as error:
            error.close()
            return error.code
        except OSError:
            return 0

    def save_until_it_is_there(self, text: str, folder: Path) -> None:
        wait_for(lambda: self.save(text) in (200, 201), "a save", LIMIT)
        assert (folder / FILE).read_text() == text


@pytest.fixture
def two(tmp_path: Path) -> Iterator[TwoJupyters]:
    with TwoJupyters(tmp_path) as jupyters:
        yield jupyters


@contextlib.contextmanager
def opened(two: TwoJupyters, tmp_path: Path) -> Iterator[tuple[Whole, Server, Sshd, Tab]]:
    """Connected, with a tab of the third."""
    with Sshd(options={"SetEnv": f"JUPYTER_RUNTIME_DIR={two.runtime}"}) as sshd:
        key = make_key(tmp_path)
        sshd.authorize(key)
        server = entry(sshd, key, hold_seconds=LIMIT)  # on a busy machine
        with no_leaks(), Whole(server, known_hosts=sshd.known_hosts_lines()) as whole:
            whole.connect()
            page = whole.until_ready().page
            assert page is not None
            tab = Tab(page)
            tab.save_until_it_is_there("first", two.third.notebooks)
            yield whole, server, sshd, tab


def until_in_use(whole: Whole, jupyter: JupyterServer, attempt: int = 0) -> Snapshot:
    """Ready, over that attempt to connect or a later one."""

    def done(snapshot: Snapshot) -> bool:
        if not snapshot.is_ready or snapshot.attempt < attempt:
            return False
        found: Any = snapshot.service.json["jupyters"]
        return [one["where"] for one in found if one["in_use"]] == [str(jupyter.port)]

    return whole.until(done)


def test_it_is_kept_over_a_lost_link_an_edit_and_the_users_orders(
    two: TwoJupyters, tmp_path: Path
) -> None:
    with opened(two, tmp_path) as (whole, server, sshd, tab):
        two.begin(two.fourth)
        first = until_in_use(whole, two.third)
        sshd.kill_sessions()
        tab.save_until_it_is_there("after a lost link", two.third.notebooks)
        second = until_in_use(whole, two.third, first.attempt + 1)
        forward = {"name": "TensorBoard", "local_port": free_port(), "port": 6006}
        edited = Server.model_validate(server.model_dump() | {"forwards": [forward]})
        whole.manager.apply(Config(servers=(edited,)))
        third = until_in_use(whole, two.third, second.attempt + 1)
        tab.save_until_it_is_there("after an edit", two.third.notebooks)
        whole.off()
        whole.connect()
        fourth = until_in_use(whole, two.third, third.attempt + 1)
        tab.save_until_it_is_there("after a disconnect", two.third.notebooks)
        whole.manager.do(Command("reconnect", "GPU box"))
        until_in_use(whole, two.third, fourth.attempt + 1)
        assert not (two.fourth.notebooks / FILE).exists()
        assert not any("now leads" in one.title for one in whole.notices)


def test_another_folder_is_not_saved_to_until_the_user_agrees(
    two: TwoJupyters, tmp_path: Path
) -> None:
    with opened(two, tmp_path) as (whole, _, _, tab):
        folders = two.third.notebooks, two.fourth.notebooks
        two.begin(two.fourth)
        two.third.stop()
        tab.save("lost")  # whose failure leads to a check
        problem = f"The Jupyter in {folders[0]} is gone; another runs in {folders[1]}"

        def is_told(snapshot: Snapshot) -> bool:
            return snapshot.page_problem is not None and snapshot.page_problem.title == problem

        whole.until(is_told)
        assert tab.save("kept out") == 503
        lost = "GPU box no longer answers"
        wait_for(lambda: any(one.title == lost for one in whole.notices), "a notice", LIMIT)
        # The same folder and port is what the tab expects.
        two.begin(two.third)
        until_in_use(whole, two.third)
        tab.save_until_it_is_there("it is back", folders[0])
        two.third.stop()
        tab.save("lost again")
        whole.until(is_told)
        assert not (folders[1] / FILE).exists()
        whole.connect()
        until_in_use(whole, two.fourth)
        notice = next(one for one in whole.notices if "now leads to" in one.title)
        assert notice.title == f"GPU box now leads to the Jupyter in {folders[1]}"
        assert f"Close the browser tabs of {folders[0]}" in notice.body
        wait_for(lambda: whole.pages[-1].token == two.fourth.token, "its page", LIMIT)


def test_its_port_is_taken_by_another_folder_while_there_is_no_link(
    two: TwoJupyters, tmp_path: Path
) -> None:
    with opened(two, tmp_path) as (whole, _, sshd, tab):
        sshd.stop()
        whole.until_state(State.WAITING)
        two.third.stop()
        two.fourth.port = two.third.port
        two.begin(two.fourth)
        answers: list[int] = []
        tabs = [
            threading.Thread(target=lambda: answers.append(tab.save("lost")), name=f"tab {n}")
            for n in range(5)
        ]
        for each in tabs:  # which wait for the next link
            each.start()
        sshd.start()
        whole.manager.network_changed()
        for each in tabs:
            each.join(LIMIT)
        assert answers == [503] * 5
        assert not (two.fourth.notebooks / FILE).exists()
