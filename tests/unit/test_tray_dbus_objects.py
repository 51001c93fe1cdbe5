"""Method calls in, answers out."""

from __future__ import annotations

import sys
from typing import Any
from xml.etree import ElementTree

import pytest

if sys.platform != "linux":
    pytest.skip("jeepney is installed on Linux only", allow_module_level=True)

from jeepney import DBusAddress, HeaderFields, Message, MessageType, new_method_call

from trayconnect.tray.backends.dbus_objects import (
    ITEM,
    MENU,
    Interface,
    Method,
    Refused,
    answer,
    introspection,
)

NAME = "org.example.Lamp"
LAMP = Interface(
    NAME,
    {"On": "b", "Colour": "s"},
    {"Add": Method(("i", "i"), ("i",)), "Break": Method(), "Refuse": Method()},
    {"Changed": ("b",)},
)


class Lamp:
    interface = LAMP

    def properties(self) -> dict[str, Any]:
        return {"On": True, "Colour": "red"}

    def invoke(self, method: str, arguments: tuple[Any, ...]) -> tuple[Any, ...]:
        match method:
            case "Add":
                return (sum(arguments),)
            case "Refuse":
                raise Refused("not now")
            case _:
                raise ZeroDivisionError


def call(
    interface: str | None, member: str, signature: str = "", body: tuple[Any, ...] = (),
    path: str = "/lamp",
) -> Message:  # fmt: skip
    """The answer, having been over the wire and back."""
    address = DBusAddress(path, "org.example", interface)
    question = new_method_call(address, member, signature or None, body)
    question.header.fields[HeaderFields.sender] = ":1.7"
    arrived = Message.from_buffer(question.serialise(serial=5))
    return Message.from_buffer(answer({"/lamp": Lamp()}, arrived).serialise(serial=6))


def error_of(reply: Message) -> str:
    assert reply.header.message_type is MessageType.error
    name: str = reply.header.fields[HeaderFields.error_name]
    return name.removeprefix("org.freedesktop.DBus.Error.")


@pytest.mark.parametrize("interface", [NAME, None])
def test_a_call_that_fits(interface: str | None) -> None:
    reply = call(interface, "Add", "ii", (3, 4))
    assert reply.header.message_type is MessageType.method_return
    assert reply.header.fields[HeaderFields.reply_serial] == 5
    assert reply.body == (7,)


@pytest.mark.parametrize(
    ("interface", "member", "signature", "body", "path", "error"),
    [
        (NAME, "Add", "is", (3, "x"), "/lamp", "InvalidArgs"),
        (NAME, "Add", "", (), "/lamp", "InvalidArgs"),
        (NAME, "Fly", "", (), "/lamp", "UnknownMethod"),
        (NAME, "Get", "ss", (NAME, "On"), "/lamp", "UnknownMethod"),
        ("org.example.Other", "Add", "ii", (1, 2), "/lamp", "UnknownMethod"),
        (NAME, "Add", "ii", (1, 2), "/nowhere", "UnknownMethod"),
        (None, "Get", "ss", (NAME, "Age"), "/lamp", "InvalidArgs"),
        (None, "Get", "ss", ("org.example.Other", "On"), "/lamp", "InvalidArgs"),
        (None, "GetAll", "s", (NAME,), "/nowhere", "InvalidArgs"),
        (NAME, "Refuse", "", (), "/lamp", "InvalidArgs"),
        (NAME, "Break", "", (), "/lamp", "Failed"),
    ],
)
def test_a_call_that_does_not(
    interface: str | None, member: str, signature: str, body: tuple[Any, ...], path: str, error: str
) -> None:
    assert error_of(call(interface, member, signature, body, path)) == error


@pytest.mark.parametrize("interface", [NAME, ""])
def test_properties(interface: str) -> None:
    assert call(None, "Get", "ss", (interface, "On")).body == (("b", True),)
    everything = {"On": ("b", True), "Colour": ("s", "red")}
    assert call(None, "GetAll", "s", (interface,)).body == (everything,)


def test_anybody_may_ping() -> None:
    reply = call("org.freedesktop.DBus.Peer", "Ping", path="/nowhere")
    assert reply.header.message_type is MessageType.method_return


@pytest.mark.parametrize("interface", [LAMP, ITEM, MENU], ids=lambda each: each.name)
def test_introspection_says_what_there_is(interface: Interface) -> None:
    root = ElementTree.fromstring(introspection(interface))
    described = root.find(f"interface[@name='{interface.name}']")
    assert described is not None
    assert {e.get("name"): e.get("type") for e in described.iter("property")} == dict(
        interface.properties
    )
    for name, method in interface.methods.items():
        arguments = described.findall(f"method[@name='{name}']/arg")
        inputs = [arg.get("type") for arg in arguments if arg.get("direction") == "in"]
        outputs = [arg.get("type") for arg in arguments if arg.get("direction") == "out"]
        assert (inputs, outputs) == (list(method.inputs), list(method.outputs))
    signals = {s.get("name"): [a.get("type") for a in s] for s in described.iter("signal")}
    assert signals == {name: list(types) for name, types in interface.signals.items()}


def test_introspection_of_another_path() -> None:
    assert "<node/>" in call("org.freedesktop.DBus.Introspectable", "Introspect", path="/").body[0]
