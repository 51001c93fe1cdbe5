"""The scripts for osascript(1), by reading: none can be compiled but on a Mac.

From the AppleScript Language Guide: "AppleScript Keywords" (appendix), "Constants", and the
commands `activate`, `display dialog` and `display notification` with their parameters. A word that
AppleScript or a scripting addition has (`yes` and `no` are two) is no variable.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import trayconnect
from trayconnect.core.questions import Field, Question, QuestionKind
from trayconnect.desktop.notifications.notifier import OsascriptDelivery
from trayconnect.desktop.prompts.dialog_prompter import Osascript

QUESTION = Question(QuestionKind.PASSWORD, "GPU box", "Log in", "words", (Field("Password"),), "Go")
SCRIPTS = {
    "confirm": Osascript().confirm(QUESTION)[2],
    "remember": Osascript().remember(QUESTION)[2],
    "secret": Osascript().enter(QUESTION, [Field("Password")], "")[2],
    "plain": Osascript().enter(QUESTION, [Field("User", secret=False)], "")[2],
    "lines": Osascript().enter(QUESTION, [Field("Key", multiline=True)], "")[2],
    "notice": OsascriptDelivery._SCRIPT.decode(),
}
PARAMETERS = {
    "display dialog": {
        "default answer", "hidden answer", "buttons", "default button", "cancel button",
        "with title", "with icon", "giving up after",
    },
    "display notification": {"with title", "subtitle", "sound name"},
}  # fmt: skip
STATEMENTS = {"on", "run", "end", "set", "to", "item", "of", "activate", "return", "text",
              "returned", "with", "linefeed", "caution", "display", "dialog",
              "notification"}  # fmt: skip
_FORBIDDEN = """
    about above after against and apart around as aside at back before beginning behind below
    beneath beside between but by considering contain contains contents continue copy div does
    eighth else end equal equals error every exit fifth first for fourth from front get given
    global if ignoring in instead into is it its last local me middle mod my ninth not of on
    onto or out over prop property put ref reference repeat return returning script second set
    seventh since sixth some tell tenth that the then third through thru timeout times to
    transaction true false try until where while whose with without yes no ask case diacriticals
    expansion hyphens punctuation application text integer real number string list record class
    date file alias item items button buttons title icon answer reply result name version path
    pi space tab quote linefeed body heading weekday month year day time version current missing
    value"""
FORBIDDEN_AS_NAMES = set(_FORBIDDEN.split())


def words_of(line: str) -> list[str]:
    return re.findall(r"[A-Za-z]+", re.sub(r'"[^"]*"', "", line))


@pytest.mark.parametrize("name", SCRIPTS)
def test_only_names_of_ours_are_variables(name: str) -> None:
    script = SCRIPTS[name]
    named = set(re.findall(r"\bset (\w+) to\b", script)) | set(re.findall(r"^on run (\w+)", script))
    assert named
    assert not {each.lower() for each in named} & FORBIDDEN_AS_NAMES
    assert all(each == "argv" or each.startswith("our") for each in named)
    known = STATEMENTS | named
    for command, parameters in PARAMETERS.items():
        if command in script:
            known |= {word for parameter in parameters for word in parameter.split()}
    assert {word for line in script.splitlines() for word in words_of(line)} <= known


@pytest.mark.parametrize("name", SCRIPTS)
def test_each_handler_ends_and_each_bracket_closes(name: str) -> None:
    lines = [line.strip() for line in SCRIPTS[name].strip().splitlines()]
    assert lines[0].startswith("on run")
    assert lines[-1] == "end run"
    for line in lines:
        assert not line.endswith("\\")  # AppleScript goes on with another character
        for opening, closing in ("()", "{}"):
            assert line.count(opening) == line.count(closing)
        assert line.count('"') % 2 == 0


def test_these_are_all_of_the_scripts() -> None:
    folder = Path(trayconnect.__file__).parent
    found = {path.name for path in folder.rglob("*.py") if "on run argv" in path.read_text("utf-8")}
    assert found == {"dialog_prompter.py", "notifier.py"}
