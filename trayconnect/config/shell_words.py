"""Splits pasted text as a shell does: removes prompts and comments, and joins lines.

One parser for POSIX shells, cmd.exe and PowerShell, because a note does not say which one it is
for. Text that only a running shell could expand, such as `$(…)`, is refused."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable

from trayconnect.config.host_syntax import DASHES, DOUBLE_QUOTES, SINGLE_QUOTES

Variables = Callable[[str], str | None]
"""The value of a shell variable; None: unknown here."""

_INVISIBLE = re.compile("[\u00ad\u200b-\u200f\u202a-\u202e\u2060-\u2064\ufeff]")
_LINE_END = re.compile("\r\n?|[\x0b\x0c\x85\u2028\u2029]")
# A line continues after \\ (POSIX), ^ (cmd.exe) or ` (PowerShell); > is the prompt of the next
# line.
_CONTINUED = re.compile(r"(?:\\|(?<=\s)[\^`])[ \t]*\n(?:[ \t]*>{1,2}[ \t]+)?")
_FENCE = re.compile(r"^[ \t]*(?:```|~~~)[\w-]*[ \t]*$", re.MULTILINE)
_PROGRAM = r"(?:[^\s'\"]*[/\\])?(?:auto)?ssh(?:\.exe)?(?=\s|$)"
_SIGNS = "$%#>❯❱›»➜λ⟩✗✘⚡"
_PROMPT = re.compile(
    rf"^(?!{_PROGRAM})[^'\"|;&`]{{0,80}}?[{_SIGNS}](?:(?<=[➜✗✘])[^'\"|;&]{{0,60}}?)?\s*"
    rf"(?=(?:[A-Za-z_]\w*=\S*\s+|nohup\s+|exec\s+|sudo\s+)*{_PROGRAM})"
)
_PLACEHOLDER = re.compile(r"<[^<>|;&\n]*[^<>|;&\s]>")
_NAME = re.compile(r"\{(?P<braced>[A-Za-z_]\w*)\}|env:(?P<powershell>\w+)|(?P<plain>[A-Za-z_]\w*)")
_OF_CMD = re.compile(r"%(?P<name>[A-Za-z_][A-Za-z_0-9]+)%")
_HOME = frozenset(("HOME", "USERPROFILE"))
_USER = frozenset(("USER", "LOGNAME", "USERNAME"))
_ESCAPED = "\\'\"$`&;|<>()#*?[]{}~! \t"


class CommandError(ValueError):
    """The text is not a usable command; the message says why, and what to write."""


def user_variables(user: str | None) -> Variables:
    """The known variables of an account; perhaps only its name is known."""

    def value(name: str) -> str | None:
        name = name.upper()
        return "~" if name in _HOME else user if name in _USER else None

    return value


def clean(text: str) -> str:
    """The text as it would have been typed. Raises `CommandError`."""
    text = _LINE_END.sub("\n", _INVISIBLE.sub("", text))
    text = "".join(" " if unicodedata.category(c) == "Zs" else c for c in text)
    for character in text:
        if unicodedata.category(character) == "Cc" and character not in "\n\t":
            raise CommandError("it contains a control character: copy the text without its colours")
    text = text.translate(dict.fromkeys(map(ord, DOUBLE_QUOTES), '"'))
    return text.translate(dict.fromkeys(map(ord, SINGLE_QUOTES), "'"))


def commands_of(text: str, variables: Variables) -> list[list[str]]:
    """The commands of a pasted text, each as a list of arguments. Raises `CommandError`."""
    text = _FENCE.sub("", clean(text)).strip()
    if text.startswith("`") and text.endswith("`") and text.count("`") % 2 == 0:
        text = text.strip("`").strip()
    text = _CONTINUED.sub("", text)
    lines = [line for raw in text.split("\n") if (line := raw.strip()) and line[0] not in "┌╭"]
    if not all(line.startswith("#") for line in lines):  # a comment, not root's prompt
        lines = [line for line in lines if not line.startswith("#")]
    text = "\n".join(_PROMPT.sub("", line) for line in lines)
    return _Lexer(text, variables).commands()


def without_prompt(words: list[str]) -> list[str]:
    """The arguments after a copied prompt."""
    for at in range(1, len(words)):
        if re.fullmatch(_PROGRAM, words[at]):
            line = " ".join(words[: at + 1])
            match = _PROMPT.match(line)
            if match is not None and line[match.end() :] == words[at]:
                return words[at:]
            break
    return words


def dashed(word: str, dash: str = "-") -> str:
    """An option whose dash a word processor replaced by a longer one."""
    rest = word.lstrip(DASHES)
    if rest == word or not rest[:1].isascii() or not rest[:1].isalnum():
        return word
    return dash + rest


class _Lexer:
    def __init__(self, text: str, variables: Variables) -> None:
        self._text = text
        self._variables = variables
        self._at = 0
        self._word: list[str] | None = None
        self._drop = False
        self._words: list[str] = []
        self._commands: list[list[str]] = []

    def commands(self) -> list[list[str]]:
        while self._at < len(self._text):
            self._step(self._text[self._at])
        self._end_command()
        return self._commands

    def _step(self, sign: str) -> None:
        if sign in " \t":
            self._end_word()
            self._at += 1
        elif sign == "\n" or sign in "|&;":
            self._end_command()
            self._at += 1
        elif sign in "()":
            if self._word is not None and sign == "(":
                raise CommandError(f"{''.join(self._word)!r} is followed by a parenthesis")
            self._end_command()
            self._at += 1
        elif sign in "<>":
            self._redirection(sign)
        elif sign == "#" and self._word is None:
            end = self._text.find("\n", self._at)
            self._at = len(self._text) if end < 0 else end
        elif sign == "'":
            end = self._closing("'")
            self._add(self._text[self._at + 1 : end])
            self._at = end + 1
        elif sign == '"':
            self._double_quoted()
        elif sign == "`":
            raise CommandError("a command in `…` runs only in a shell: write what it prints")
        elif sign == "\\":
            self._backslash()
        else:
            self._plain(sign)

    def _plain(self, sign: str) -> None:
        value, length = self._variable(sign)
        self._add(value)
        self._at += length

    def _variable(self, sign: str) -> tuple[str, int]:
        """The expansion at this position, including a variable's value, and the length that it
        replaces."""
        if sign == "%":
            match = _OF_CMD.match(self._text, self._at)
            if match is None:
                return sign, 1
            return self._value(match["name"], match[0]), len(match[0])
        if sign != "$":
            return sign, 1
        following = self._text[self._at + 1 : self._at + 2]
        if following in ("(", "'", '"'):
            raise CommandError(f"${following}… means something only in a shell: write its value")
        match = _NAME.match(self._text, self._at + 1)
        if match is None:
            if following == "{":
                raise CommandError("${…} means something only in a shell: write its value")
            return sign, 1
        name = match["braced"] or match["powershell"] or match["plain"]
        return self._value(name, "$" + match[0]), 1 + len(match[0])

    def _value(self, name: str, written: str) -> str:
        value = self._variables(name)
        if value is None:
            raise CommandError(f"{written} is a variable of a shell: write its value")
        return value

    def _redirection(self, sign: str) -> None:
        match = _PLACEHOLDER.match(self._text, self._at) if sign == "<" else None
        if match is not None:
            raise placeholder(match[0])
        if self._word is not None:
            if "".join(self._word).isdecimal():
                self._word = None  # the file descriptor's number
            self._end_word()
        while self._text[self._at : self._at + 1] in ("<", ">", "&"):
            self._at += 1
        self._drop = True

    def _double_quoted(self) -> None:
        end = self._closing('"')
        self._at += 1
        self._add("")
        while self._at < end:
            sign = self._text[self._at]
            if sign == "\\" and self._text[self._at + 1] in '$`"\\':
                self._add(self._text[self._at + 1])
                self._at += 2
            elif sign == "`":
                raise CommandError("a command in `…` runs only in a shell: write what it prints")
            else:
                value, length = self._variable(sign)
                self._add(value)
                self._at += length
        self._at = end + 1

    def _closing(self, quote: str) -> int:
        at = self._at + 1
        while at < len(self._text) and self._text[at] != quote:
            at += 2 if quote == '"' and self._text[at] == "\\" else 1
        if at >= len(self._text):
            start = max(self._text.rfind(c, 0, self._at) for c in " \t\n") + 1
            word = re.split(r"\s", self._text[start:])[0]
            raise CommandError(f"{word[:60]}: a quote is not closed; write both of them, or none")
        return at

    def _backslash(self) -> None:
        """An escape of POSIX, or a part of a Windows path or account."""
        following = self._text[self._at + 1 : self._at + 2]
        is_share = following == "\\" and self._word is None
        if following and following in _ESCAPED and not is_share:
            self._add(following)
            self._at += 2
        else:
            self._add("\\")
            self._at += 1

    def _add(self, text: str) -> None:
        self._word = [*(self._word or ()), text]

    def _end_word(self) -> None:
        if self._word is not None:
            if not self._drop:
                self._words.append("".join(self._word))
            self._drop = False
        self._word = None

    def _end_command(self) -> None:
        self._end_word()
        self._drop = False
        if self._words:
            self._commands.append(self._words)
        self._words = []


def placeholder(word: str) -> CommandError:
    """The error for a placeholder that the user must replace."""
    return CommandError(f"{word} is a placeholder: replace it")
