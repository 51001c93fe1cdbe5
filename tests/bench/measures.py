"""What `python -m tests.bench` measures: runs of the load, and the rows they fill. Pure."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

MB = 1_000_000
BULK = 200 * MB
FAR_BULK = 8_000 * MB
"""Divided by the round trip in ms, so that `ssh -L`, whose window of 2 MiB limits it, needs as long
for it over any line."""
CPU = "client CPU, s per GB"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one run of the load told: see `load.c`."""

    seconds: float
    p50: float
    p99: float
    errors: int
    beside: int

    @classmethod
    def parse(cls, line: str) -> Outcome:
        seconds, p50, p99, errors, beside = line.split()
        return cls(float(seconds), float(p50), float(p99), int(errors), int(beside))


@dataclass(frozen=True, slots=True)
class Row:
    """One line of a table."""

    title: str
    value: Callable[[Outcome], float]


@dataclass(frozen=True, slots=True)
class Run:
    """One run of the load, and the rows that it fills."""

    load: tuple[str, ...]
    """Its arguments; the port comes after the first."""
    rows: tuple[Row, ...]
    moved: int = 0
    """Bytes, where CPU time per byte is counted."""


def _beside(outcome: Outcome) -> float:
    return outcome.beside / MB / outcome.seconds


def _p50(outcome: Outcome) -> float:
    return outcome.p50


def _p50_ms(outcome: Outcome) -> float:
    return outcome.p50 / 1e3


def _p99(outcome: Outcome) -> float:
    return outcome.p99


def _ms(outcome: Outcome) -> float:
    return outcome.seconds * 1e3


def _bulk(title: str, way: str, streams: int = 1, size: int = BULK) -> Run:
    row = Row(f"{title}, MB/s", lambda outcome: size / MB / outcome.seconds)
    return Run((way, str(size), str(streams)), (row,), size)


_REQUESTS = Run(
    ("connect", "100", "6", "50000"), (Row("100 requests of 50 KB, 6 at once, ms", _ms),)
)

NEAR = (
    _bulk("download, 1 stream", "down"),
    _bulk("download, 4 streams", "down", 4),
    _bulk("upload, 1 stream", "up"),
    _bulk("upload, 4 streams", "up", 4),
    Run(
        ("ping", "2000", "1"),
        (Row("1 byte there and back, p50 µs", _p50), Row("1 byte there and back, p99 µs", _p99)),
    ),
    Run(("ping", "1000", "4096"), (Row("4 KiB there and back, p50 µs", _p50),)),
    Run(("ping", "1000", "16384"), (Row("16 KiB there and back, p50 µs", _p50),)),
    # The median, not their number a second: some of those of `ssh -L` take 45 ms on loopback (its
    # p99; the cause is not known), and would make everything else look fast.
    Run(
        ("connect", "200", "1", "1"),
        (Row("connect, 1 byte, close, one by one, p50 µs", _p50),),
    ),
    Run(
        ("connect", "400", "32", "1"),
        (Row("new connections a second, 32 at once", lambda outcome: 400 / outcome.seconds),),
    ),
    _REQUESTS,
)

FAIR = tuple(
    Run(
        (f"beside-{way}", "300"),
        (
            Row(f"1 byte beside 1 {way}load, p50 µs", _p50),
            Row(f"1 byte beside 1 {way}load, p99 µs", _p99),
            Row(f"that {way}load meanwhile, MB/s", _beside),
        ),
    )
    for way in ("down", "up")
)


def far(round_trip_ms: float) -> tuple[Run, ...]:
    """The runs over a line of that round trip."""
    size = min(BULK, int(FAR_BULK / max(round_trip_ms, 1)))
    return (
        _bulk(f"download of {size / MB:.0f} MB", "down", size=size),
        _bulk(f"upload of {size / MB:.0f} MB", "up", size=size),
        Run(
            ("connect", "20", "1", "1"),
            (Row("connect, 1 byte, close, one by one, p50 ms", _p50_ms),),
        ),
        _REQUESTS,
    )
