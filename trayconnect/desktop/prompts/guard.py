"""Keys that were meant for another window."""

from __future__ import annotations

GUARD = 0.6
"""Duration of the guard in seconds, and the pause between two keys that ends a run of them."""


class KeyGuard:
    """Decides whether a key that answers, such as Return, may have been meant for another window.

    A prompt takes the front and the keyboard, even from a user who is typing in another window: the
    rest of a sentence and its Return would answer it. So keys that are typed in one run, without a
    pause, since before the window has had the keyboard for a moment, do not answer. Characters are
    accepted anyway: a user who really is that fast, or a password manager, only has to press
    Return again. (Firefox delays a dialog's button likewise, `security.dialog_enable_delay`.
    Grabbing the keyboard, as pinentry(1) can, prevents eavesdropping on X11, but does not prevent
    this.)

    Times are in seconds of one clock."""

    def __init__(self, guard: float = GUARD) -> None:
        self._guard = guard
        self._since: float | None = None
        self._last_stray: float | None = None

    def focused(self, now: float) -> None:
        """The window has the keyboard. Only the first time counts; later, the user returned to
        it."""
        if self._since is None:
            self._since = now

    def key(self, now: float) -> bool:
        """A key was pressed. Returns whether it must not answer."""
        self.focused(now)  # it has the keyboard, reported or not
        early = self._is_early(now)
        running = self._last_stray is not None and now < self._last_stray + self._guard
        if self._guard <= 0 or not (early or running):
            return False
        self._last_stray = now
        return True

    def click(self, now: float) -> bool:
        """The mouse clicked a button. Returns whether that came too early to be meant for it."""
        return self._guard > 0 and self._is_early(now)

    def _is_early(self, now: float) -> bool:
        return self._since is None or now < self._since + self._guard
