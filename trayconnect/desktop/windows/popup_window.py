"""The helper process of the popup menu: the menu comes over stdin, the choice goes over stdout (see
`popup_menu`)."""

from __future__ import annotations

import tkinter
from functools import partial
from typing import Literal

from trayconnect.desktop import helper_process
from trayconnect.desktop.windows import popup_menu, tk_scale, tk_window
from trayconnect.desktop.windows.popup_menu import MenuLine

GRAB_TRIES = 40
GRAB_PAUSE_MS = 50
"""Milliseconds between two tries: another program may have grabbed the pointer, such as a panel
during a click."""


class Popup:
    """Builds the menu in `root`, which stays hidden; `choice` is set at the end."""

    def __init__(self, root: tkinter.Tk, lines: tuple[MenuLine, ...]) -> None:
        self.choice: tuple[str, ...] = ()
        self._root = root
        self._menu_style = tk_scale.menu_look(root, tk_scale.scale(root))
        self._marks: list[tkinter.BooleanVar] = []  # the check mark disappears with its variable
        self._menu = self._build(root, lines, ())

    def show(self, at: tuple[int, int]) -> None:
        """Open it next to that point, within the screen."""
        self._menu.bind("<Unmap>", lambda _: self._root.after_idle(self._end))
        self._post(*at, GRAB_TRIES)

    def _post(self, x: int, y: int, tries: int) -> None:
        # Below the point, or above it if there is no room, as near a panel at the bottom.
        self._menu.update_idletasks()
        width, height = self._menu.winfo_reqwidth(), self._menu.winfo_reqheight()
        left = max(0, min(x, self._root.winfo_screenwidth() - width))
        top = y if y + height <= self._root.winfo_screenheight() else max(0, y - height)
        try:
            self._menu.tk_popup(left, top)
        except tkinter.TclError:
            if tries:
                self._root.after(GRAB_PAUSE_MS, self._post, x, y, tries - 1)
            else:
                self._root.destroy()  # without the grab, a click elsewhere would not close it
        else:
            self._menu.focus_force()  # Tk ignores the keys without it

    def _build(
        self, parent: tkinter.Misc, lines: tuple[MenuLine, ...], path: tuple[str, ...]
    ) -> tkinter.Menu:
        menu = tkinter.Menu(parent, tearoff=False, **self._menu_style)
        for line in lines:
            keys = (*path, line.key)
            state: Literal["normal", "disabled"] = "normal" if line.enabled else "disabled"
            if line.separator:
                menu.add_separator()
            elif line.children:
                below = self._build(menu, line.children, keys)
                menu.add_cascade(label=line.text, menu=below, state=state)
            elif line.checked is None:
                menu.add_command(label=line.text, state=state, command=partial(self._choose, keys))
            else:
                mark = tkinter.BooleanVar(self._root, value=line.checked)
                self._marks.append(mark)
                menu.add_checkbutton(
                    label=line.text,
                    state=state,
                    variable=mark,
                    command=partial(self._choose, keys),
                )
        self._break(menu, len(lines))
        return menu

    def _break(self, menu: tkinter.Menu, count: int) -> None:
        """Tk's menus do not scroll, so a long one is split into columns."""
        menu.update_idletasks()
        height = menu.winfo_reqheight()
        room = self._root.winfo_screenheight() - 2 * menu.yposition(0)
        if height > room:
            column = max(1, count * room // height - 1)
            for index in range(column, count, column):
                menu.entryconfigure(index, columnbreak=True)

    def _choose(self, keys: tuple[str, ...]) -> None:
        self.choice = keys
        self._root.after_idle(self._root.destroy)  # not during Tk's own menu code

    def _end(self) -> None:
        """The menu was closed. The choice is reported before or after that, depending on how it was
        made."""
        self._root.after(100, self._root.destroy)


def main() -> int:
    """Show one menu, and return the exit code."""
    lifeline = tk_window.StdinLines()
    lines, at = popup_menu.decode_menu(lifeline.next() or b"")
    tk_scale.prepare_process()
    root = tk_window.make_root()
    popup = Popup(root, lines)
    popup.show(at)
    tk_window.follow(root, lifeline, lambda _: None)
    root.mainloop()
    helper_process.write_stdout(popup_menu.encode_choice(popup.choice))
    return 0
