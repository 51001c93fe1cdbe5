"""The data types of SSH (RFC 4251 section 5), parsed strictly.

paramiko's parser supplies zeros past the end of a message, which is unsafe for data to be
verified."""

from __future__ import annotations

from paramiko import Message


class DataReader:
    """Reads one value after the other from `data`; each read raises ValueError at the end of the
    data."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self.offset = 0

    @property
    def done(self) -> bool:
        """Whether all data is read."""
        return self.offset == len(self._data)

    def boolean(self) -> bool:
        return self._take(1) != b"\0"

    def uint32(self) -> int:
        return int.from_bytes(self._take(4), "big")

    def uint64(self) -> int:
        return int.from_bytes(self._take(8), "big")

    def string(self) -> bytes:
        """A string, or the bytes of an mpint."""
        return self._take(self.uint32())

    def _take(self, size: int) -> bytes:
        end = self.offset + size
        if end > len(self._data):
            raise ValueError("cut short")
        piece = self._data[self.offset : end]
        self.offset = end
        return piece


def strings(data: bytes) -> list[bytes]:
    """The strings that fill `data` exactly. Raises ValueError."""
    reader = DataReader(data)
    found = []
    while not reader.done:
        found.append(reader.string())
    return found


def string(value: bytes) -> bytes:
    """The encoding of a string: its length, then its bytes."""
    return len(value).to_bytes(4, "big") + value


def uint32(value: int) -> bytes:
    return value.to_bytes(4, "big")


def ssh_message(kind: bytes, *fields: str | bytes | int) -> Message:
    """A message: its number, then booleans, numbers as uint32, and texts as strings."""
    message = Message()
    message.add_byte(kind)
    for value in fields:
        if isinstance(value, bool):
            message.add_boolean(value)
        elif isinstance(value, int):
            message.add_int(value)
        else:
            message.add_string(value)
    return message
