"""Bring a network that was trained elsewhere: its files to a run folder that every later verb takes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import nn

from ..collect.prepare import full_key
from ..design.formats import choose_format
from ..display import Display
from ..finding import BadInput, Finding, shown_shape
from ..imported import Difference, Imported, ImportSection, LayerRow
from ..recipe import Recipe
from ..registry import kinds, tasks
from ..run import Run
from ..schema import Schema
from ..training.machine import environment
from .labels import read_labels

__all__ = ["import_run"]

CLOSE = 1e-4  # of the largest number of the last layer: float32 sums in another order stay at 1e-6


def import_run(
    files: Sequence[str], asked: Mapping[str, Any], output: Path | None, display: Display
) -> tuple[Run, dict[str, Any]]:
    """Read a network and make a run of it; the run, and what there is to say of the layers.

    `asked` holds keys of `ImportSection` and of the recipe, as a person writes them. Raises BadInput for files that
    cannot be read or that no task takes, GateFailed where a comparison fails.
    """
    if not files:
        raise BadInput("import what? snowball import deploy.prototxt net.caffemodel -o runs/net")
    paths = [Path(name) for name in files]
    for path in paths:
        if not path.is_file():
            raise BadInput(f"{path}: no such file")
    if output is not None and output.exists():
        raise BadInput(f"{output}: exists already; name another with -o")
    reader = choose_format(paths)
    section, values = _split_keys(asked)
    if section.check is not None and section.check not in reader.checks:
        raise BadInput(f"check={section.check}: for {reader.key} it is one of {', '.join(reader.checks) or 'none'}")
    imported = reader.read(paths, section, values)
    recipe, schema, model = _adopt(imported, section, values)
    differences = reader.compare(paths, imported, section.check) if section.check else []
    _show_table(display, imported.rows, differences)
    run = Run.create(output, recipe, schema, environment(torch.device("cpu")))
    found = [*imported.findings, *_parity(differences, str(section.check))]
    display.findings("import", found, run.recipe.waive)
    run.save_model(model.state_dict())
    run.gate("import", found)
    run.seal()
    _show_next(display, run)
    layers = [row.to_json() for row in imported.rows]
    return run, {"layers": layers, "differences": [difference.to_json() for difference in differences]}


def _split_keys(asked: Mapping[str, Any]) -> tuple[ImportSection, dict[str, Any]]:
    """What is asked of the reading, and values of the recipe by their full keys."""
    own = {key: value for key, value in asked.items() if key.removeprefix("import.") in ImportSection.model_fields}
    rest = {key: value for key, value in asked.items() if key not in own}
    section = Recipe.build("", (ImportSection,), own)[ImportSection]
    values = {key if key.startswith("waive.") else full_key(key): value for key, value in rest.items()}
    for type_ in (type_ for kind in kinds().values() for type_ in kind.sections if type_.key == kind.key):
        said = {key: value for key, value in values.items() if key.startswith(f"{type_.key}.")}
        checked = Recipe.build("", (type_,), said)[type_]  # readers look at some before there is a recipe
        values |= {key: getattr(checked, key.partition(".")[2]) for key in said}
    return section, values


def _adopt(imported: Imported, section: ImportSection, values: Mapping[str, Any]) -> tuple[Recipe, Schema, nn.Module]:
    """The first task that takes the network, as a recipe, a schema, and its model with the network's weights."""
    if imported.scores is not None:
        labels, own = read_labels(section.labels, imported.scores.num_classes), imported.scores.labels
        if section.labels is None and own and len(own) == imported.scores.num_classes:
            labels = [str(label) for label in own]
        for task in tasks().values():
            adopted = task.adopt(imported.scores, values, labels)
            if adopted is None:
                continue
            recipe, schema = adopted
            schema = replace(schema, origin=imported.name)
            model = task(recipe, schema).model().eval()
            network = imported.scores.network  # which a task wraps in what it does to pixels
            inside = next(module for module in model.modules() if type(module) is type(network))
            inside.load_state_dict(network.state_dict())
            return recipe, schema, model
    raise BadInput(
        f"{imported.name}: ends in {', '.join(imported.outputs)}, and no task answers with that;"
        f" from Python it runs as it is: net = {imported.instead}"
    )


def _parity(differences: Sequence[Difference], check: str) -> list[Finding]:
    """An error where the last layer is further from the other implementation's than rounding takes it."""
    if not differences:
        return []
    last, worst = differences[-1], max(differences, key=lambda difference: difference.relative)
    evidence = {"last": last.to_json(), "worst": worst.to_json(), "compared": len(differences), "allowed": CLOSE}
    if last.relative <= CLOSE:
        message = f"{check} gives the same: {last.relative:.1e} apart at {last.layer!r}, {worst.relative:.1e} at most"
        return [Finding("import-parity", "note", message, evidence)]
    message = f"{check} differs by {last.relative:.1e} at {last.layer!r}; {CLOSE:g} is allowed"
    return [Finding("import-parity", "error", message, evidence, "report it with the files")]


def _show_table(display: Display, rows: Sequence[LayerRow], differences: Sequence[Difference]) -> None:
    apart = {difference.layer: f"{difference.relative:.1e}" for difference in differences}
    table = [("layer", "type", "makes", "parameters", "difference" if apart else "")]
    for row in rows:
        shapes = ", ".join(map(shown_shape, row.shapes))
        table.append(
            (row.name, row.type, shapes, f"{row.parameters:,}" if row.parameters else "", apart.get(row.name, ""))
        )
    table.append(("", "", "", f"{sum(row.parameters for row in rows):,}", ""))
    widths = [max(len(line[column]) for line in table) for column in range(5)]
    for line in table:
        left = [cell.ljust(width) for cell, width in zip(line[:3], widths, strict=False)]
        right = [cell.rjust(width) for cell, width in zip(line[3:], widths[3:], strict=True)]
        display.line("  ".join([*left, *right]).rstrip())


def _show_next(display: Display, run: Run) -> None:
    """What was made of the files, and what to do with it."""
    display.line(f"{run.path}: {run.task_type.name}")
    for kind in run.task().kinds.values():
        if described := kind.described():
            display.line(f"  {described}")
    display.line(f"  predict   snowball predict {run.path} FILE")
    display.line(f"  evaluate  snowball evaluate {run.path} DATA")
    display.line(f"  explain   snowball explain {run.path} FILE")
    display.line(f"  shrink    snowball shrink {run.path}")
    display.line(f"  export    snowball export {run.path} -o model.onnx")
    display.line(f"  serve     snowball serve {run.path}")
