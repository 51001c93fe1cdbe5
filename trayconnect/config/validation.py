"""From data to types, with the location in the file of every fault."""

from __future__ import annotations

from typing import NamedTuple, TypeVar

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from trayconnect.config import unknown_keys, validation_messages
from trayconnect.config.file_problems import FileReport, Location
from trayconnect.config.forward_model import SHAPE_FAULT
from trayconnect.config.model import JumpHost
from trayconnect.config.unknown_keys import SECTIONS
from trayconnect.config.yaml_tree import BROKEN, Mapping, Node, Scalar, Sequence

Model = TypeVar("Model", bound=BaseModel)


class _TreePosition(NamedTuple):
    """The position of an error in the tree, as far as the tree goes."""

    node: Node
    key_mark: Location
    label: str
    section: str


def validate(
    model: type[Model],
    data: object,
    tree: Node,
    section: str,
    report: FileReport,
) -> Model | None:
    """The model, or None if the data is invalid; `data` is that of `tree`, with additions."""
    try:
        return model.model_validate(data)
    except ValidationError as error:
        _explain(error, tree, section, report)
        return None


def _explain(error: ValidationError, tree: Node, section: str, report: FileReport) -> None:
    values: dict[tuple[Location, str], tuple[_TreePosition, list[ErrorDetails]]] = {}
    for details in error.errors(include_url=False, include_input=False):
        if details["type"] == SHAPE_FAULT:
            continue  # the checks report it, each fault at its own location
        spot = _locate(tree, details["loc"], section)
        if details["type"] == "extra_forbidden":
            report.add(spot.key_mark, unknown_keys.describe(str(details["loc"][-1]), spot.section))
        elif details["type"] == "missing":
            report.add(
                spot.node.mark, validation_messages.missing(str(details["loc"][-1]), spot.section)
            )
        elif not (isinstance(spot.node, Scalar) and spot.node.tag == BROKEN):
            _, found = values.setdefault((spot.node.mark, spot.label), (spot, []))
            found.append(details)
    for spot, found in values.values():
        report.add(
            spot.node.mark, validation_messages.describe(spot.label, spot.node, spot.section, found)
        )


def _locate(tree: Node, location: tuple[int | str, ...], section: str) -> _TreePosition:
    node, key_mark, label = tree, tree.mark, section
    for step in location:
        if isinstance(node, Mapping) and step in node.entries:
            key_mark, node = node.entries[str(step)]
            label = str(step)
            section = label if label in SECTIONS else section
        elif isinstance(node, Sequence) and isinstance(step, int):
            node = node.items[step]
            key_mark, label = node.mark, f"an entry of {label}"
        else:
            # A part of a jump host, which is one scalar in the file; or a branch of a union.
            if step in JumpHost.model_fields and isinstance(node, Scalar):
                label = f"the {step} in {label}"
            break
    return _TreePosition(node, key_mark, label, section)
