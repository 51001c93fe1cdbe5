"""The page on disk that keeps a token off the command line."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
import threading
from html.parser import HTMLParser
from pathlib import Path

import pytest

from tests.support.forwarding import eventually
from tests.support.systems import has_links, has_mode, has_modes
from trayconnect.core.errors import ProblemError
from trayconnect.core.page import Page
from trayconnect.core.privacy import make_private
from trayconnect.core.threads import Timer
from trayconnect.desktop import redirect_page
from trayconnect.desktop.default_programs import SystemBrowser
from trayconnect.desktop.redirect_page import (
    RedirectPages,
    page_folder,
    page_html,
    remove_leftovers,
    remove_stale,
    snap_of,
)

URL = 'http://127.0.0.1:18888/lab?x=1&y="<2>"&token=s3cret'


class Links(HTMLParser):
    """Collects where a page leads, and its meta tags."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.targets: list[str | None] = []
        self.meta: list[dict[str, str | None]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "a":
            self.targets.append(dict(attrs)["href"])
        if tag == "meta":
            self.meta.append(dict(attrs))


def test_the_page_leads_to_the_link_and_names_no_referrer() -> None:
    links = Links(page_html(URL))
    assert links.targets == [URL]
    assert {"http-equiv": "refresh", "content": f"0;url={URL}"} in links.meta
    assert {"name": "referrer", "content": "no-referrer"} in links.meta


def test_only_the_user_can_read_it(tmp_path: Path) -> None:
    pages = RedirectPages()
    page = pages.write(tmp_path / "a" / "pages", URL)
    assert has_mode(page, 0o600)
    assert has_mode(page.parent, 0o700)
    assert Links(page.read_text()).targets == [URL]
    pages.close()
    pages.close()
    assert not page.exists()


def test_it_is_deleted_after_a_while(tmp_path: Path) -> None:
    pages = RedirectPages(lifetime=0.01)
    page = pages.write(tmp_path, URL)
    eventually(lambda: not page.exists() and pages._timers == {}, "its end")
    pages.close()


def test_none_is_made_after_the_end(tmp_path: Path) -> None:
    pages = RedirectPages()
    pages.close()
    with pytest.raises(OSError, match="quitting"):
        pages.write(tmp_path, URL)
    assert list(tmp_path.iterdir()) == []


def test_the_end_comes_while_one_is_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pages = RedirectPages()

    def ends(url: str) -> str:
        pages.close()
        return page_html(url)

    monkeypatch.setattr(redirect_page, "page_html", ends)
    with pytest.raises(OSError, match="quitting"):
        pages.write(tmp_path, URL)
    assert list(tmp_path.iterdir()) == []


def test_the_end_deletes_those_whose_timer_could_not_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_thread(*_: object) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", no_thread)
    monkeypatch.setattr(Timer, "set", no_thread)
    pages = RedirectPages()
    for _ in range(2):
        assert pages.write(tmp_path, URL).exists()
    pages.close()
    assert list(tmp_path.iterdir()) == []


def test_one_that_cannot_be_written_is_deleted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_url: str) -> str:
        raise OSError("no space left on device")

    monkeypatch.setattr(redirect_page, "page_html", full)
    pages = RedirectPages()
    with pytest.raises(OSError, match="no space"):
        pages.write(tmp_path, URL)
    assert list(tmp_path.iterdir()) == []
    pages.close()


def test_pages_of_a_crashed_run_are_deleted(tmp_path: Path) -> None:
    old, new, other = (tmp_path / name for name in ("open-a.html", "open-b.html", "mine.html"))
    for path in (old, new, other):
        path.touch()
    os.utime(old, (1, 1))
    os.utime(other, (1, 1))
    remove_stale(tmp_path, age=60)
    assert not old.exists()
    assert new.exists()
    assert other.exists()
    remove_stale(tmp_path / "missing", age=0)


@has_modes
def test_pages_of_a_killed_run_are_deleted_at_once(tmp_path: Path) -> None:
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    folders = [
        page_folder({"XDG_RUNTIME_DIR": str(tmp_path)}, tmp_path, None),
        tmp_path / "snap/firefox/common/trayconnect",
    ]
    left = [folder / f"open-{ended.pid}-x.html" for folder in folders]
    running = folders[0] / f"open-{os.getpid()}-x.html"
    for page in (*left, running):
        page.parent.mkdir(parents=True, exist_ok=True)
        page.touch()
    remove_leftovers({"XDG_RUNTIME_DIR": str(tmp_path)}, tmp_path)
    assert not any(page.exists() for page in left)
    assert running.exists()


def test_a_folder_of_another_user_is_passed_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As after su(1), which keeps XDG_RUNTIME_DIR."""

    def closed(*_: object, **__: object) -> None:
        raise PermissionError

    monkeypatch.setattr(Path, "stat", closed)
    remove_stale(tmp_path, age=0)


@has_links
def test_a_folder_that_is_a_link_is_refused(tmp_path: Path) -> None:
    (tmp_path / "target").mkdir()
    (tmp_path / "pages").symlink_to(tmp_path / "target")
    with pytest.raises(OSError, match="not a folder"):
        make_private(tmp_path / "pages")


@has_modes
def test_an_open_folder_is_closed(tmp_path: Path) -> None:
    folder = tmp_path / "pages"
    folder.mkdir(mode=0o777)
    make_private(folder)
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700


def test_the_folder_suits_the_browser(tmp_path: Path) -> None:
    runtime = tmp_path / "run"
    runtime.mkdir()
    environ = {"XDG_RUNTIME_DIR": str(runtime)}
    assert page_folder(environ, tmp_path, None) == runtime / "trayconnect" / "pages"
    assert page_folder(environ, tmp_path, "firefox") == runtime / "trayconnect" / "pages"
    common = tmp_path / "snap" / "firefox" / "common"
    common.mkdir(parents=True)
    assert page_folder(environ, tmp_path, "firefox") == common / "trayconnect"
    assert page_folder(environ, tmp_path, "chromium") == runtime / "trayconnect" / "pages"
    assert page_folder({}, tmp_path, None).name == "pages"


@pytest.mark.parametrize(
    ("desktop_file", "snap"),
    [
        ("firefox_firefox.desktop\n", "firefox"),
        ("chromium_chromium.desktop", "chromium"),
        ("firefox.desktop", None),
        ("org.mozilla.firefox.desktop", None),
        ("../evil_x.desktop", None),
        ("", None),
    ],
)
def test_snaps_by_their_desktop_file(desktop_file: str, snap: str | None) -> None:
    assert snap_of(desktop_file) == snap


@pytest.mark.parametrize("url", ["file:///etc/passwd", "javascript:alert(1)", "--help", ""])
def test_only_web_addresses_are_opened(url: str) -> None:
    browser = SystemBrowser({})
    with pytest.raises(ProblemError):
        browser.open(Page(url, token="s3cret"))
    browser.close()


def test_without_a_browser_the_advice_holds_the_address_and_no_token(tmp_path: Path) -> None:
    browser = SystemBrowser({"XDG_RUNTIME_DIR": str(tmp_path)})
    with pytest.raises(ProblemError) as caught:
        browser.open(Page("http://127.0.0.1:18888/lab", token="s3cret"))
    browser.close()
    problem = caught.value.problem
    assert "http://127.0.0.1:18888/lab" in problem.advice
    assert "s3cret" not in f"{problem}{problem.detail}"
    assert list((tmp_path / "trayconnect" / "pages").iterdir()) == []


@has_modes
def test_no_folder_on_the_way_to_the_pages_is_open_to_others(tmp_path: Path) -> None:
    """The runtime folder is one of them, and the control socket refuses one that is not private."""
    folder = tmp_path / "runtime" / "trayconnect" / "pages"
    make_private(folder)
    for each in (folder, folder.parent, folder.parent.parent):
        assert each.stat().st_mode & 0o077 == 0
