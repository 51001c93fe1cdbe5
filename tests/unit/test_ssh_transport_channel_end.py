"""Our end of a channel, without sockets."""

from __future__ import annotations

import pytest
from paramiko import SSHException
from paramiko.common import (
    MSG_CHANNEL_CLOSE,
    MSG_CHANNEL_EOF,
    MSG_CHANNEL_FAILURE,
    MSG_CHANNEL_WINDOW_ADJUST,
)

from trayconnect.core.receive_window import SLACK, SMALLEST, ReceiveWindow, WindowBudget
from trayconnect.ssh.transport.channel_end import MAX_DATA, ChannelEnd


class End(ChannelEnd):
    """It keeps what it sends."""

    def __init__(self, *, is_open: bool = True) -> None:
        self.sent: list[tuple[int, ...]] = []
        super().__init__(
            5, ReceiveWindow(WindowBudget()), lambda *message: self.sent.append(message)
        )
        if is_open:
            self.opened(7, 1000, 1 << 20)


def test_a_quarter_of_the_window_is_granted_at_once() -> None:
    end = End()
    end.received(SMALLEST // 2)
    assert end.sent == []
    end.took(SMALLEST // 4 - 1)
    assert end.sent == []
    end.took(1)
    assert end.sent == [(MSG_CHANNEL_WINDOW_ADJUST, 7, SMALLEST // 4)]


@pytest.mark.parametrize("how", ["EOF", "CLOSE"])
def test_nothing_is_granted_after_the_end(how: str) -> None:
    end = End()
    if how == "EOF":
        end.far_eof = True
    else:
        end.send_close()
        end.sent.clear()
    end.ignored(SMALLEST)
    assert end.sent == []
    with pytest.raises(SSHException, match="window"):
        end.ignored(SLACK + 1)


def test_a_channel_is_closed_once_and_only_if_it_was_open() -> None:
    end = End(is_open=False)
    end.send_close()
    assert end.sent == []
    with pytest.raises(SSHException, match="not open"):
        end.requested()
    end.opened(7, 1, 1)
    end.requested()
    end.send_close()
    end.send_close()
    end.requested()
    assert end.sent == [(MSG_CHANNEL_FAILURE, 7), (MSG_CHANNEL_CLOSE, 7)]


@pytest.mark.parametrize(
    ("window", "max_packet", "may"), [(0, 100, False), (1, 0, False), (1, 1, True)]
)
def test_what_may_be_sent(window: int, max_packet: int, may: bool) -> None:
    end = End(is_open=False)
    end.opened(7, window, max_packet)
    assert end.may_send is may
    end.adjusted(1)
    assert end.may_send is bool(max_packet)
    end.send_eof()
    assert not end.may_send
    assert end.sent == [(MSG_CHANNEL_EOF, 7)]


def test_no_window_is_larger_than_its_number() -> None:
    end = End()
    assert end.max_data == MAX_DATA
    end.adjusted(2**32 - 1001)
    with pytest.raises(SSHException, match="too large"):
        end.adjusted(1)
