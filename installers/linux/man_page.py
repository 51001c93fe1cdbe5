"""trayconnect(1), made from the commands themselves, so that it says what they do."""

from __future__ import annotations

from collections.abc import Iterator

import click

_FILES = (
    (
        "~/.config/trayconnect/servers.yaml",
        "The server file. A saved change takes effect at once.",
    ),
    ("~/.ssh/config, ~/.ssh/known_hosts", "Read as ssh(1) reads them."),
    ("~/.config/autostart/trayconnect.desktop", "Starts trayconnect at login, if that is on."),
    ("~/.local/state/trayconnect/log/trayconnect.log", "The log. It contains no secrets."),
)
_ENVIRONMENT = (
    ("TRAYCONNECT_CONFIG", "The server file, in place of the default one."),
    (
        "TRAYCONNECT_SSH_CONFIG",
        "The ssh configuration file, in place of the usual ones; none: no file.",
    ),
)
_EXIT_STATUS = (
    ("0", "Done."),
    ("1", "A problem that you can fix. The message says how."),
    ("2", "Wrong usage."),
    ("3", "A bug in trayconnect. The message names the log to send."),
)


def man_page(program: click.Group, version: str, date: str) -> str:
    """The page as troff source; `date` as 2026-11-30."""
    return "\n".join(_lines(program, version, date)) + "\n"


def _lines(program: click.Group, version: str, date: str) -> Iterator[str]:
    context = click.Context(program, info_name="trayconnect")
    yield f'.TH TRAYCONNECT 1 "{date}" "trayconnect {version}" "User Commands"'
    yield ".SH NAME"
    yield r"trayconnect \- open SSH tunnels to Jupyter servers from the tray"
    yield ".SH SYNOPSIS"
    yield r".B trayconnect"
    yield r"[\fIOPTIONS\fR] [\fICOMMAND\fR [\fIARGUMENTS\fR]]"
    yield ".SH DESCRIPTION"
    yield from _paragraphs(program.help or "")
    yield ".PP"
    yield from _text(
        "The icon's menu lists the servers of the server file. A click on a server opens its SSH "
        "tunnel and, as soon as Jupyter answers behind it, the browser. Another click closes the "
        "tunnel. Commands that act on servers are carried out by the running app."
    )
    yield ".SH OPTIONS"
    for parameter in program.get_params(context):
        yield from _parameter(parameter, context)
    yield ".SH COMMANDS"
    for name in program.list_commands(context):
        command = program.get_command(context, name)
        if command is not None and not command.hidden:
            yield from _command(command, click.Context(command, context, info_name=name))
    for title, entries in (
        ("FILES", _FILES),
        ("ENVIRONMENT", _ENVIRONMENT),
        ("EXIT STATUS", _EXIT_STATUS),
    ):
        yield f".SH {title}"
        for term, meaning in entries:
            yield from _entry(rf"\fB{_escaped(term)}\fR", meaning)
    yield ".SH SEE ALSO"
    yield r".BR ssh (1),"
    yield r".BR ssh_config (5)"


def _command(command: click.Command, context: click.Context) -> Iterator[str]:
    usage = " ".join(command.collect_usage_pieces(context))
    yield f'.SS "{_escaped(context.info_name or "")} {_escaped(usage)}"'
    yield from _paragraphs(command.help or "")
    for parameter in command.params:  # --help is said once, at the top
        yield from _parameter(parameter, context)


def _parameter(parameter: click.Parameter, context: click.Context) -> Iterator[str]:
    term, meaning = parameter.get_help_record(context) or ("", "")
    if meaning:
        yield from _entry(rf"\fB{_escaped(term)}\fR", meaning)


def _entry(term: str, meaning: str) -> Iterator[str]:
    yield ".TP"
    yield term
    yield from _text(meaning)


def _paragraphs(text: str) -> Iterator[str]:
    for number, paragraph in enumerate(text.split("\n\n")):
        if number:
            yield ".PP"
        yield from _text(paragraph)


def _text(text: str) -> Iterator[str]:
    escaped = _escaped(" ".join(text.split()))
    # A line that begins with a dot or an apostrophe is a request to troff.
    yield rf"\&{escaped}" if escaped.startswith((".", "'")) else escaped


def _escaped(text: str) -> str:
    """The characters that mean something to troff, and hyphens that can be copied."""
    return text.replace("\\", r"\e").replace("-", r"\-").replace('"', r"\(dq")
