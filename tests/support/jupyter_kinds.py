"""Jupyters of several generations, each from a virtual environment of its own."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from pathlib import Path

from tests.support.jupyter import JupyterServer
from tests.support.ports import free_port

PEERS = Path(__file__).parents[2] / ".venv-peers"
"""Made by `.ci/python-peers`, which `make test-long` runs."""


def peer_python(name: str) -> str:
    """The interpreter of one of these environments."""
    assert (PEERS / name / ".made").is_file(), "run .ci/python-peers first, or make test-long"
    return str(PEERS / name / "bin/python")


@dataclass(frozen=True, slots=True)
class Kind:
    """A generation of Jupyter."""

    name: str
    module: str
    page: str
    """What its users open."""
    no_retries: str
    """The option that keeps it from another port than it was told."""
    root_option: str
    runtime_prefix: str = "jpserver"


LAB4 = Kind("lab4", "jupyterlab", "/lab", "--ServerApp.port_retries=0", "--ServerApp.root_dir")
NOTEBOOK7 = Kind(
    "notebook7", "notebook", "/tree", "--ServerApp.port_retries=0", "--ServerApp.root_dir"
)
NOTEBOOK6 = Kind("notebook6", "notebook", "/tree", "--port-retries=0", "--notebook-dir", "nbserver")
KINDS = (LAB4, NOTEBOOK7, NOTEBOOK6)


class BareJupyter(JupyterServer):
    """jupyter_server without any page of an extension's."""

    def __init__(self, *options: str) -> None:
        super().__init__(*options)
        config = self._folder / "config"
        config.mkdir()
        pages = ("jupyterlab", "jupyter_lsp", "notebook", "notebook_shim")
        extensions = dict.fromkeys(pages, False)
        settings = {"ServerApp": {"jpserver_extensions": extensions}}
        (config / "jupyter_server_config.json").write_text(json.dumps(settings))

    def _command(self) -> list[str]:
        return [
            sys.executable,
            *("-m", "jupyter_server", "--no-browser", "--ip=127.0.0.1", f"--port={self.port}"),
            "--ServerApp.port_retries=0",
            f"--ServerApp.root_dir={self.notebooks}",
        ]


class NodeJupyter(JupyterServer):
    """JupyterLab on another host with the same home: here another address of loopback."""

    address = "127.0.0.12"

    def _command(self) -> list[str]:
        return [word.replace("127.0.0.1", self.address) for word in super()._command()]

    @property
    def url(self) -> str:
        return f"http://{self.address}:{self.port}/"


class PeerJupyter(JupyterServer):
    """One of them, as a `JupyterServer`."""

    def __init__(self, kind: Kind, *options: str) -> None:
        super().__init__(*options)
        self.kind = kind
        # Notebook 6 does not note which port it got instead of 0.
        self.port = free_port()

    @property
    def runtime_file(self) -> Path:
        return self.runtime_dir / f"{self.kind.runtime_prefix}-{self.pid}.json"

    def _command(self) -> list[str]:
        return [
            peer_python(self.kind.name),
            *("-m", self.kind.module, "--no-browser", "--ip=127.0.0.1", f"--port={self.port}"),
            self.kind.no_retries,
            f"{self.kind.root_option}={self.notebooks}",
        ]
