"""Channels that are opened ahead: when, how many, and when they are given up."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

import pytest

from trayconnect.core.endpoints import Endpoint, TcpEndpoint
from trayconnect.core.errors import Problem, ProblemError
from trayconnect.core.link import (
    Client,
    LostError,
    NotOpenedError,
    NotOursError,
    OnRefused,
    Owner,
    Refusal,
)
from trayconnect.core.threads import Timer
from trayconnect.ssh.held_channel import HeldChannel
from trayconnect.ssh.spares import IDLE_SECONDS, LEAST, MOST, WORTH_SECONDS, Spares

JUPYTER, BOARD = TcpEndpoint("localhost", 8888), TcpEndpoint("localhost", 6006)
FAR = 2 * WORTH_SECONDS
NO = Problem("no", "")


class Channel:
    """A `HeldChannel`."""

    def __init__(self) -> None:
        self.is_untouched = True
        self.is_closed = False
        self.on_touched: Callable[[], None] = lambda: None
        self.on_close: Callable[[], None] = lambda: None

    def watch(self, on_touched: Callable[[], None]) -> None:
        self.on_touched = on_touched
        if not self.is_untouched:
            on_touched()

    def touch(self) -> None:
        self.is_untouched = False
        self.on_touched()

    def carry(self, client: Client, on_unused: Callable[[Client], None] | None = None) -> None:
        raise AssertionError("nobody asked for it")

    def close(self) -> None:
        if not self.is_closed:
            self.is_closed = True
            self.on_close()


class Far:
    """Opens what it is told to."""

    def __init__(self) -> None:
        self.now = 100.0
        self.asked: list[tuple[Endpoint, Callable[[HeldChannel, float], None], OnRefused]] = []
        self.spares = Spares(self._open, lambda: self.now)

    def _open(
        self,
        target: Endpoint,
        on_opened: Callable[[HeldChannel, float], None],
        on_refused: OnRefused,
    ) -> None:
        self.asked.append((target, on_opened, on_refused))

    def opens(self, seconds: float = FAR) -> list[Channel]:
        """All that was asked for is open."""
        asked, self.asked = self.asked, []
        channels = []
        for _, on_opened, _ in asked:
            channels.append(Channel())
            on_opened(channels[-1], seconds)
        return channels

    def refuses(self, error: ProblemError) -> None:
        asked, self.asked = self.asked, []
        for _, _, on_refused in asked:
            on_refused(error)


@pytest.fixture
def far() -> Iterator[Far]:
    made = Far()
    yield made
    made.spares.close(10)


def come(far: Far, count: int, target: Endpoint = JUPYTER) -> list[HeldChannel | None]:
    """So many connections at once, and a while after those before."""
    far.now += 1.0
    return [far.spares.take(target) for _ in range(count)]


def ready(far: Far, target: Endpoint = JUPYTER, count: int = 3) -> list[Channel]:
    """As many spares, after as many connections."""
    come(far, count, target)
    far.spares.used(target, FAR)
    return far.opens()


def test_nothing_is_opened_before_the_first_connection_nor_beside_a_near_server(far: Far) -> None:
    assert far.spares.take(JUPYTER) is None
    far.spares.used(JUPYTER, WORTH_SECONDS / 2)
    assert far.asked == []
    far.spares.used(JUPYTER, FAR)  # by chance, on a busy machine
    assert far.asked == []


def test_each_is_replaced_as_it_is_used_and_the_oldest_is_used_first(far: Far) -> None:
    first = ready(far)
    assert come(far, 3) == first
    assert [target for target, _, _ in far.asked] == [JUPYTER] * 3
    second = far.opens()
    assert far.spares.take(JUPYTER) is second[0]
    assert far.spares.take(BOARD) is None


@pytest.mark.parametrize(("at_once", "spares"), [(1, LEAST), (2, 2), (4, 4), (6, 6), (9, MOST)])
def test_as_many_are_ready_as_connections_came_at_once(far: Far, at_once: int, spares: int) -> None:
    assert len(ready(far, count=at_once)) == spares


def test_how_many_follows_the_need(far: Far) -> None:
    far.spares.used(JUPYTER, FAR)
    assert len(far.opens()) == LEAST
    taken = come(far, 5)  # while it is known how long one takes
    assert sum(each is not None for each in taken) == LEAST
    assert far.spares.take(BOARD) is None, "that of another target"
    far.spares.used(JUPYTER, FAR)
    assert len(far.opens()) == 5
    for _ in range(10):  # one after the other
        assert come(far, 1) != [None]
        far.opens()
    assert all(come(far, 5)), "it was so lately"
    far.opens()
    far.now += IDLE_SECONDS + 1
    far.spares.expire()
    come(far, 1)
    far.spares.used(JUPYTER, FAR)
    assert len(far.opens()) == LEAST


def test_a_client_that_waits_gets_the_next_one_and_its_own_replaces_that(far: Far) -> None:
    """So no client's channel lies behind one that nobody uses."""
    come(far, 3)
    far.spares.used(JUPYTER, FAR)
    given: list[HeldChannel] = []
    early, late = (far.spares.wait(JUPYTER, given.append) for _ in range(2))
    left = far.spares.wait(JUPYTER, given.append)
    assert far.spares.leave(left)
    channels = far.opens()
    assert given == channels[:2]
    assert not any(far.spares.leave(each) for each in (early, late))
    own, unproven = Channel(), Channel()
    far.spares.replace(early, own, Owner.OURS, FAR)
    assert come(far, 3) == [channels[2], own, None]
    assert len(far.asked) == 2, "the other own channel is on the way"
    far.spares.replace(late, unproven, Owner.UNKNOWN, FAR)
    assert unproven.is_closed
    assert all(channel.is_closed for channel in far.opens())


def test_where_nothing_is_opened_ahead_everybody_gets_their_own(far: Far) -> None:
    for _ in range(2):
        waiting = far.spares.wait(JUPYTER, lambda _: pytest.fail("a spare"))
        assert far.spares.leave(waiting)
        far.spares.used(JUPYTER, 0.0)


def test_a_link_that_gets_fast_has_none_any_more(far: Far) -> None:
    ready(far)
    far.spares.used(JUPYTER, WORTH_SECONDS / 2)
    assert far.spares.take(JUPYTER) is not None
    assert far.asked == []


def test_one_that_the_far_end_touched_is_dropped_at_once(far: Far) -> None:
    first, second, third = ready(far)
    first.touch()
    assert first.is_closed
    second.is_untouched = False  # its callback is on the way
    assert far.spares.take(JUPYTER) is third
    assert second.is_closed


@pytest.mark.parametrize(("age", "kept"), [(10.0, 5.0), (1.0, 0.0)])
def test_none_is_kept_as_long_as_the_far_end_keeps_it(far: Far, age: float, kept: float) -> None:
    """A request that crosses the far end's close is lost."""
    channels = ready(far)
    far.now += age
    for channel in channels:
        channel.touch()
    come(far, 3)
    far.spares.used(JUPYTER, FAR)
    fresh = far.opens()
    assert bool(fresh) is bool(kept)
    far.now += kept - 0.1
    far.spares.expire()
    assert not any(channel.is_closed for channel in fresh)
    far.now += 0.1
    far.spares.expire()
    assert all(channel.is_closed for channel in fresh)


def test_one_that_was_touched_while_it_was_proven_is_none(far: Far) -> None:
    far.spares.used(JUPYTER, FAR)
    (_, on_opened, _), *_ = far.asked
    channel = Channel()
    channel.is_untouched = False
    on_opened(channel, FAR)
    assert channel.is_closed
    assert far.spares.take(JUPYTER) is None


def test_unused_ones_are_closed_and_not_replaced(far: Far) -> None:
    channels = ready(far)
    far.now += IDLE_SECONDS - 1
    far.spares.expire()
    assert not any(channel.is_closed for channel in channels)
    assert far.spares.take(JUPYTER) is channels[0]
    (fresh,) = far.opens()
    far.now += 1
    far.spares.expire()
    assert [each.is_closed for each in (*channels, fresh)] == [False, True, True, False]
    assert far.asked == []


def test_where_no_timer_can_be_set_none_is_kept(far: Far, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_thread(timer: Timer, seconds: float) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(Timer, "set", no_thread)
    assert all(channel.is_closed for channel in ready(far))


@pytest.mark.parametrize(
    "error", [NotOursError(NO, Owner.OTHERS), NotOpenedError(NO, Refusal.REFUSED), ProblemError(NO)]
)
def test_a_refusal_drops_those_of_the_target(far: Far, error: ProblemError) -> None:
    channels, others = ready(far), ready(far, BOARD)
    assert far.spares.take(JUPYTER) is channels[0]
    far.refuses(error)
    assert [channel.is_closed for channel in channels] == [False, True, True]
    assert far.spares.take(JUPYTER) is None
    assert come(far, 1, BOARD) == others[:1]
    assert len(ready(far)) == 3 + 1, "after its next connection, and the replaced one"


def test_a_server_without_resources_gets_no_more(far: Far) -> None:
    channels = [*ready(far), *ready(far, BOARD)]
    far.spares.refused(BOARD, NotOpenedError(NO, Refusal.OTHER))
    assert all(channel.is_closed for channel in channels)
    far.spares.used(JUPYTER, FAR)
    assert far.asked == []


def test_what_opens_too_late_is_closed(far: Far) -> None:
    far.spares.used(JUPYTER, FAR)
    far.spares.forget(JUPYTER)
    assert all(channel.is_closed for channel in far.opens())
    far.spares.used(JUPYTER, FAR)
    far.spares.close()
    assert all(channel.is_closed for channel in far.opens())
    far.spares.refused(JUPYTER, LostError(NO))


def test_those_that_the_far_end_closes_meanwhile_are_closed_too(far: Far) -> None:
    for close in (partial(far.spares.forget, JUPYTER), far.spares.close):
        channels = ready(far)
        for one, other in zip(channels, channels[1:] + channels[:1], strict=True):
            one.on_close = other.touch
        close()
        assert all(channel.is_closed for channel in channels)


def test_a_bug_in_one_keeps_no_other_open(far: Far) -> None:
    for close in (partial(far.spares.forget, JUPYTER), far.spares.close):
        channels = ready(far)
        for channel in channels:
            channel.on_close = bug
        with pytest.raises(ZeroDivisionError):
            close()
        assert all(channel.is_closed for channel in channels)


def bug() -> None:
    raise ZeroDivisionError("a bug")
