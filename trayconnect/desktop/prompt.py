"""How to ask the user here: a window, a dialog program, the terminal, or not at all."""

from __future__ import annotations

import sys
from pathlib import Path

from trayconnect.cancel import Cancel
from trayconnect.desktop import helpers
from trayconnect.desktop.prompt_dialog import DialogPrompter, installed_dialog
from trayconnect.desktop.prompt_gui import WindowPrompter
from trayconnect.desktop.prompt_terminal import TerminalPrompter, has_terminal
from trayconnect.errors import Problem, ProblemError, Remedy
from trayconnect.ports import Answer, Prompter, Question


def prompter(interactive_terminal: bool, icon: Path | None = None) -> Prompter:
    """The best way to ask.

    `interactive_terminal`: the app lives in a terminal (`--no-tray`), so questions belong there.
    `icon`: a PNG file for windows.
    """
    if interactive_terminal and has_terminal():
        return TerminalPrompter()
    if helpers.has_display() and helpers.has_tkinter():
        return WindowPrompter(icon)
    dialog = installed_dialog() if helpers.has_screen() else None
    if dialog is not None:
        return DialogPrompter(dialog)
    if has_terminal():
        return TerminalPrompter()
    return RefusingPrompter()


class RefusingPrompter:
    """`ports.Prompter` where there is no way to ask."""

    def ask(self, question: Question, cancel: Cancel) -> Answer | None:  # noqa: ARG002
        install = " Install python3-tk to be asked in a window." if sys.platform == "linux" else ""
        raise ProblemError(
            Problem(
                "A question is open, and there is no way to ask you",
                f"{question.title.rstrip('.')}: to be asked, run `trayconnect run --no-tray` in a "
                f"terminal.{install}",
                Remedy.USER,
            )
        )
