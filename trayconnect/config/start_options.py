"""The entry's `start`: how Jupyter is started on the server."""

from __future__ import annotations

import re
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, BeforeValidator, Field, WithJsonSchema, model_validator

from trayconnect.config import values
from trayconnect.config.secret_keys import names_secret
from trayconnect.config.values import Frozen

App = Literal["lab", "notebook", "server"]

_OURS = {
    "port": "use 'port' under 'jupyter' instead",
    "ip": "it listens for the tunnel only",
    "sock": "use 'socket' under 'jupyter' instead",
    "no-browser": "trayconnect always sets it",
}
"""Options that trayconnect sets itself, each as the end of `--ServerApp.port` and the like."""
_ASSIGNED = re.compile(r"([A-Za-z_][\w-]*)=")
_SECRET = "must not contain a {}: Jupyter makes its own, which trayconnect finds"


def _option(value: str) -> str:
    values.printable(value)
    if not value.startswith("-"):
        return value
    key = value.lstrip("-").partition("=")[0].rpartition(".")[2]
    if names_secret(key):
        raise ValueError(_SECRET.format(key.replace("_", " ")))
    reason = _OURS.get(key.replace("_", "-"))
    if reason is not None:
        raise ValueError(f"must not contain --{key}: {reason}")
    return value


def _line(value: str) -> str:
    values.printable(value)
    for name in _ASSIGNED.findall(value):
        if names_secret(name):
            raise ValueError(
                f"must not contain a secret, as {name} seems to be: set it in a start-up file of "
                "the "
                "server"
            )
    return value


def _word(value: str) -> str:
    values.printable(value)
    if value.startswith("-") or any(character.isspace() for character in value):
        raise ValueError("must be one word, which does not begin with '-'")
    return value


def _listed(value: object) -> object:
    return [value] if isinstance(value, str) else value


def _as_line(value: object) -> object:
    return {"run": value} if isinstance(value, str) else value


ServerPath = Annotated[
    str, Field(min_length=1, max_length=2000), AfterValidator(values.server_path)
]
Word = Annotated[str, Field(min_length=1, max_length=200), AfterValidator(_word)]
Line = Annotated[str, Field(min_length=1, max_length=2000), AfterValidator(_line)]
Option = Annotated[str, Field(min_length=1, max_length=2000), AfterValidator(_option)]
Words = Annotated[
    tuple[Word, ...],
    BeforeValidator(_listed),
    Field(min_length=1),
    WithJsonSchema(
        {"type": ["string", "array"], "items": {"type": "string", "minLength": 1}, "minItems": 1}
    ),
]


class Environment(Frozen):
    """Where Jupyter is installed on the server: exactly one key."""

    conda: ServerPath | None = Field(
        None, description="A conda environment, by its name or its folder."
    )
    venv: ServerPath | None = Field(None, description="The folder of a virtual environment.")
    module: Words | None = Field(
        None, description="Environment modules to load (module load …), one or a list."
    )
    run: Line | None = Field(
        None, description="A line for the shell that makes Jupyter's command known."
    )

    @model_validator(mode="after")
    def _one(self) -> Self:
        if len(self.given) != 1:
            raise ValueError(f"takes one of {', '.join(type(self).model_fields)}")
        return self

    @property
    def given(self) -> dict[str, str | tuple[str, ...]]:
        """The given key and its value."""
        return {
            key: value
            for key in type(self).model_fields
            if (value := getattr(self, key)) is not None
        }

    def __str__(self) -> str:
        ((kind, value),) = self.given.items()
        text = value if isinstance(value, str) else " ".join(value)
        return {
            "conda": f"the conda environment {text}",
            "venv": f"the virtual environment {text}",
            "module": f"the module{'s' if ' ' in text else ''} {text}",
            "run": f"“{text}”",
        }[kind]


class StartOptions(Frozen):
    """How Jupyter is started on the server if the account has none running."""

    folder: ServerPath = Field(
        "~", description="The folder on the server that Jupyter shows; ~ is the home folder there."
    )
    environment: Annotated[Environment, BeforeValidator(_as_line)] | None = Field(
        None,
        description="Where Jupyter is installed: {conda: name}, {venv: folder}, {module: names}, "
        "or a line for the shell. Default: it is searched.",
    )
    app: App = Field("lab", description="lab, notebook, or server: a server without pages.")
    options: tuple[Option, ...] = Field((), description="More options of Jupyter's command line.")
    when: Literal["missing", "menu"] = Field(
        "missing",
        description="missing: on connecting, if none runs; menu: only by Start Jupyter.",
    )
    socket: Literal["auto", "always", "never"] = Field(
        "auto",
        description="Whether it listens on a UNIX socket, which is closed to the other accounts of "
        "the server. auto: where there are others.",
    )


def start_value(value: object) -> object:
    """`true` stands for an empty mapping, and `false` for no mapping."""
    if value is True:
        return {}
    return None if value is False else value
