"""The entry's `start`: short forms, what excludes what, and what of it has no place there."""

from __future__ import annotations

from pathlib import Path

import pytest

from trayconnect.config.file_problems import ConfigError
from trayconnect.config.model import Server
from trayconnect.config.start_options import Environment, StartOptions
from trayconnect.config.yaml_file import parse


def entry(text: str) -> Server:
    (server, *_) = parse(f"servers: [{{name: a, host: h, {text}}}]", Path("servers.yaml")).servers
    return server


def fault(text: str) -> str:
    with pytest.raises(ConfigError) as caught:
        entry(text)
    (problem,) = caught.value.problems
    return problem.message


@pytest.mark.parametrize(
    ("text", "start"),
    [
        ("port: 22", None),
        ("start: false", None),
        ("start: true", StartOptions()),
        ("start: {}", StartOptions()),
        ("start: {folder: ~/x}", StartOptions(folder="~/x")),
        (
            "start: {environment: conda activate ml}",
            StartOptions(environment=Environment(run="conda activate ml")),
        ),
        (
            "start: {environment: {module: jupyter}}",
            StartOptions(environment=Environment(module=("jupyter",))),
        ),
    ],
)
def test_what_is_said(text: str, start: StartOptions | None) -> None:
    assert entry(text).start == start


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("start: 5", "start must be true, false, or a mapping (folder, "),
        ("start: {fodler: x}", "did you mean 'folder'?"),
        ("start: {directory: x}", "did you mean 'folder'?"),
        ("folder: x", "'folder' belongs under 'start'"),
        ("start: {app: hub}", "lab, notebook or server, not 'hub'"),
        ("start: {folder: -x}", "must be a path on the server"),
        ("start: {environment: {conda: a, venv: b}}", "takes one of conda, venv, module, run"),
        ("start: {environment: {module: [a b]}}", "must be one word"),
        ("start: {options: [--port=9]}", "must not contain --port: use 'port' under 'jupyter'"),
        ("start: {options: [--LabApp.sock=/x]}", "must not contain --sock: use 'socket' under"),
        (
            "start: {options: [--ServerApp.token=x]}",
            "must not contain a token: Jupyter makes its own",
        ),
        ("start: {environment: HF_TOKEN=x do}", "must not contain a secret, as HF_TOKEN seems"),
        ("start: true, jupyter: {host: node}", "'start' is for the server itself"),
        ("start: {socket: always}, jupyter: {port: 9}", "contradicts the port of 'jupyter'"),
        ("start: {socket: never}, jupyter: {socket: /x}", "contradicts the socket of 'jupyter'"),
    ],
)
def test_what_is_wrong_is_said(text: str, words: str) -> None:
    assert words in fault(text)


@pytest.mark.parametrize("text", ["start: false", "start: {folder: x}"])
def test_another_host_goes_with_no_start_only(text: str) -> None:
    given = f"{text}, jupyter: {{host: node}}"
    if "false" in text:
        assert entry(given).start is None
    else:
        assert "is for the server itself" in fault(given)


def test_true_stands_for_the_defaults_and_an_environment_is_not_merged() -> None:
    one, two, three = parse(
        "defaults: {start: {folder: ~/x, environment: {conda: ml}}}\n"
        "servers:\n"
        "- {name: one, host: h, start: true}\n"
        "- {name: two, host: h, start: {environment: {venv: ~/v}}}\n"
        "- {name: three, host: h, start: false}\n",
        Path("servers.yaml"),
    ).servers
    assert one.start == StartOptions(folder="~/x", environment=Environment(conda="ml"))
    assert two.start == StartOptions(folder="~/x", environment=Environment(venv="~/v"))
    assert three.start is None


def test_it_does_not_touch_the_tunnel() -> None:
    assert entry("start: true").same_link(entry("start: false"))


@pytest.mark.parametrize(
    ("environment", "words"),
    [
        (Environment(conda="ml"), "the conda environment ml"),
        (Environment(venv="~/v"), "the virtual environment ~/v"),
        (Environment(module=("a", "b")), "the modules a b"),
        (Environment(run="x y"), "“x y”"),
    ],
)
def test_an_environment_in_words(environment: Environment, words: str) -> None:
    assert str(environment) == words
