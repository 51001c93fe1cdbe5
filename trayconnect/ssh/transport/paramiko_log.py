"""Lowers paramiko's log records to debug level.

Its transport thread logs a traceback at error level for every lost connection; the user gets the
relevant part as a problem."""

from __future__ import annotations

import logging

CHANNEL = f"{__name__}.paramiko"
"""The logger of our transports."""


class _Quiet(logging.Filter):
    def filter(self, record: logging.LogRecord) -> bool:
        if record.levelno > logging.DEBUG:
            record.levelno, record.levelname = logging.DEBUG, "DEBUG"
        return logging.getLogger(record.name).isEnabledFor(logging.DEBUG)


_QUIET = _Quiet()


def quieten() -> None:
    """Apply the filter to our logger, and to the one that paramiko itself starts with."""
    for name in (CHANNEL, "paramiko.transport"):
        # The same filter object is added only once.
        logging.getLogger(name).addFilter(_QUIET)
