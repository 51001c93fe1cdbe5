"""The helper process of the text window, for `text_view` (JSON over stdin)."""

from __future__ import annotations

import json
import sys
import tkinter
from tkinter import ttk
from typing import Any

from trayconnect.desktop.windows import tk_scale, tk_window

_COLUMNS = 92
_MOST_LINES, _FEWEST_LINES = 32, 6
_COPIED_MS = 1500


class TextWindow:
    """Builds the window in `root`."""

    def __init__(self, root: tkinter.Tk, title: str, text: str, *, at_end: bool) -> None:
        self._root = root
        self._text = text
        factor = tk_scale.scale(root)
        scaling = tk_scale.apply_look(root, factor)

        def px(size: int) -> int:
            return round(size * factor)

        root.title(title)
        root.columnconfigure(0, weight=1)
        root.rowconfigure(0, weight=1)
        frame = ttk.Frame(root, padding=px(14))
        frame.grid(sticky="nsew")
        frame.columnconfigure(0, weight=1)
        frame.rowconfigure(1, weight=1)
        ttk.Label(frame, text=title, style="Title.TLabel").grid(
            columnspan=2, sticky="w", pady=(0, px(8))
        )
        height = min(_MOST_LINES, max(_FEWEST_LINES, text.count("\n") + 2))
        body = tkinter.Text(
            frame,
            width=_COLUMNS,
            height=height,
            wrap="word",
            relief="flat",
            borderwidth=0,
            highlightthickness=0,
            font=scaling.fixed_font,
            foreground=scaling.foreground,
            background=scaling.background,
        )
        body.insert("1.0", text)
        body.configure(state="disabled")
        body.bind("<Button-1>", lambda _: body.focus_set())  # a disabled text ignores clicks
        body.grid(row=1, column=0, sticky="nsew")
        bar = ttk.Scrollbar(frame, command=body.yview)
        bar.grid(row=1, column=1, sticky="ns")
        body.configure(yscrollcommand=bar.set)
        if at_end:
            body.see("end")
        row = ttk.Frame(frame)
        row.grid(row=2, column=0, columnspan=2, sticky="e", pady=(px(12), 0))
        self._copy = ttk.Button(row, text="Copy", command=self._on_copy)
        self._copy.grid(row=0, column=0)
        close = ttk.Button(row, text="Close", command=root.destroy, default="active")
        close.grid(row=0, column=1, padx=(px(8), 0))
        root.bind("<Escape>", lambda _: root.destroy())
        # With a selection, a text copies that already.
        root.bind("<Control-c>", lambda _: None if body.tag_ranges("sel") else self._on_copy())
        close.bind("<Return>", lambda _: root.destroy())
        close.focus_set()

    def _on_copy(self) -> None:
        self._root.clipboard_clear()
        self._root.clipboard_append(self._text)
        self._copy.configure(text="Copied")
        self._root.after(_COPIED_MS, lambda: self._copy.configure(text="Copy"))


def main() -> int:
    """Show one text until it is closed; the exit code."""
    lines = tk_window.StdinLines()
    data: dict[str, Any] = json.loads(lines.next() or b"{}")
    tk_scale.prepare_process()
    root = tk_window.make_root()
    if data["icon"]:
        try:
            root.iconphoto(True, tkinter.PhotoImage(master=root, file=data["icon"]))
        except tkinter.TclError as error:
            sys.stderr.write(f"the icon is left out: {error}\n")
    TextWindow(root, data["title"], data["text"], at_end=data["at_end"])
    tk_window.bring(root)
    tk_window.follow(root, lines, lambda _: None)
    root.mainloop()
    return 0
