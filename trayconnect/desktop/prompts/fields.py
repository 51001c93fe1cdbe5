"""The input fields of the prompt window: a line, or a text of several lines."""

from __future__ import annotations

import sys
import tkinter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from tkinter import ttk
from typing import TextIO

from trayconnect.core.questions import Field
from trayconnect.desktop.prompts.prompt_text import LONGEST_VALUE
from trayconnect.desktop.windows.tk_scale import Scaling

if sys.platform == "win32":
    import ctypes
    import msvcrt

    _ENABLE_ECHO_INPUT = 4

    @contextmanager
    def without_echo(stream: TextIO) -> Iterator[None]:
        """Turn off the echo of `stream` within the block."""
        kernel = ctypes.windll.kernel32
        handle = msvcrt.get_osfhandle(stream.fileno())
        mode = ctypes.c_ulong()
        kernel.GetConsoleMode(handle, ctypes.byref(mode))
        kernel.SetConsoleMode(handle, mode.value & ~_ENABLE_ECHO_INPUT)
        try:
            yield
        finally:
            kernel.SetConsoleMode(handle, mode.value)
else:
    import termios

    @contextmanager
    def without_echo(stream: TextIO) -> Iterator[None]:
        """Turn off the echo of `stream` within the block."""
        before = termios.tcgetattr(stream.fileno())
        during = list(before)
        during[3] &= ~termios.ECHO
        termios.tcsetattr(stream.fileno(), termios.TCSADRAIN, during)
        try:
            yield
        finally:
            # FLUSH: the rest of a paste must not become a command of the shell.
            termios.tcsetattr(stream.fileno(), termios.TCSAFLUSH, before)


def read_unseen(
    stream: TextIO, prompt: Callable[[], None], is_last: Callable[[str], bool], most: int
) -> str:
    """Lines up to the last one, or the end of the input, or somewhat more than `most` characters.
    `prompt` is called once the echo is off."""
    text = ""
    with without_echo(stream):
        prompt()
        while len(text) <= most and (line := stream.readline()):
            text += line
            if is_last(line):
                break
    return text


_DOT = "\N{BULLET}"
_TEXT_LINES = 7


class LineBox:
    """One line, shown as dots while it is hidden."""

    def __init__(
        self, frame: ttk.Frame, field: Field, scaling: Scaling, on_change: Callable[[], None]
    ) -> None:
        self._secret = field.secret
        self.widget = ttk.Entry(frame, font=scaling.text_font)
        self.widget.grid(sticky="we")
        self.reveal(shown=False)
        self.widget.bind("<KeyRelease>", lambda _: on_change())
        self.widget.bind("<<Paste>>", lambda _: self.widget.after_idle(on_change))
        self.widget.bind("<<PasteSelection>>", lambda _: self.widget.after_idle(on_change))

    def value(self) -> str:
        return self.widget.get()

    def reveal(self, *, shown: bool) -> None:
        """Show or hide the characters, if they are secret."""
        self.widget.configure(show=_DOT if self._secret and not shown else "")

    def select_all(self) -> None:
        self.widget.selection_range(0, "end")
        self.widget.icursor("end")


class TextBox:
    """Several lines. Tk cannot show dots instead, so hidden lines are covered with bars: letters
    and their background have the same colour."""

    def __init__(
        self, frame: ttk.Frame, field: Field, scaling: Scaling, on_change: Callable[[], None]
    ) -> None:
        self._secret = field.secret
        self._on_change = on_change
        holder = ttk.Frame(frame)
        holder.grid(sticky="we")
        holder.columnconfigure(0, weight=1)
        self.widget = tkinter.Text(
            holder,
            width=1,
            height=_TEXT_LINES,
            wrap="char",
            font=scaling.fixed_font,
            relief="flat",
            highlightthickness=1,
            highlightbackground=scaling.border,
            highlightcolor=scaling.accent,
            background=scaling.field,
            foreground=scaling.foreground,
            exportselection=not field.secret,
            insertbackground=scaling.foreground,
        )
        bar = ttk.Scrollbar(holder, command=self.widget.yview, takefocus=False)
        self.widget.configure(yscrollcommand=bar.set)
        self.widget.grid(row=0, column=0, sticky="we")
        bar.grid(row=0, column=1, sticky="ns")
        self._caption = ttk.Label(frame, style="Server.TLabel")
        self._caption.grid(sticky="w")
        for event in ("<<Copy>>", "<<Cut>>"):
            self.widget.bind(event, self._refuse_while_hidden)
        self.widget.bind("<<Paste>>", self._replace_selection)
        self.widget.bind("<Tab>", self._focus_next)
        self.widget.bind("<<Modified>>", self._changed)
        self.reveal(shown=False)

    def value(self) -> str:
        return self.widget.get("1.0", "end-1c")

    def reveal(self, *, shown: bool) -> None:
        """Show or hide the characters, if they are secret."""
        self._hidden = self._secret and not shown
        cover = self.widget.cget("highlightbackground") if self._hidden else ""
        self.widget.tag_configure("hidden", foreground=cover, background=cover)
        self._cover()

    def select_all(self) -> None:
        self.widget.tag_add("sel", "1.0", "end-1c")

    def _cover(self) -> None:
        self.widget.tag_add("hidden", "1.0", "end")
        self.widget.tag_raise("hidden")  # above the colours of the selection
        lines = len(self.value().strip().splitlines())
        size = len(self.value().encode(errors="replace"))
        caption = (
            f"{lines} {'line' if lines == 1 else 'lines'}, {size} bytes"
            if size
            else "Paste it here"
        )
        if size > LONGEST_VALUE:
            caption = f"{caption}: too long"
        self._caption.configure(text=caption)

    def _changed(self, _event: object) -> None:
        if self.widget.edit_modified():
            self.widget.edit_modified(False)
            self._cover()
            self._on_change()

    def _replace_selection(self, _event: object) -> None:
        """On X11, Tk's own paste keeps the selected text."""
        if self.widget.tag_ranges("sel"):
            self.widget.delete("sel.first", "sel.last")

    def _refuse_while_hidden(self, _event: object) -> str | None:
        return "break" if self._hidden else None

    def _focus_next(self, _event: object) -> str:
        """Tab moves to the next field, as everywhere else in a dialog."""
        following = self.widget.tk_focusNext()
        if following is not None:
            following.focus_set()
        return "break"


Box = LineBox | TextBox


def make_box(
    frame: ttk.Frame, field: Field, scaling: Scaling, on_change: Callable[[], None]
) -> Box:
    """The input for a field, placed in the frame's next row."""
    return (TextBox if field.multiline else LineBox)(frame, field, scaling, on_change)
