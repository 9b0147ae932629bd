"""The server's pages. Each is whole in itself, and carries a policy by which a browser loads nothing from elsewhere."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fastapi.responses import HTMLResponse
from jinja2 import Environment, FileSystemLoader, StrictUndefined

__all__ = ["page", "render"]

POLICY = (
    "default-src 'none'; script-src 'nonce-{0}'; style-src 'nonce-{0}'; img-src data: blob:; media-src blob:;"
    " connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
_templates = Environment(
    loader=FileSystemLoader(Path(__file__).parent),
    autoescape=lambda name: name is not None and name.endswith(".html"),
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
_templates.policies["json.dumps_kwargs"] = {"ensure_ascii": False}  # keys in their order, names as they are written


def render(template: str, values: Mapping[str, Any]) -> str:
    """A template as text; only in HTML are values escaped."""
    return _templates.get_template(template).render(values)


def page(template: str, values: Mapping[str, Any], status: int = 200) -> HTMLResponse:
    """A template as a page whose own scripts and styles are the only ones that run: they carry a nonce."""
    nonce = secrets.token_urlsafe(16)
    html = render(template, {**values, "nonce": nonce})
    return HTMLResponse(html, status, {"Content-Security-Policy": POLICY.format(nonce)})
