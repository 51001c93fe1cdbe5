"""The session bus address, by a table."""

from __future__ import annotations

import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

if sys.platform != "linux":
    pytest.skip("jeepney is installed on Linux only", allow_module_level=True)

from trayconnect.desktop.bus_connection import session_bus_sockets

PARTS = st.sampled_from(["unix:", "path=", "abstract=", "runtime=yes", ",", ";"]) | st.text(
    max_size=9
)
RUN = {"XDG_RUNTIME_DIR": "/run/user/7"}


@pytest.mark.parametrize(
    ("environ", "sockets"),
    [
        ({}, []),
        (RUN, [b"/run/user/7/bus"]),
        ({"DBUS_SESSION_BUS_ADDRESS": "", **RUN}, [b"/run/user/7/bus"]),
        ({"DBUS_SESSION_BUS_ADDRESS": "unix:path=/tmp/b,guid=12ab", **RUN}, [b"/tmp/b"]),
        ({"DBUS_SESSION_BUS_ADDRESS": "unix:abstract=/tmp/dbus-x"}, [b"\0/tmp/dbus-x"]),
        ({"DBUS_SESSION_BUS_ADDRESS": "unix:runtime=yes", **RUN}, [b"/run/user/7/bus"]),
        ({"DBUS_SESSION_BUS_ADDRESS": "unix:runtime=yes"}, []),
        ({"DBUS_SESSION_BUS_ADDRESS": "unix:path=/a%20b%c3%a9"}, ["/a bé".encode()]),
        (
            {"DBUS_SESSION_BUS_ADDRESS": "tcp:host=x,port=1;unix:path=/one;unix:path=/two"},
            [b"/one", b"/two"],
        ),
        ({"DBUS_SESSION_BUS_ADDRESS": "autolaunch:", **RUN}, []),
        ({"DBUS_SESSION_BUS_ADDRESS": "nonsense;unix;unix:;unix:path;unix:path=", **RUN}, []),
    ],
)
def test_where_it_is(environ: dict[str, str], sockets: list[bytes]) -> None:
    assert session_bus_sockets(environ) == sockets


@given(st.lists(PARTS, max_size=4).map("".join))
def test_no_address_is_too_odd(address: str) -> None:
    for socket in session_bus_sockets({"DBUS_SESSION_BUS_ADDRESS": address}):
        assert socket
