"""The helper process of the prompt window, for `window_prompter` (question and answer: JSON over
stdin and stdout, see `window_prompter`). Closing the window declines."""

from __future__ import annotations

import re
import sys
import time
import tkinter
from collections.abc import Callable
from tkinter import ttk

from trayconnect.core.privacy import no_core_dumps
from trayconnect.core.questions import Answer, Question
from trayconnect.desktop import helper_process
from trayconnect.desktop.prompts import prompt_text, window_prompter
from trayconnect.desktop.prompts.fields import Box, TextBox, make_box
from trayconnect.desktop.prompts.guard import KeyGuard
from trayconnect.desktop.windows import tk_scale, tk_window

_WIDTH = 460
_ICON_SIZE = 40
_MESSAGE_SHARE = 0.35
"""Share of the screen's height for the message; a longer one scrolls."""

# A fingerprint as OpenSSH prints it (sshkey.c): SHA256:base64, or MD5: and 16 pairs.
_FINGERPRINT = re.compile(r"SHA256:[A-Za-z0-9+/=]+|(?:MD5:)?(?:[0-9a-f]{2}:){15}[0-9a-f]{2}")

_ANSWERING_KEYS = frozenset({"Return", "KP_Enter", "Escape"})
_LOCK_MASK = 0x0002
"""In an event's state: the Lock modifier (X Protocol, section "KeyButMask")."""


class PromptWindow:
    """Builds the window in `root`; `answer` is set when it closes."""

    def __init__(
        self,
        root: tkinter.Tk,
        question: Question,
        guard: KeyGuard,
        icon: tkinter.PhotoImage | None = None,
    ) -> None:
        self.answer: Answer | None = None
        self._root = root
        self._question = question
        self._guard = guard
        self._scale = tk_scale.scale(root)
        self._scaling = tk_scale.apply_look(root, self._scale)
        self._boxes: list[Box] = []
        self._remember = tkinter.BooleanVar(root, value=False)
        self._reveal = tkinter.BooleanVar(root, value=False)
        self._lock_was_on = False
        self._pasting = False

        root.title(prompt_text.window_title(question))
        root.protocol("WM_DELETE_WINDOW", self._decline)
        root.resizable(width=False, height=False)
        frame = ttk.Frame(root, padding=self._px(18))
        frame.grid(sticky="nsew")
        frame.columnconfigure(0, weight=1, minsize=self._px(_WIDTH))
        self._add_heading(frame, icon)
        if question.message:
            self._add_message(frame)
        for field in question.fields:
            ttk.Label(frame, text=field.label, wraplength=self._px(_WIDTH)).grid(
                sticky="w", pady=(self._px(12), self._px(3))
            )
            self._boxes.append(make_box(frame, field, self._scaling, self._update))
        self._caps_lock = ttk.Label(frame, text="Caps Lock is on", style="Warning.TLabel")
        self._caps_lock.grid(sticky="w", pady=(self._px(3), 0))
        self._add_options(frame)
        self._confirm, self._cancel = self._add_buttons(frame)
        self._first = self._boxes[0].widget if self._boxes else self._cancel
        self._caps_lock.grid_remove()  # not earlier: the next part would get its row
        self._bind_keys()
        self._update()

    def show(self, on_shown: Callable[[], None]) -> None:
        """Raise it above everything, centred, with the focus on the safe or required part."""
        root = self._root
        root.update_idletasks()
        width, height = root.winfo_reqwidth(), root.winfo_reqheight()
        x = max(0, (root.winfo_screenwidth() - width) // 2)
        y = max(0, (root.winfo_screenheight() - height) // 3)
        root.geometry(f"+{x}+{y}")
        if root.tk.call("tk", "windowingsystem") == "x11":
            root.attributes("-type", "dialog")

        def mapped(event: tkinter.Event[tkinter.Misc]) -> None:
            if event.widget is root:  # not one of its children
                root.unbind("<Map>")
                on_shown()

        root.bind("<Map>", mapped)
        root.deiconify()
        root.lift()
        # On top until it has had the keyboard, then like any window: a password manager may have to
        # cover it.
        root.attributes("-topmost", True)
        # Tk defers this until that part is on the screen; of two calls, the last counts.
        self._first.focus_force()

    def come_forward(self) -> None:
        """The user asked for the window, so keys are meant for it."""
        tk_window.bring(self._root)
        (self._root.focus_lastfor() or self._root).focus_force()

    def _px(self, size: int) -> int:
        return round(size * self._scale)

    # --- parts ------------------------------------------------------------------------------------

    def _add_heading(self, frame: ttk.Frame, icon: tkinter.PhotoImage | None) -> None:
        question = self._question
        heading = ttk.Frame(frame)
        heading.grid(sticky="we")
        wrap = self._px(_WIDTH)
        if icon is not None:
            self._icon = icon.subsample(max(1, icon.width() // self._px(_ICON_SIZE)))
            ttk.Label(heading, image=self._icon).grid(
                row=0, column=0, rowspan=2, sticky="n", padx=(0, self._px(12))
            )
            wrap -= self._icon.width() + self._px(12)
        ttk.Label(heading, text=question.server, style="Server.TLabel", wraplength=wrap).grid(
            row=0, column=1, sticky="w"
        )
        ttk.Label(heading, text=question.title, style="Title.TLabel", wraplength=wrap).grid(
            row=1, column=1, sticky="w", pady=(self._px(2), 0)
        )

    def _add_message(self, frame: ttk.Frame) -> None:
        """Selectable text, with fingerprints in a fixed-width font."""
        scaling = self._scaling
        holder = ttk.Frame(frame)
        holder.grid(sticky="we", pady=(self._px(10), 0))
        text = tkinter.Text(
            holder,
            wrap="word",
            width=1,
            height=1,
            relief="flat",
            borderwidth=0,
            highlightthickness=0,
            takefocus=False,
            cursor="xterm",
            font=scaling.text_font,
            foreground=scaling.foreground,
            background=scaling.background,
            padx=self._px(1),
            spacing3=self._px(2),
        )
        text.tag_configure("fingerprint", font=scaling.fixed_font, wrap="char")
        message = self._question.message
        end = 0
        for match in _FINGERPRINT.finditer(message):
            text.insert("end", message[end : match.start()])
            text.insert("end", match.group(), "fingerprint")
            end = match.end()
        text.insert("end", message[end:])
        text.configure(state="disabled")
        text.bind("<Button-1>", lambda _: text.focus_set())  # a disabled text ignores clicks
        # The width of a text is in characters; a strut sets it in pixels.
        ttk.Frame(holder, width=self._px(_WIDTH), height=0).grid(row=0, column=0)
        text.grid(row=1, column=0, sticky="we")
        holder.update_idletasks()
        # Not `text.count`: its result differs between versions of Python.
        lines = int(text.tk.call(text, "count", "-update", "-displaylines", "1.0", "end"))
        line_height = scaling.text_font.metrics("linespace") + self._px(2)
        room = max(4, int(text.winfo_screenheight() * _MESSAGE_SHARE / line_height))
        text.configure(height=min(lines, room))
        if lines > room:
            bar = ttk.Scrollbar(holder, command=text.yview, takefocus=False)
            bar.grid(row=1, column=1, sticky="ns")
            text.configure(yscrollcommand=bar.set)

    def _add_options(self, frame: ttk.Frame) -> None:
        """The options below the fields, if they apply to them."""
        row = ttk.Frame(frame)
        row.columnconfigure(0, weight=1)
        if self._question.can_remember:
            ttk.Checkbutton(row, text="Remember in the keyring", variable=self._remember).grid(
                row=0, column=0, sticky="w"
            )
        if any(field.secret for field in self._question.fields):
            ttk.Checkbutton(
                row, text="Show characters", variable=self._reveal, command=self._show_characters
            ).grid(row=0, column=1, sticky="e")
        if row.winfo_children():
            row.grid(sticky="we", pady=(self._px(10), 0))

    def _add_buttons(self, frame: ttk.Frame) -> tuple[ttk.Button, ttk.Button]:
        row = ttk.Frame(frame)
        row.grid(sticky="e", pady=(self._px(18), 0))
        cancel = ttk.Button(row, text="Cancel", command=self._decline)
        confirm = ttk.Button(row, text=self._question.confirm, command=self._accept)
        default = confirm if self._question.fields else cancel
        default.configure(default="active")
        if default is confirm:
            confirm.configure(style="Primary.TButton")
        cancel.grid(row=0, column=0)
        confirm.grid(row=0, column=1, padx=(self._px(8), 0))
        return confirm, cancel

    # --- keys and clicks --------------------------------------------------------------------------

    def _bind_keys(self) -> None:
        root = self._root
        root.bind("<FocusIn>", lambda _: self._focused())
        root.bind("<Escape>", lambda _: self._decline())
        for key in ("<Return>", "<KP_Enter>"):
            root.bind(key, lambda _: self._on_return())
            for box in self._boxes:  # otherwise a text would insert a line end first
                box.widget.bind(f"<Control-{key[1:]}", self._on_control_return)
        # Everywhere else this selects all; Tk on X11 moves to the beginning of the line.
        root.event_delete("<<LineStart>>", "<Control-a>", "<Control-Key-a>")
        root.event_add("<<SelectAll>>", "<Control-a>")
        # Before the widgets' own bindings.
        root.bind_class("Guard", "<KeyPress>", self._on_key)
        root.bind_class("Guard", "<KeyRelease>", self._on_key_release)
        root.bind_class("Guard", "<ButtonPress-1>", self._on_click)
        # While Tk waits for another program's clipboard, it handles other events.
        root.bind_class("Guard", "<<Paste>>", lambda _: self._set_pasting(True))
        root.bind("<<Paste>>", lambda _: self._set_pasting(False))
        for widget in _descendants(root):
            widget.bindtags(("Guard", *widget.bindtags()))

    def _focused(self) -> None:
        self._guard.focused(time.monotonic())
        self._root.attributes("-topmost", False)
        if self._root.focus_get() is self._root:
            # Tk waits until the part is visible, and loses the keys before that.
            self._root.update_idletasks()  # this maps it
            self._first.focus_force()

    def _set_pasting(self, pasting: bool) -> None:
        self._pasting = pasting

    def _on_key(self, event: tkinter.Event[tkinter.Misc]) -> str | None:
        if event.keysym == "Caps_Lock":
            self._lock_was_on = _is_locked(event)
        stray = self._guard.key(time.monotonic())
        presses_button = event.keysym == "space" and isinstance(event.widget, ttk.Button)
        if stray and (event.keysym in _ANSWERING_KEYS or presses_button):
            for box in self._boxes:
                if box.widget is event.widget:
                    box.select_all()  # typing replaces it
            return "break"
        if self._pasting and event.keysym in _ANSWERING_KEYS - {"Escape"}:
            return "break"  # the clipboard has not answered yet
        return None

    def _on_key_release(self, event: tkinter.Event[tkinter.Misc]) -> None:
        # The state precedes the event: the release of the second press unlocks.
        locked = not self._lock_was_on if event.keysym == "Caps_Lock" else _is_locked(event)
        hides = any(field.secret for field in self._question.fields) and not self._reveal.get()
        if locked and hides:
            self._caps_lock.grid()
        else:
            self._caps_lock.grid_remove()

    def _on_click(self, event: tkinter.Event[tkinter.Misc]) -> str | None:
        on_button = isinstance(event.widget, ttk.Button)
        return "break" if on_button and self._guard.click(time.monotonic()) else None

    def _on_return(self) -> None:
        """The focused button's action, else the default: no, unless there are fields."""
        focused = self._root.focus_get()
        if focused is self._cancel:
            self._decline()
        elif focused is self._confirm:
            self._accept()
        elif not self._boxes:
            self._decline()
        else:
            self._on_return_in(focused)

    def _on_control_return(self, _event: object) -> str:
        self._accept()
        return "break"

    def _on_return_in(self, focused: tkinter.Misc | None) -> None:
        numbers = [n for n, box in enumerate(self._boxes) if box.widget is focused]
        current = numbers[0] if numbers else len(self._boxes)
        if numbers and isinstance(self._boxes[current], TextBox):
            return  # a line end within the text
        following = prompt_text.next_to_fill(self._question, self._values(), current)
        if following is None:
            self._accept()
        else:
            self._boxes[following].widget.focus_set()

    # --- the answer -------------------------------------------------------------------------------

    def _values(self) -> tuple[str, ...]:
        return tuple(box.value() for box in self._boxes)

    def _show_characters(self) -> None:
        for box in self._boxes:
            box.reveal(shown=self._reveal.get())

    def _is_complete(self) -> bool:
        return prompt_text.is_complete(self._question, self._question.fields, self._values())

    def _update(self) -> None:
        self._confirm.state(["!disabled" if self._is_complete() else "disabled"])

    def _accept(self) -> None:
        if self._is_complete():
            self.answer = Answer(self._values(), self._remember.get())
            self._root.destroy()

    def _decline(self) -> None:
        self.answer = None
        self._root.destroy()


def _descendants(widget: tkinter.Misc) -> list[tkinter.Misc]:
    children = widget.winfo_children()
    return [*children, *(below for child in children for below in _descendants(child))]


def _is_locked(event: tkinter.Event[tkinter.Misc]) -> bool:
    return isinstance(event.state, int) and bool(event.state & _LOCK_MASK)


def _read_icon(root: tkinter.Tk, path: str) -> tkinter.PhotoImage | None:
    try:
        icon = tkinter.PhotoImage(master=root, file=path)
        root.iconphoto(True, icon)
    except tkinter.TclError as error:
        sys.stderr.write(f"the icon is left out: {error}\n")
        return None
    return icon


def main() -> int:
    """Ask one question, and return the exit code."""
    no_core_dumps()
    lines = tk_window.StdinLines()
    question, icon_path, guard = window_prompter.decode_question(lines.next() or b"")
    tk_scale.prepare_process()
    root = tk_window.make_root()
    icon = _read_icon(root, icon_path) if icon_path else None
    window = PromptWindow(root, question, KeyGuard(guard), icon)
    window.show(lambda: helper_process.write_stdout(window_prompter.SHOWN))
    tk_window.follow(root, lines, lambda _: window.come_forward())
    root.mainloop()
    helper_process.write_stdout(window_prompter.encode_answer(window.answer))
    return 0
