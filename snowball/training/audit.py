"""What `snowball audit` finds: in the rows as they are read, and, where it is asked for, by training networks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..collect.prepare import Prepared, audit_prepared, prepare
from ..display import Display
from ..finding import BadInput, Finding, worst_first
from ..recipe import Recipe
from .label_noise import AuditSection, audit_labels, check_can_audit_labels

__all__ = ["audit_data"]


def audit_data(source: str, asked: Mapping[str, Any], display: Display) -> tuple[Prepared, list[Finding]]:
    """The data, read and encoded, and what is wrong with it, worst first.

    `asked` holds keys of a recipe, and the audit's own, with or without their section.
    """
    own, recipe = _taken_apart(asked)
    if own.labels:
        check_can_audit_labels()
    prepared = prepare(source, recipe, display, sketches=True)
    found = audit_prepared(prepared)
    return prepared, worst_first([*found, *audit_labels(prepared, own, display)]) if own.labels else found


def _taken_apart(asked: Mapping[str, Any]) -> tuple[AuditSection, dict[str, Any]]:
    """The audit's own section, and the keys of the recipe."""
    fields = AuditSection.model_fields
    mine = {key: value for key, value in asked.items() if key.startswith(f"{AuditSection.key}.") or key in fields}
    section = Recipe.build("", (AuditSection,), mine)[AuditSection]
    if mine and not section.labels:
        raise BadInput(f"{next(iter(mine))} says how labels are looked at: ask for that with audit.labels=true")
    return section, {key: value for key, value in asked.items() if key not in mine}
