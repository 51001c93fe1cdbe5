"""The web tools that `tool` in a forward can name: their ports, and the path that answers when they
are ready."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, get_args

ToolName = Literal[
    "tensorboard",
    "marimo",
    "streamlit",
    "dask",
    "bokeh",
    "panel",
    "mlflow",
    "code-server",
    "rstudio",
]
TOOL_NAMES: tuple[str, ...] = get_args(ToolName)


@dataclass(frozen=True, slots=True)
class Tool:
    """The keys of a forward to it, unless the file sets them."""

    name: str
    """For the menu."""
    port: int
    """Its default port."""
    ready: str
    """A path that answers without a login as soon as the tool is ready."""
    path: str = "/"
    """The page to open."""
    only_localhost: bool = False
    """Whether it accepts only `localhost` as Host or Origin, so that its page opens at that
    name."""
    same_port: bool = False
    """Whether the port in the Origin must equal its own port, too."""


# Measured: MLflow 3.17 answers 403 to any other Host; Bokeh 3.9 and Panel 1.9 with Tornado up to
# 6.5 refuse the WebSocket of any Origin but localhost:PORT. TensorBoard, marimo, Streamlit and Dask
# accept every loopback address.

TOOLS: Mapping[str, Tool] = {
    "tensorboard": Tool("TensorBoard", 6006, "/data/environment"),
    "marimo": Tool("marimo", 2718, "/health"),
    "streamlit": Tool("Streamlit", 8501, "/_stcore/health"),
    "dask": Tool("Dask", 8787, "/health", "/status"),
    "bokeh": Tool("Bokeh", 5006, "/", only_localhost=True, same_port=True),
    "panel": Tool("Panel", 5006, "/", only_localhost=True, same_port=True),
    "mlflow": Tool("MLflow", 5000, "/health", only_localhost=True),
    "code-server": Tool("code-server", 8080, "/healthz"),
    "rstudio": Tool("RStudio", 8787, "/"),
}
