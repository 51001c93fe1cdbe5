"""Scaling of our tkinter windows: sizes that follow the screen's density, fonts, colours."""

from __future__ import annotations

import contextlib
import ctypes
import signal
import sys
import tkinter
from dataclasses import dataclass
from tkinter import font as tkfont
from tkinter import ttk
from typing import Any

_BACKGROUND = "#fafafa"
_FOREGROUND = "#1f2328"
_FAINT = "#59636e"
_BORDER = "#c4cad1"
_ACCENT = "#0b65c2"
_WARNING = "#9a5b00"


@dataclass(frozen=True, slots=True)
class Scaling:
    """The fonts, which exist as long as this object, and the colours for a plain `tkinter.Text`,
    which ttk's styles do not affect."""

    title_font: tkfont.Font
    text_font: tkfont.Font
    group_font: tkfont.Font
    fixed_font: tkfont.Font
    background: str
    foreground: str
    field: str
    """Background of inputs."""
    border: str
    accent: str


def prepare_process() -> None:
    """Before the first window. Control-C in the app's terminal is for the app, which closes its
    windows; and on Windows, request real pixels instead of a blurred zoom."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if sys.platform == "win32":
        with contextlib.suppress(AttributeError, OSError):  # before Windows 8.1
            ctypes.windll.shcore.SetProcessDpiAwareness(1)


def scale(root: tkinter.Tk) -> float:
    """The number of pixels in 1/96 inch, between 1 and 4."""
    density = root.winfo_fpixels("1i")
    if root.tk.call("tk", "windowingsystem") == "x11":
        xft = _xft_density()
        density = max(density, xft)
        if xft > 0:
            # Tk converts a font's pixels to points by its own density, and Xft back by this one.
            root.tk.call("tk", "scaling", xft / 72)
    return min(4.0, max(1.0, round(density / 96 * 4) / 4))


def apply_look(root: tkinter.Tk, factor: float) -> Scaling:
    """Set fonts and ttk styles. macOS and Windows keep the platform's theme; the bare X11 one is
    replaced."""

    def sized(font: str, pixels: int, weight: str | None = None) -> tkfont.Font:
        copy = tkfont.nametofont(font, root).copy()
        copy.configure(size=-round(pixels * factor))  # negative means pixels
        if weight == "bold":
            copy.configure(weight="bold")
        return copy

    text = sized("TkDefaultFont", 13)
    title = sized("TkDefaultFont", 16, "bold")
    group = sized("TkDefaultFont", 13, "bold")
    fixed = sized("TkFixedFont", 12)
    for name in ("TkDefaultFont", "TkTextFont"):
        tkfont.nametofont(name, root).configure(size=text.cget("size"))

    style = ttk.Style(root)
    if root.tk.call("tk", "windowingsystem") == "x11":
        _apply_colours(root, style, factor)
    style.configure("Title.TLabel", font=title)
    style.configure("Group.TLabel", font=group, foreground=_FAINT)
    style.configure("Server.TLabel", font=text, foreground=_FAINT)
    background = style.lookup("TFrame", "background") or root.cget("background")
    foreground = style.lookup("TLabel", "foreground") or "black"
    style.configure("Warning.TLabel", font=text, foreground=_WARNING)
    field = style.lookup("TEntry", "fieldbackground") or "white"
    return Scaling(title, text, group, fixed, background, foreground, field, _BORDER, _ACCENT)


def menu_look(root: tkinter.Tk, factor: float) -> dict[str, Any]:
    """Options for a `tkinter.Menu` on X11, which ttk's styles do not affect. Its font exists as
    long as they do."""
    font = tkfont.nametofont("TkMenuFont", root).copy()
    font.configure(size=-round(13 * factor))
    return {
        "font": font,
        "background": _BACKGROUND,
        "foreground": _FOREGROUND,
        "activebackground": _ACCENT,
        "activeforeground": "white",
        "disabledforeground": _FAINT,
        "selectcolor": _FOREGROUND,
        "borderwidth": 1,
        "activeborderwidth": round(2 * factor),
        "relief": "solid",
    }


def _apply_colours(root: tkinter.Tk, style: ttk.Style, factor: float) -> None:
    def px(size: int) -> int:
        return round(size * factor)

    style.theme_use("clam")
    root.configure(background=_BACKGROUND)
    style.configure(
        ".",
        background=_BACKGROUND,
        foreground=_FOREGROUND,
        bordercolor=_BORDER,
        lightcolor=_BACKGROUND,
        darkcolor=_BACKGROUND,
        focuscolor=_ACCENT,
    )
    style.configure("TEntry", padding=px(5), fieldbackground="white", lightcolor="white")
    style.map("TEntry", bordercolor=[("focus", _ACCENT)], lightcolor=[("focus", _ACCENT)])
    style.configure("TButton", padding=(px(12), px(4)), background="#eef0f3")
    style.map(
        "TButton",
        background=[("disabled", _BACKGROUND), ("active", "#e1e5ea")],
        foreground=[("disabled", "#9aa3ad")],
        bordercolor=[("focus", _ACCENT)],
    )
    style.configure("Primary.TButton", background=_ACCENT, foreground="white")
    style.map(
        "Primary.TButton",
        background=[("disabled", _BACKGROUND), ("active", "#0a57a8")],
        bordercolor=[("disabled", _BORDER), ("focus", _FOREGROUND), ("!focus", _ACCENT)],
        lightcolor=[("!disabled", _ACCENT)],
        darkcolor=[("!disabled", _ACCENT)],
        focuscolor=[("focus", "white")],
    )
    style.configure("TMenubutton", padding=(px(10), px(4)), background="#eef0f3", arrowsize=px(5))
    style.map(
        "TMenubutton",
        background=[("active", "#e1e5ea")],
        bordercolor=[("focus", _ACCENT)],
    )
    style.configure("TScrollbar", arrowsize=px(13))
    style.configure("TCheckbutton", indicatorsize=px(13), indicatormargin=(0, 0, px(6), 0))
    style.map(
        "TCheckbutton",
        background=[("active", _BACKGROUND)],
        indicatorcolor=[("selected", _ACCENT), ("!selected", "white")],
    )


def _xft_density() -> float:
    """`Xft.dpi` of the X resources, where GNOME and KDE put their scale; 0 if it is not set.

    Tk looks resources up by the application's name, so there is briefly an application of the class
    "Xft"."""
    probe = tkinter.Tk(className="Xft")
    try:
        probe.withdraw()
        return float(probe.tk.call("option", "get", ".", "dpi", "Dpi") or 0)
    except ValueError:
        return 0.0
    finally:
        probe.destroy()
