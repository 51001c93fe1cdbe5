"""Pages in real browsers, and tokens on no command line."""

from __future__ import annotations

import http.server
import os
import queue
import subprocess
import threading
from collections.abc import Iterator
from email.message import Message
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

from tests.support.chromium import Chromium
from tests.support.waiting import wait_for
from tests.support.xvfb import XServer
from trayconnect.core.errors import Problem, ProblemError
from trayconnect.core.page import Page
from trayconnect.desktop import programs
from trayconnect.desktop.default_programs import (
    BROWSER_FAILED,
    EDITOR_FAILED,
    SystemBrowser,
    open_in_editor,
)

LIMIT = 120.0
TOKEN = "s3cret/+&=%"


class Site:
    """A page on loopback, which remembers who asked for it."""

    def __init__(self) -> None:
        site = self
        self._asked = threading.Condition()
        self.requests: list[tuple[str, Message]] = []

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                with site._asked:
                    site.requests.append((self.path, self.headers))
                    site._asked.notify_all()
                self.send_response(200)
                self.end_headers()
                self.wfile.write(b"<title>Jupyter</title>")

            def log_message(self, *_: object) -> None:
                pass

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}/lab?a=1"
        self._thread = threading.Thread(target=self._server.serve_forever, args=[0.05])
        self._thread.start()

    def wait_asked(self) -> tuple[str, Message]:
        with self._asked:
            assert self._asked.wait_for(lambda: self.requests, LIMIT)
            return self.requests[0]

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


@pytest.fixture
def site() -> Iterator[Site]:
    site = Site()
    yield site
    site.close()


@pytest.fixture
def runtime(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Our own HOME and runtime folder; no browser but the one that a test names."""
    folder = tmp_path / "run"
    folder.mkdir(mode=0o700)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(folder))
    for name in ("BROWSER", "DISPLAY", "WAYLAND_DISPLAY", "DBUS_SESSION_BUS_ADDRESS"):
        monkeypatch.delenv(name, raising=False)
    return folder


@pytest.fixture
def pages(runtime: Path) -> Path:
    return runtime / "trayconnect" / "pages"


def fake_browser(folder: Path, script: str) -> Path:
    program = folder / "browser"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    return program


def command_lines() -> str:
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            found.append(path.read_text(errors="replace"))
        except OSError:
            continue
    return "\n".join(found)


def test_a_real_browser_logs_in_by_way_of_a_file(
    tmp_path: Path, pages: Path, site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    with XServer() as screen:
        monkeypatch.setenv("DISPLAY", screen.display)
        chromium = Chromium(tmp_path)
        monkeypatch.setenv("BROWSER", str(chromium.command))
        browser = SystemBrowser()
        try:
            browser.open(Page(site.url, TOKEN))
            (page,) = pages.iterdir()
            path, headers = site.wait_asked()
            seen = command_lines()
        finally:
            browser.close()
            chromium.close()
    assert unquote(urlsplit(path).query) == f"a=1&token={TOKEN}"
    assert headers["Referer"] is None
    assert page.as_uri() in seen
    assert "s3cret" not in seen
    assert list(pages.iterdir()) == []


def test_a_page_without_a_token_is_opened_as_it_is(
    tmp_path: Path, runtime: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = tmp_path / "told"
    program = fake_browser(tmp_path, f'printf "%s|" "$@" >"{told}.new"; mv "{told}.new" "{told}"')
    monkeypatch.setenv("BROWSER", str(program))
    browser = SystemBrowser()
    browser.open(Page("http://127.0.0.1:1/lab?a=1&b"))
    wait_for(told.exists, "the browser's arguments")
    browser.close()
    assert told.read_text() == "http://127.0.0.1:1/lab?a=1&b|"


def test_the_next_browser_is_tried_and_the_last_failure_told(
    tmp_path: Path, runtime: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = fake_browser(tmp_path, "exit 5")
    monkeypatch.setenv("BROWSER", f"{program}:/nowhere/browser:true")
    browser = SystemBrowser()
    browser.open(Page("http://127.0.0.1:1/lab"))
    monkeypatch.setenv("BROWSER", str(program))
    with pytest.raises(ProblemError, match="No browser") as caught:
        browser.open(Page("http://127.0.0.1:1/lab"))
    browser.close()
    assert "status 5" in caught.value.problem.detail


def test_a_browser_on_the_terminal_gets_no_input_and_no_output(
    tmp_path: Path,
    runtime: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    program = fake_browser(tmp_path, "cat; echo loud; echo loud >&2")
    monkeypatch.setenv("BROWSER", str(program))
    browser = SystemBrowser()
    browser.open(Page("http://127.0.0.1:1/lab"))
    browser.close()
    assert capfd.readouterr() == ("", "")


def test_the_page_of_a_snap_lies_where_it_can_read(
    tmp_path: Path, runtime: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """xdg-settings says who the default browser is; here it is Ubuntu's."""
    told = tmp_path / "told"
    tools = tmp_path / "tools"
    tools.mkdir()
    copy = f'cp "${{1#file://}}" "{told}.new"; mv "{told}.new" "{told}"'
    program = fake_browser(tmp_path, f'printf "%s" "$1" >"{told}.uri"; {copy}')
    (tools / "xdg-settings").write_text("#!/bin/sh\necho firefox_firefox.desktop\n")
    (tools / "xdg-settings").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tools}:/usr/bin:/bin")
    monkeypatch.setenv("BROWSER", str(program))
    common = tmp_path / "home" / "snap" / "firefox" / "common"
    common.mkdir(parents=True)
    browser = SystemBrowser()
    browser.open(Page("http://127.0.0.1:1/lab", "s3cret"))
    wait_for(told.exists, "the page to be read")
    browser.close()
    assert "token=s3cret" in told.read_text()
    assert (tmp_path / "told.uri").read_text().startswith((common / "trayconnect").as_uri())
    assert list((common / "trayconnect").iterdir()) == []


def test_pages_of_a_crashed_run_go_at_the_start(runtime: Path, pages: Path) -> None:
    pages.mkdir(parents=True, mode=0o700)
    with subprocess.Popen(["true"]) as crashed:
        crashed.wait()
    left = pages / f"open-{crashed.pid}-old.html"
    ours = pages / f"open-{os.getpid()}-new.html"
    left.touch()
    ours.touch()
    SystemBrowser().close()
    assert list(pages.iterdir()) == [ours]


def test_an_editor_is_opened_by_the_desktop(
    tmp_path: Path, runtime: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = tmp_path / "told"
    script = f'printf "%s|" "$@" >"{told}.new"; mv "{told}.new" "{told}"'
    opener = fake_browser(tmp_path, script).rename(tmp_path / "xdg-open")
    monkeypatch.setenv("PATH", f"{opener.parent}:/usr/bin:/bin")
    file = tmp_path / "a b.yaml"
    open_in_editor(file, {"DISPLAY": ":0"})
    wait_for(told.exists, "the editor's arguments")
    assert told.read_text() == f"{file}|"
    opener.write_text("#!/bin/sh\nexit 3\n")
    (tmp_path / "gio").write_text("#!/bin/sh\nexit 3\n")
    (tmp_path / "gio").chmod(0o755)
    with pytest.raises(ProblemError, match="No editor") as caught:
        open_in_editor(file, {"DISPLAY": ":0"})
    assert str(file) in caught.value.problem.advice


def test_an_opener_that_fails_late_is_told(
    tmp_path: Path, runtime: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """xdg-open waits for the program that it opens, and fails when that does."""
    monkeypatch.setattr(programs, "_POLL_SECONDS", 0.05)
    go = tmp_path / "go"
    opener = fake_browser(tmp_path, f"while ! [ -e {go} ]; do sleep 0.05; done; exit 4")
    opener = opener.rename(tmp_path / "xdg-open")
    monkeypatch.setenv("PATH", f"{opener.parent}:/usr/bin:/bin")
    told: queue.SimpleQueue[Problem] = queue.SimpleQueue()
    browser = SystemBrowser({"DISPLAY": ":0"}, told.put)
    try:
        browser.open(Page("http://127.0.0.1:8888/lab"))
        open_in_editor(tmp_path / "servers.yaml", {"DISPLAY": ":0"}, told.put)
        go.touch()
        problems = [told.get(timeout=60) for _ in range(2)]
    finally:
        programs.stop_watching()
        browser.close()
    assert {problem.title for problem in problems} == {BROWSER_FAILED, EDITOR_FAILED}
    assert all("xdg-open ended with status 4" in problem.detail for problem in problems)
    assert any("http://127.0.0.1:8888/lab" in problem.advice for problem in problems)


def test_without_a_desktop_the_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ProblemError) as caught:
        open_in_editor(tmp_path / "servers.yaml", {})
    assert str(tmp_path / "servers.yaml") in caught.value.problem.advice
