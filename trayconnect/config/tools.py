"""Web tools that `tool` in a forward stands for: where they listen, and what answers there."""

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
    """What a forward to it says, unless the file says otherwise."""

    name: str
    """For the menu."""
    port: int
    """Where it listens unless told otherwise."""
    ready: str
    """A path that answers without a login, once it serves."""
    path: str = "/"
    """The page to open."""
    only_localhost: bool = False
    """Whether it takes no other name as Host or Origin, so that its page opens as `localhost`."""
    same_port: bool = False
    """Whether the port in the Origin has to be its own, too."""


# Measured with MLflow 3.17, which answers 403 to any other Host, Bokeh 3.9 and Panel 1.9, which
# with Tornado up to 6.5 refuse the WebSocket of any Origin but localhost:PORT. TensorBoard, marimo,
# Streamlit and Dask take every loopback address.

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
