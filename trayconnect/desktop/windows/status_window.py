"""The process of the status window, for `status`: pages come over stdin, the commands of clicked
buttons go over stdout. It ends with stdin; closing it ends nothing else."""

from __future__ import annotations

import json
import tkinter
from collections.abc import Callable, Iterable
from functools import partial
from tkinter import ttk
from typing import Any

from trayconnect.core.command import Button, Command
from trayconnect.desktop import helper_process
from trayconnect.desktop.windows import status, tk_scale, tk_window
from trayconnect.desktop.windows.status import Row, StatusPage

TITLE = "trayconnect"
_WIDTH = 440
_ICON = 24
_OTHER_VERSION = StatusPage(
    notice="The running trayconnect is of another version than this window.\n"
    "Quit it from its menu, and start it again."
)
"""Shown for a page that cannot be decoded: an app that was running during an update sent it."""
_SHARE = 0.6
"""The share of the screen's height for the servers; more of them scroll."""

OnClick = Callable[[Command], None]
MakeMore = Callable[[tkinter.Misc, tuple[Button, ...], OnClick], ttk.Menubutton]


class StatusView:
    """Builds the window in `root`, and updates it to the latest page."""

    def __init__(self, root: tkinter.Tk, click: OnClick) -> None:
        self._root = root
        self._click = click
        self._scale = tk_scale.scale(root)
        self._look = tk_scale.apply_look(root, self._scale)
        self._menu_look = tk_scale.menu_look(root, self._scale)
        self._icons: dict[str, tkinter.PhotoImage] = {}
        self._rows: list[_RowView] = []
        self._headings: list[_Heading] = []
        self._page = StatusPage()
        self._was_placed = False
        root.title(TITLE)
        root.bind("<Escape>", lambda _: root.destroy())
        root.columnconfigure(0, weight=1)
        root.rowconfigure(1, weight=1)

        self._notice = ttk.Label(root, wraplength=self._px(_WIDTH), padding=self._px(12))
        self._canvas = tkinter.Canvas(
            root, highlightthickness=0, borderwidth=0, background=self._look.background
        )
        self._canvas.grid(row=1, column=0, sticky="nsew")
        self._bar = ttk.Scrollbar(root, command=self._canvas.yview)
        self._canvas.configure(yscrollcommand=self._bar.set)
        self._list = ttk.Frame(self._canvas, padding=(self._px(16), self._px(8)))
        self._list.columnconfigure(0, weight=1)
        self._inside = self._canvas.create_window(0, 0, anchor="nw", window=self._list)
        self._canvas.bind("<Configure>", lambda event: self._widen(event.width))
        for wheel, step in (("<Button-4>", -1), ("<Button-5>", 1)):
            root.bind(wheel, lambda _, step=step: self._scroll(step))  # type: ignore[misc]
        # What Windows and macOS send, and X11 never.
        root.bind("<MouseWheel>", lambda event: self._scroll(-1 if event.delta > 0 else 1))
        ttk.Separator(root).grid(row=2, column=0, columnspan=2, sticky="we")
        self._foot = ttk.Frame(root, padding=(self._px(16), self._px(10)))
        self._foot.grid(row=3, column=0, columnspan=2, sticky="we")
        self._foot_page: tuple[object, ...] = ()
        self._foot_more: ttk.Menubutton | None = None

    def take_icons(self, icons: dict[str, dict[str, str]], window: str) -> None:
        """Pictures by state and size, in base64; the path of the window's own."""
        wanted = self._px(_ICON)
        for state, sizes in icons.items():
            best = min(sizes, key=lambda size: abs(int(size) - wanted))
            self._icons[state] = tkinter.PhotoImage(master=self._root, data=sizes[best])
        if window:
            self._root.iconphoto(True, tkinter.PhotoImage(master=self._root, file=window))

    def show(self, page: StatusPage) -> None:
        """A part with an open menu changes after that is closed: otherwise the menu would vanish
        under the pointer, and the click would hit a button below it."""
        self._page = page
        self._notice.configure(text=page.notice)
        if page.notice:
            self._notice.grid(row=0, column=0, columnspan=2, sticky="we")
        else:
            self._notice.grid_remove()
        if _places_of(page.rows) != _places_of(view.row for view in self._rows):
            self._rebuild(page)
        for heading in self._headings:
            heading.show({group.name: group.more for group in page.groups})
        for view, row in zip(self._rows, page.rows, strict=True):
            view.show(row)
        self._show_foot(page)
        self._root.update_idletasks()
        self._fit()

    def to_front(self) -> None:
        root = self._root
        root.update_idletasks()
        if not self._was_placed:
            self._was_placed = True
            x = max(0, (root.winfo_screenwidth() - root.winfo_reqwidth()) // 2)
            y = max(0, (root.winfo_screenheight() - root.winfo_reqheight()) // 3)
            root.geometry(f"+{x}+{y}")
        tk_window.bring(root)
        root.focus_force()

    def _px(self, size: int) -> int:
        return round(size * self._scale)

    def _catch_up(self) -> None:
        """A menu has closed."""
        self.show(self._page)

    def _rebuild(self, page: StatusPage) -> None:
        for child in self._list.winfo_children():
            child.destroy()
        self._rows, self._headings = [], []
        make_more = partial(_more, look=self._menu_look, closed=self._catch_up)
        if not page.rows and not page.notice:
            empty = ttk.Label(self._list, text="No servers yet", style="Server.TLabel")
            empty.grid(sticky="w", pady=self._px(12))
        group = ""
        for number, row in enumerate(page.rows):
            if number:
                ttk.Separator(self._list).grid(sticky="we", pady=self._px(8))
            if row.group != group:
                group = row.group
                heading = _Heading(self._list, group, self._click, self._px, make_more)
                self._headings.append(heading)
            frame = ttk.Frame(self._list)
            frame.grid(sticky="we", pady=self._px(2))
            self._rows.append(
                _RowView(
                    frame,
                    row,
                    self._icons,
                    self._click,
                    self._px,
                    make_more,
                )
            )

    def _show_foot(self, page: StatusPage) -> None:
        wanted = (page.edit, page.more, page.quit)
        if wanted == self._foot_page or _is_open(self._foot_more):
            return
        self._foot_page, self._foot_more = wanted, None
        for child in self._foot.winfo_children():
            child.destroy()
        self._foot.columnconfigure(1, weight=1)
        if page.edit is not None:
            _button(self._foot, page.edit, self._click).grid(row=0, column=0)
        if page.more:
            more = _more(self._foot, page.more, self._click, self._menu_look, self._catch_up)
            self._foot_more = more
            more.grid(row=0, column=1, sticky="w", padx=self._px(8))
        if page.quit is not None:
            _button(self._foot, page.quit, self._click).grid(row=0, column=2, sticky="e")

    def _fit(self) -> None:
        """Make the window as wide and as high as its rows need. Rows that do not fit scroll."""
        height, wanted = self._list.winfo_reqheight(), self._list.winfo_reqwidth()
        room = round(self._root.winfo_screenheight() * _SHARE)
        width = min(max(self._px(_WIDTH), wanted), self._root.winfo_screenwidth())
        self._canvas.configure(
            width=width,
            height=min(height, room),
            scrollregion=(0, 0, 1, height),
        )
        bar = self._bar.winfo_reqwidth() if height > room else 0
        self._root.minsize(width + bar, 1)
        if height > room:
            self._bar.grid(row=1, column=1, sticky="ns")
        else:
            self._bar.grid_remove()

    def _widen(self, width: int) -> None:
        self._canvas.itemconfigure(self._inside, width=width)

    def _scroll(self, step: int) -> None:
        if self._bar.winfo_ismapped():
            self._canvas.yview_scroll(step * 2, "units")


class _Heading:
    """The name of a group, and commands for all of it."""

    def __init__(
        self,
        parent: tkinter.Misc,
        name: str,
        click: OnClick,
        px: Callable[[int], int],
        make_more: MakeMore,
    ) -> None:
        self._name = name
        self._click = click
        self._make_more = make_more
        self._shown: tuple[Button, ...] = ()
        self._more: ttk.Menubutton | None = None
        self._frame = ttk.Frame(parent)
        self._frame.grid(sticky="we", pady=px(2))
        self._frame.columnconfigure(0, weight=1)
        label = ttk.Label(self._frame, text=name, style="Group.TLabel", wraplength=px(_WIDTH - 100))
        label.grid(row=0, column=0, sticky="w")

    def show(self, groups: dict[str, tuple[Button, ...]]) -> None:
        buttons = groups.get(self._name, ())
        if buttons == self._shown or _is_open(self._more):
            return
        self._shown = buttons
        if self._more is not None:
            self._more.destroy()
        self._more = self._make_more(self._frame, buttons, self._click)
        self._more.grid(row=0, column=1)


class _RowView:
    """A server: its state, its buttons, its problem."""

    def __init__(
        self,
        frame: ttk.Frame,
        row: Row,
        icons: dict[str, tkinter.PhotoImage],
        click: OnClick,
        px: Callable[[int], int],
        make_more: MakeMore,
    ) -> None:
        self.row = row
        self._shown: Row | None = None
        self._icons = icons
        self._click = click
        self._px = px
        self._make_more = make_more
        self._more: ttk.Menubutton | None = None
        frame.columnconfigure(1, weight=1)
        self._icon = ttk.Label(frame)
        self._icon.grid(row=0, column=0, rowspan=2, padx=(0, px(12)))
        self._name = ttk.Label(frame, text=row.name, style="Title.TLabel", wraplength=px(230))
        self._name.grid(row=0, column=1, sticky="w")
        self._words = ttk.Label(frame, style="Server.TLabel", wraplength=px(230))
        self._words.grid(row=1, column=1, sticky="w")
        self._buttons = ttk.Frame(frame)
        self._buttons.grid(row=0, column=2, rowspan=2, padx=(px(12), 0))
        # The toggle outlives changes, so that it keeps the keyboard.
        self._toggle = ttk.Button(self._buttons)
        self._toggle.grid(row=0, column=1)
        self._others: list[tkinter.Widget] = []
        self._problem = ttk.Label(frame, wraplength=px(_WIDTH - 60))
        self._advice = ttk.Label(frame, style="Server.TLabel", wraplength=px(_WIDTH - 60))

    def show(self, row: Row) -> None:
        if row == self._shown or _is_open(self._more):
            return
        self.row = self._shown = row
        self._icon.configure(image=self._icons.get(row.icon, ""))
        self._words.configure(text=row.words)
        self._toggle.configure(
            text=row.toggle.text, command=partial(self._click, row.toggle.command)
        )
        for widget in self._others:
            widget.destroy()
        self._others, self._more = [], None
        if row.main is not None:
            main = _button(self._buttons, row.main, self._click)
            main.configure(style="Primary.TButton")
            main.grid(row=0, column=0, padx=(0, self._px(8)))
            self._others.append(main)
        if row.more:
            self._more = self._make_more(self._buttons, row.more, self._click)
            self._more.grid(row=0, column=2, padx=(self._px(8), 0))
            self._others.append(self._more)
        lines = ((self._problem, row.problem, "⚠ "), (self._advice, row.advice, ""))
        for number, (label, text, mark) in enumerate(lines, 2):
            label.configure(text=mark + text)
            if text:
                label.grid(row=number, column=1, columnspan=2, sticky="w", pady=(self._px(4), 0))
            else:
                label.grid_remove()


def _button(parent: tkinter.Misc, button: Button, click: OnClick) -> ttk.Button:
    made = ttk.Button(parent, text=button.text, command=partial(click, button.command))
    made.state(["!disabled" if button.enabled else "disabled"])
    return made


def _more(
    parent: tkinter.Misc,
    buttons: tuple[Button, ...],
    click: OnClick,
    look: dict[str, Any],
    closed: Callable[[], object],
) -> ttk.Menubutton:
    """`closed` is called after the menu was closed and the chosen command was sent."""
    made = ttk.Menubutton(parent, text="More", width=5)
    menu = tkinter.Menu(made, tearoff=False, **look)
    menu.marks = []  # type: ignore[attr-defined]  # a mark is lost with its variable
    for button in buttons:
        add = menu.add_command
        mark: dict[str, Any] = {}
        if button.checked is not None:  # Tk gives all labels room for a mark, and aligns them
            add = menu.add_checkbutton
            mark["variable"] = tkinter.BooleanVar(menu, value=button.checked)
            menu.marks.append(mark["variable"])  # type: ignore[attr-defined]
        add(
            label=button.text,
            state="normal" if button.enabled else "disabled",
            command=partial(click, button.command),
            **mark,
        )
    menu.bind("<Unmap>", lambda _: parent.winfo_toplevel().after_idle(closed))
    made.configure(menu=menu)
    return made


def _places_of(rows: Iterable[Row]) -> list[tuple[str, str]]:
    return [(row.name, row.group) for row in rows]


def _is_open(more: ttk.Menubutton | None) -> bool:
    return more is not None and any(menu.winfo_ismapped() for menu in more.winfo_children())


def take(view: StatusView, line: bytes) -> None:
    """Handle a message from the app."""
    message: dict[str, Any] = json.loads(line)
    if "icons" in message:
        view.take_icons(message["icons"], message["window"])
    if "page" in message:
        try:
            page = status.decode_page(message["page"])
        except ValueError:
            page = _OTHER_VERSION
        view.show(page)
        if message["front"]:
            view.to_front()
            helper_process.write_stdout(status.IN_FRONT)


def main() -> int:
    """Show it until it is closed, and return the exit code."""
    tk_scale.prepare_process()
    root = tk_window.make_root()

    def click(command: Command) -> None:
        helper_process.write_stdout(status.encode_click(command))

    view = StatusView(root, click)
    tk_window.follow(root, tk_window.StdinLines(), partial(take, view))
    root.mainloop()
    return 0
