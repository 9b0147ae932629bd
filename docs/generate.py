"""Write what the documentation says of the code from the code: docs/recipe.md, and the README's grid.

python docs/generate.py             writes docs/recipe.md
python docs/generate.py --grid      runs the conformance suite too, and writes the README's grid
python docs/generate.py --check     fails where docs/recipe.md is not what the code says
"""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic_core import PydanticUndefined

from snowball.deploy.serve import ServeSection
from snowball.deploy.shrink import ShrinkSection
from snowball.drive.closed_loop import DriveSection
from snowball.drive.traffic import TrafficSection
from snowball.evaluate.explain import ExplainSection
from snowball.imported import ImportSection
from snowball.recipe import SHARED, Section
from snowball.registry import tasks
from snowball.testing import check_task, grid
from snowball.training.label_noise import AuditSection

ROOT = Path(__file__).resolve().parents[1]
GRID = re.compile(r"(<!-- grid -->\n).*?(<!-- /grid -->)", re.DOTALL)

VERBS = {
    "audit": AuditSection,
    "explain": ExplainSection,
    "shrink": ShrinkSection,
    "serve": ServeSection,
    "drive": DriveSection,
    "import": ImportSection,
    "data highway": TrafficSection,
}

HEADER = """# The recipe, key by key

Written by `python docs/generate.py` from the code. A key is `section.field`; on the command line and in Python the
section may be left out where the field stands in one section only (`epochs=5`), and a section's own name stands for its
field `name` (`model=resnet18`). Values are YAML. What you do not say is filled in from, in this order: the field's own
default, what suits the task and the data, what suits a known data set, and `preset=NAME`. The resolved recipe
is written into the run folder as `recipe.yaml` before step 0.

`task=NAME` chooses the task where the columns leave a choice. `waive.CHECK="reason"` lets a run go on in spite of an
error finding; the reason then stands in the report.
"""


def rows(section: type[Section]) -> list[str]:
    lines = [
        f"## `{section.key}`",
        "",
        str(section.__doc__).strip(),
        "",
        "| key | type | default | |",
        "| --- | --- | --- | --- |",
    ]
    properties: Mapping[str, Any] = section.model_json_schema()["properties"]
    for name, field in section.model_fields.items():
        default = "" if field.default is PydanticUndefined else f"`{field.default}`"
        about = " ".join(str(field.description).split()).replace("|", "\\|")
        lines.append(f"| `{section.key}.{name}` | {kind(properties[name])} | {default} | {about} |")
    return [*lines, ""]


def kind(schema: Mapping[str, Any]) -> str:
    """A JSON schema in a few words: `integer >= 1`."""
    if "anyOf" in schema:
        return " or ".join(kind(part) for part in schema["anyOf"])
    if "enum" in schema:
        return ", ".join(f"`{value}`" for value in schema["enum"])
    if "const" in schema:
        return f"`{schema['const']}`"
    bounds = {"minimum": ">=", "exclusiveMinimum": ">", "maximum": "<=", "exclusiveMaximum": "<"}
    words = [str(schema.get("type", "value"))]
    words += [f"{sign} {schema[key]}" for key, sign in bounds.items() if key in schema and schema[key] < 2**60]
    return " ".join(words).replace("array", "list")


def recipe_reference() -> str:
    lines = [HEADER, "# For every task", ""]
    for section in SHARED:
        lines += rows(section)
    for task in tasks().values():
        lines += [f"# For {task.name}", ""]
        for section in task.section_types():
            lines += [] if section in SHARED else rows(section)
        if task.options_type is not None:
            lines += ["What may be asked of an answer, at `snowball predict`; not part of the recipe:", ""]
            lines += rows(task.options_type)
        for name, values in task.presets.items():
            lines += [f"`preset={name}` is " + ", ".join(f"`{key}={value}`" for key, value in values.items()) + ".", ""]
    for verb, section in VERBS.items():
        lines += [f"# For `snowball {verb}`", "", *rows(section)]
    return "\n".join(lines)


def write_grid() -> None:
    results = [result for task in tasks() for result in check_task(task)]
    for result in results:
        print(f"{result.task} {result.name}: {'passed' if result.passed else result.reason}")
    readme = ROOT / "README.md"
    readme.write_text(GRID.sub(lambda match: match[1] + grid(results) + "\n" + match[2], readme.read_text()))


def main() -> int:
    path = ROOT / "docs" / "recipe.md"
    text = recipe_reference()
    if "--check" in sys.argv:
        return 0 if path.read_text() == text else 1
    path.write_text(text)
    if "--grid" in sys.argv:
        write_grid()
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
