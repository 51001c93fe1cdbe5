"""Linux: a file descriptor that becomes readable when the wall clock jumps, as it does after a
suspend (TFD_TIMER_CANCEL_ON_SET of timerfd_create(2)).

By ctypes: Python has it only since 3.13."""

from __future__ import annotations

import contextlib
import ctypes
import os
import sys
import time

_TFD_TIMER_ABSTIME, _TFD_TIMER_CANCEL_ON_SET = 1, 2
_NEVER = (1 << (8 * ctypes.sizeof(ctypes.c_long) - 1)) - 1


class _TimerSpec(ctypes.Structure):
    """struct itimerspec: the interval, then the first expiration, each in seconds and
    nanoseconds."""

    _fields_ = [(name, ctypes.c_long) for name in ("every", "every_ns", "first", "first_ns")]


class ClockTimer:
    """Raises OSError where the system has no such timer."""

    def __init__(self) -> None:
        self._libc = ctypes.CDLL(None, use_errno=True)
        self._timer = self._checked(_create(self._libc))
        try:
            self.wait_again()
        except BaseException:
            self.close()
            raise

    def fileno(self) -> int:
        return self._timer

    def wait_again(self) -> None:
        """Become unreadable until the next jump."""
        with contextlib.suppress(OSError):  # ECANCELED: the clock has jumped; or EAGAIN
            os.read(self._timer, 8)
        spec = _TimerSpec(first=_NEVER)
        flags = _TFD_TIMER_ABSTIME | _TFD_TIMER_CANCEL_ON_SET
        self._checked(self._libc.timerfd_settime(self._timer, flags, ctypes.byref(spec), None))

    def close(self) -> None:
        os.close(self._timer)

    def _checked(self, result: int) -> int:
        if result < 0:
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number))
        return result


def _create(libc: ctypes.CDLL) -> int:
    if sys.platform == "linux":
        # Its flags TFD_CLOEXEC and TFD_NONBLOCK are those of open(2).
        result: int = libc.timerfd_create(time.CLOCK_REALTIME, os.O_CLOEXEC | os.O_NONBLOCK)
        return result
    else:  # noqa: RET505 - mypy calls code after a platform's return unreachable
        raise OSError("timerfd is Linux's own")
