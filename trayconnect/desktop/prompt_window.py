"""The window that asks: a program of its own, for `prompt_gui` (question and answer: JSON over
stdin and stdout, see `prompt_wire`). Closing it declines."""

from __future__ import annotations

import os
import re
import sys
import tkinter
from tkinter import ttk

from trayconnect.desktop import helpers, prompt_wire, tk_scale
from trayconnect.desktop.tk_parent import close_with_parent
from trayconnect.ports import Answer, Question

_WIDTH = 460
_MESSAGE_SHARE = 0.35
"""How much of the screen's height the message may take; the rest of it scrolls."""

# A fingerprint as OpenSSH prints it (sshkey.c): SHA256:base64, or MD5: and 16 pairs.
_FINGERPRINT = re.compile(r"SHA256:[A-Za-z0-9+/=]+|(?:MD5:)?(?:[0-9a-f]{2}:){15}[0-9a-f]{2}")


class PromptWindow:
    """Builds the window in `root`; `answer` is set when it closes."""

    def __init__(self, root: tkinter.Tk, question: Question) -> None:
        self.answer: Answer | None = None
        self._root = root
        self._question = question
        self._scale = tk_scale.scale(root)
        self._look = tk_scale.apply_look(root, self._scale)
        self._entries: list[ttk.Entry] = []
        self._remember = tkinter.BooleanVar(root, value=False)

        root.title(f"trayconnect: {question.server}")
        root.protocol("WM_DELETE_WINDOW", self._decline)
        root.resizable(width=False, height=False)
        frame = ttk.Frame(root, padding=self._px(18))
        frame.grid(sticky="nsew")
        frame.columnconfigure(0, weight=1)
        self._add_heading(frame)
        if question.message:
            self._add_message(frame)
        for field in question.fields:
            self._add_entry(frame, field.label, secret=field.secret)
        if question.can_remember:
            ttk.Checkbutton(frame, text="Remember in the keyring", variable=self._remember).grid(
                sticky="w", pady=(self._px(10), 0)
            )
        self._confirm, self._cancel = self._add_buttons(frame)
        self._bind_keys()
        self._update()

    def show(self) -> None:
        """Put it in front of everything, centred, with the safe or needful part focused."""
        root = self._root
        root.update_idletasks()
        width, height = root.winfo_reqwidth(), root.winfo_reqheight()
        x = max(0, (root.winfo_screenwidth() - width) // 2)
        y = max(0, (root.winfo_screenheight() - height) // 3)
        root.geometry(f"+{x}+{y}")
        root.deiconify()
        root.lift()
        root.attributes("-topmost", True)
        # In front once, then like any window: a password manager may have to cover it.
        root.after(500, lambda: root.attributes("-topmost", False))
        # Tk defers this until that very part is on the screen; of two calls it keeps the last.
        (self._entries[0] if self._entries else self._cancel).focus_force()

    def _px(self, size: int) -> int:
        return round(size * self._scale)

    def _add_heading(self, frame: ttk.Frame) -> None:
        wrap = self._px(_WIDTH)
        question = self._question
        ttk.Label(frame, text=question.server, style="Server.TLabel", wraplength=wrap).grid(
            sticky="w"
        )
        ttk.Label(frame, text=question.title, style="Title.TLabel", wraplength=wrap).grid(
            sticky="w", pady=(self._px(2), 0)
        )

    def _add_message(self, frame: ttk.Frame) -> None:
        """A text that can be selected and copied, with fingerprints in a fixed-width font."""
        look = self._look
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
            font=look.text_font,
            foreground=look.foreground,
            background=look.background,
            padx=self._px(1),
            spacing3=self._px(2),
        )
        text.tag_configure("fingerprint", font=look.fixed_font, wrap="char")
        message = self._question.message
        end = 0
        for match in _FINGERPRINT.finditer(message):
            text.insert("end", message[end : match.start()])
            text.insert("end", match.group(), "fingerprint")
            end = match.end()
        text.insert("end", message[end:])
        text.configure(state="disabled")
        text.bind("<Button-1>", lambda _: text.focus_set())  # a disabled text ignores clicks
        # The width of a text counts in characters; a strut gives it in pixels.
        ttk.Frame(holder, width=self._px(_WIDTH), height=0).grid(row=0, column=0)
        text.grid(row=1, column=0, sticky="we")
        holder.update_idletasks()
        # Not `text.count`: what it returns differs between versions of Python.
        lines = int(text.tk.call(text, "count", "-update", "-displaylines", "1.0", "end"))
        line_height = look.text_font.metrics("linespace") + self._px(2)
        room = max(4, int(text.winfo_screenheight() * _MESSAGE_SHARE / line_height))
        text.configure(height=min(lines, room))
        if lines > room:
            bar = ttk.Scrollbar(holder, command=text.yview)
            bar.grid(row=1, column=1, sticky="ns")
            text.configure(yscrollcommand=bar.set)

    def _add_entry(self, frame: ttk.Frame, label: str, *, secret: bool) -> None:
        ttk.Label(frame, text=label, wraplength=self._px(_WIDTH)).grid(
            sticky="w", pady=(self._px(12), self._px(3))
        )
        entry = ttk.Entry(frame, show="\N{BULLET}" if secret else "", font=self._look.text_font)
        entry.grid(sticky="we")
        entry.bind("<KeyRelease>", lambda _: self._update())
        entry.bind("<<Paste>>", lambda _: self._root.after_idle(self._update))
        self._entries.append(entry)

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

    def _bind_keys(self) -> None:
        self._root.bind("<Escape>", lambda _: self._decline())
        for key in ("<Return>", "<KP_Enter>"):
            self._root.bind(key, lambda _: self._on_return())

    def _on_return(self) -> None:
        """The focused button's meaning, else the default's: no, unless there are fields."""
        focused = self._root.focus_get()
        if focused is self._cancel:
            self._decline()
        elif focused is self._confirm or self._entries:
            self._accept()
        else:
            self._decline()

    def _is_complete(self) -> bool:
        return all(entry.get() for entry in self._entries)

    def _update(self) -> None:
        self._confirm.state(["!disabled" if self._is_complete() else "disabled"])

    def _accept(self) -> None:
        empty = next((entry for entry in self._entries if not entry.get()), None)
        if empty is not None:
            empty.focus_set()
            return
        values = tuple(entry.get() for entry in self._entries)
        self.answer = Answer(values, self._remember.get())
        self._root.destroy()

    def _decline(self) -> None:
        self.answer = None
        self._root.destroy()


def main() -> int:
    """Ask one question, and return the exit code."""
    parent = os.getppid()
    question, icon = prompt_wire.decode_question(helpers.read_stdin())
    tk_scale.prepare_process()
    try:
        root = tkinter.Tk(className="trayconnect")
    except tkinter.TclError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    root.withdraw()
    if icon:
        try:
            root.iconphoto(True, tkinter.PhotoImage(master=root, file=icon))
        except tkinter.TclError as error:
            sys.stderr.write(f"the icon is left out: {error}\n")
    window = PromptWindow(root, question)
    window.show()
    close_with_parent(root, parent)
    root.mainloop()
    helpers.write_stdout(prompt_wire.encode_answer(window.answer))
    return 0


if __name__ == "__main__":
    sys.exit(main())
