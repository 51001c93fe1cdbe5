"""Web tools that `tool` in a forward stands for: where they listen, and what answers there."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, get_args

ToolName = Literal["tensorboard", "marimo", "streamlit", "dask", "mlflow", "code-server", "rstudio"]
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


TOOLS: Mapping[str, Tool] = {
    "tensorboard": Tool("TensorBoard", 6006, "/data/environment"),
    "marimo": Tool("marimo", 2718, "/health"),
    "streamlit": Tool("Streamlit", 8501, "/_stcore/health"),
    "dask": Tool("Dask", 8787, "/health", "/status"),
    "mlflow": Tool("MLflow", 5000, "/health"),
    "code-server": Tool("code-server", 8080, "/healthz"),
    "rstudio": Tool("RStudio", 8787, "/"),
}
