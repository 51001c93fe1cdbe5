"""What a notification server is asked, by its capabilities."""

from __future__ import annotations

import sys
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

if sys.platform != "linux":
    pytest.skip("jeepney is installed on Linux only", allow_module_level=True)

from jeepney import DBusAddress, new_method_call

from trayconnect.core.command import Button
from trayconnect.core.errors import Problem
from trayconnect.core.notices import EDIT, Notice, Urgency, disconnect, open_page, retry
from trayconnect.desktop.notifications.freedesktop import NotificationServer, arguments

OPEN, RETRY, DISCONNECT = (make("GPU box") for make in (open_page, retry, disconnect))
NOTICE = Notice(
    "server GPU box",
    "GPU box <lost> & found",
    "<b>refused</b> & gone",
    buttons=(RETRY, DISCONNECT),
)


def server(*capabilities: str, shows_default: bool = False) -> NotificationServer:
    return NotificationServer(":1.7", frozenset(capabilities), shows_default)


@pytest.mark.parametrize(
    ("capabilities", "body", "actions"),
    [
        ({"body"}, "<b>refused</b> & gone", []),
        ({"body", "body-markup"}, "&lt;b&gt;refused&lt;/b&gt; &amp; gone", []),
        (
            {"body", "actions"},
            "<b>refused</b> & gone",
            ["default", "Retry", "connect", "Retry", "disconnect", "Disconnect"],
        ),
    ],
)
def test_only_what_the_server_can(capabilities: set[str], body: str, actions: list[str]) -> None:
    asked = arguments(NOTICE, server(*capabilities), replaces=7, icon="file:///icon.png")
    assert asked == (
        "trayconnect",
        7,
        "file:///icon.png",
        "GPU box <lost> & found",
        body,
        actions,
        {"urgency": ("y", 1), "desktop-entry": ("s", "trayconnect")},
        -1,
    )


@pytest.mark.parametrize(
    ("notice", "hints"),
    [
        (Notice("a", "t", urgency=Urgency.CRITICAL), {"urgency": ("y", 2)}),
        (Notice.of("a", Problem("t", "")), {"urgency": ("y", 1)}),
        (Notice.of("a", Problem("t", ""), buttons=(EDIT,)), {"urgency": ("y", 2)}),
        (Notice("a", "t", passing=True), {"urgency": ("y", 1), "transient": ("b", True)}),
    ],
)
def test_hints(notice: Notice, hints: dict[str, Any]) -> None:
    assert arguments(notice, server())[6] == {"desktop-entry": ("s", "trayconnect"), **hints}


@pytest.mark.parametrize(
    ("buttons", "keys"),
    [
        ((), []),
        ((OPEN, DISCONNECT), ["default", "open", "disconnect"]),
        ((EDIT,), ["default", "edit-servers"]),
        ((DISCONNECT,), ["disconnect"]),
    ],
)
def test_a_click_on_the_notice_never_disconnects(
    buttons: tuple[Button, ...], keys: list[str]
) -> None:
    asked = arguments(Notice("a", "t", buttons=buttons), server("actions"))
    assert asked[5][::2] == keys


def test_no_button_is_there_twice() -> None:
    asked = arguments(NOTICE, server("actions", shows_default=True))
    assert asked[5] == ["default", "Retry", "disconnect", "Disconnect"]


@given(st.text(st.characters(exclude_categories=())), st.booleans())
def test_any_text_can_be_sent_and_comes_out_as_text(text: str, markup: bool) -> None:
    notice = Notice("a", text, text)
    asked = arguments(notice, server(*(["body-markup"] if markup else [])))
    message = new_method_call(DBusAddress("/a", "b.c", "d.e"), "Notify", "susssasa{sv}i", asked)
    assert message.serialise(serial=1)
    assert "\0" not in asked[3] + asked[4]
    if markup:
        assert not set("<>") & set(asked[4])
    assert (
        asked[4].replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")
        if markup
        else asked[4]
    ) == asked[3]
