"""Keys that were meant for another window."""

from __future__ import annotations

GUARD = 0.6
"""Seconds that the guard lasts, and the pause between two keys that ends a run of them."""


class KeyGuard:
    """Tells whether a key that answers, such as Return, may have been meant for elsewhere.

    A prompt comes to the front by itself and takes the keyboard, also from a user who is typing
    in another window: the rest of a sentence and its Return would answer here. So what is typed
    in one run, without a pause, from before the window has had the keyboard for a moment, does
    not answer. Characters are taken all the same: a user who really is that fast, or a password
    manager, only has to press Return again. (Firefox waits likewise before a dialog's button
    works, `security.dialog_enable_delay`. Grabbing the keyboard, as pinentry(1) can, keeps others
    from reading along on X11, but it does not keep these keys out.)

    Times are in seconds of one clock.
    """

    def __init__(self, guard: float = GUARD) -> None:
        self._guard = guard
        self._since: float | None = None
        self._last_stray: float | None = None

    def focused(self, now: float) -> None:
        """The window has the keyboard; only the first time counts, the user brought it back the
        others."""
        if self._since is None:
            self._since = now

    def key(self, now: float) -> bool:
        """A key was pressed: whether it is one of those that do not answer."""
        self.focused(now)  # it has the keyboard, told or not
        early = self._is_early(now)
        running = self._last_stray is not None and now < self._last_stray + self._guard
        if self._guard <= 0 or not (early or running):
            return False
        self._last_stray = now
        return True

    def click(self, now: float) -> bool:
        """The mouse was clicked on a button: whether that came too early to be meant for it."""
        return self._guard > 0 and self._is_early(now)

    def _is_early(self, now: float) -> bool:
        return self._since is None or now < self._since + self._guard
