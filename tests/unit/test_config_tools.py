"""A tool in a forward: what it stands for, and what the file says instead."""

from __future__ import annotations

from pathlib import Path

import pytest

from trayconnect.config.file_problems import ConfigError
from trayconnect.config.forward_model import Forward
from trayconnect.config.tools import TOOL_NAMES, TOOLS
from trayconnect.config.yaml_file import parse
from trayconnect.core.endpoints import TcpEndpoint, UnixEndpoint

HERE = Path("servers.yaml")


def forwards(text: str) -> tuple[Forward, ...]:
    (server,) = parse(f"servers:\n- name: a\n  host: h\n  forwards: {text}\n", HERE).servers
    return server.forwards


def problems(text: str) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        forwards(text)
    return [str(problem).removeprefix("servers.yaml:") for problem in caught.value.problems]


def test_every_name_has_a_tool() -> None:
    assert set(TOOL_NAMES) == set(TOOLS)


@pytest.mark.parametrize("name", TOOL_NAMES)
def test_a_tool_is_enough(name: str) -> None:
    (forward,) = forwards(f"[{{tool: {name}}}]")
    tool = TOOLS[name]
    assert (forward.name, forward.leads_to) == (tool.name, TcpEndpoint("localhost", tool.port))
    assert (forward.open, forward.path, forward.ready) == (True, tool.path, tool.ready)
    assert forward.local_port is not None
    assert (forward.open_as == "localhost") is tool.only_localhost


def test_its_local_port_is_stable() -> None:
    (alone,) = forwards("[{tool: dask}]")
    *_, later = forwards("[{tool: marimo}, -D 1080, {tool: dask}]")
    assert alone.local_port == later.local_port


def test_one_that_compares_ports_gets_its_own_here_unless_it_is_taken() -> None:
    for name in ("bokeh", "panel"):
        (forward,) = forwards(f"[{{tool: {name}}}]")
        assert (forward.local_port, forward.port) == (5006, 5006)
        (forward,) = forwards(f"[{{tool: {name}, port: 5100}}]")
        assert (forward.local_port, forward.port) == (5100, 5100)
    bokeh, panel = forwards("[{tool: panel}, {tool: bokeh}]")[::-1]
    assert (bokeh.local_port, bokeh.port) == (5006, 5006)
    assert (panel.local_port != 5006, panel.port) == (True, 5006)
    *_, bokeh = forwards("[-D 5006, {tool: bokeh}]")
    assert bokeh.local_port != 5006
    (forward,) = forwards("[{tool: bokeh, port: 80}]")
    assert forward.local_port != 80


def test_what_is_said_comes_first() -> None:
    (forward,) = forwards(
        "[{tool: dask, name: Cluster, port: 8790, host: node7, local_port: 9000, open: false, "
        "path: /graph, ready: /info}]"
    )
    assert forward == Forward(
        name="Cluster", tool="dask", port=8790, host="node7", local_port=9000, open=False,
        path="/graph", ready="/info",
    )  # fmt: skip


def test_a_tool_on_a_socket() -> None:
    (forward,) = forwards("[{tool: code-server, remote_socket: /run/code.sock}]")
    assert forward.leads_to == UnixEndpoint("/run/code.sock")
    assert forward.ready == "/healthz"


KNOWN = "tensorboard, marimo, streamlit, dask, bokeh, panel, mlflow, code-server or rstudio"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("{tool: tensorbord}", [f"4:21: tool must be {KNOWN}, not 'tensorbord'"]),
        ("{tool: 7}", [f"4:21: tool must be {KNOWN}, not '7'"]),
        ("{tool: [dask]}", [f"4:21: tool must be {KNOWN}"]),
        ("{tool: dask, port: x}", ["4:33: port must be a whole number, not 'x'"]),
        (
            "{tool: dask}, {tool: dask}",
            ["4:35: the name 'Dask' is used already, in line 4"],
        ),
        (
            "{tool: dask, kind: dynamic, name: x}",
            ["4:15: 'tool' has no meaning for a dynamic forward: remove it"],
        ),
        (
            "{tool: dask, local_socket: /s, name: x, port: 1}",
            ["4:15: 'tool' has no meaning beside 'local_socket': remove one of them"],
        ),
        ("{tool: dask, local: '5000:h:80'}", ["'tool' has no meaning beside 'local': remove it"]),
        ("{kind: remote, name: x, port: 1, remote_port: 1, ready: /}",
         ["'ready' has no meaning for a remote forward: remove it"]),
    ],
)  # fmt: skip
def test_what_is_wrong_and_where(text: str, expected: list[str]) -> None:
    found = problems(f"[{text}]")
    assert len(found) == len(expected), found
    for problem, words in zip(found, expected, strict=True):
        assert words in problem
