"""paramiko's log, taken down to debug level.

Its transport thread logs a traceback at error level for every lost connection; what matters of
that reaches the user as a problem.
"""

from __future__ import annotations

import logging

CHANNEL = f"{__name__}.paramiko"
"""The logger that our transports log to."""


class _Quiet(logging.Filter):
    def filter(self, record: logging.LogRecord) -> bool:
        if record.levelno > logging.DEBUG:
            record.levelno, record.levelname = logging.DEBUG, "DEBUG"
        return logging.getLogger(record.name).isEnabledFor(logging.DEBUG)


_QUIET = _Quiet()


def quieten() -> None:
    """Apply to our channel, and to the logger that paramiko itself starts with."""
    for name in (CHANNEL, "paramiko.transport"):
        # The same filter object is added only once.
        logging.getLogger(name).addFilter(_QUIET)
