"""Line plots as SVG for the report: matplotlib is given numbers only, and the page's style gives the colours."""

from __future__ import annotations

import io
import json
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from markupsafe import Markup

__all__ = ["Axes", "Line", "Plot", "figure_text", "plot"]

DOTTED = 30  # points of a line up to which each is marked
LOG_SPAN = 100.0  # a loss that falls this far is drawn on a logarithmic axis

Line = tuple[str, Sequence[float], Sequence[float]]
"""A series of a plot: its name, x and y; NaN where there is no number."""


def figure_text(value: Any) -> str:
    """A value as the page writes it: four decimals, thousands apart, an en dash for what is not known.

    >>> figure_text(0.97777), figure_text(12345), figure_text(2e-05), figure_text("cat")
    ('0.9778', '12,345', '2e-05', 'cat')
    """
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "yes" if value else "no"
    if value is None or value != value:
        return "\N{EN DASH}"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, float) and 1e3 <= abs(value) < 1e6:
        return f"{value:,.1f}"
    if isinstance(value, float):
        return f"{value:.4f}" if value == 0 or 1e-3 <= abs(value) < 1e3 else f"{value:.4g}"
    if isinstance(value, list | tuple) and not any(isinstance(item, list | tuple | dict) for item in value):
        return ", ".join(map(figure_text, value))
    return json.dumps(value, ensure_ascii=False, default=str)


@dataclass(frozen=True)
class Axes:
    """What a plot shows beside its lines."""

    title: str
    x_label: str = ""
    y_label: str = ""
    whole_x: bool = False
    log_y: bool = False
    """A logarithmic axis, where the lines are positive and span more than `LOG_SPAN`."""
    diagonal: bool = False
    mark: float | None = None
    """A vertical line at this x."""


@dataclass(frozen=True)
class Plot:
    """Lines as SVG. Its title, names and labels are text of the page, so only numbers stand in the SVG."""

    axes: Axes
    names: Sequence[str]
    view_box: str
    body: Markup
    summary: str
    """What a screen reader says for the picture."""


def plot(salt: str, axes: Axes, lines: Sequence[Line]) -> Plot | None:
    """A plot of the lines that hold a number; None if none does. No two plots of a page share a `salt`."""
    kept = [line for line in lines if any(map(math.isfinite, line[2]))]
    if not kept:
        return None
    known = [y for _, _, ys in kept for y in ys if math.isfinite(y)]
    if axes.log_y:
        axes = replace(axes, log_y=min(known) > 0 and max(known) > LOG_SPAN * min(known))
    svg = re.search(r'<svg[^>]*viewBox="([^"]+)"[^>]*>(.*)</svg>', _svg(salt, axes, kept), re.DOTALL)
    assert svg is not None
    told = "; ".join(f"{name} from {figure_text(ys[0])} to {figure_text(ys[-1])}" for name, _, ys in kept)
    summary = f"{axes.title} by {axes.x_label or 'x'}: {told}"
    return Plot(axes, [name for name, _, _ in kept], svg[1], Markup(svg[2]), summary)


def _svg(salt: str, wanted: Axes, lines: Sequence[Line]) -> str:
    """matplotlib's SVG, for the page: its colours are variables of the page's style, its ids unique to `salt`."""
    import matplotlib
    from matplotlib.figure import Figure
    from matplotlib.ticker import FuncFormatter, MaxNLocator, NullFormatter

    # Colours that no plot would choose: `#0a0bNN` becomes `var(--plotNN)` of the style, which follows light and dark.
    axes_colour, grid_colour, line_colours = "#0a0b00", "#0a0b01", [f"#0a0b{10 + i}" for i in range(6)]
    steps = [1, 2, 2.5, 5, 10]  # between two ticks
    dashes: list[Any] = ["-", (0, (4, 1.5)), (0, (1, 1.2)), (0, (6, 1.5, 1, 1.5))]
    with matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": salt, "text.usetex": False, "font.size": 9}):
        width, height = (3.7, 3.4) if wanted.diagonal else (4.2, 2.4)  # inches; so are the margins
        figure = Figure(figsize=(width, height))
        axes = figure.add_axes((0.62 / width, 0.25 / height, 1 - 0.7 / width, 1 - 0.35 / height))
        for i, (_, xs, ys) in enumerate(lines):
            style = {"color": line_colours[i % len(line_colours)], "linestyle": dashes[i % len(dashes)]}
            dots = "o" if sum(map(math.isfinite, ys)) <= DOTTED else ""
            axes.plot(xs, ys, **style, linewidth=1.6, marker=dots, markersize=3.2, zorder=3)
        if wanted.mark is not None:
            axes.axvline(wanted.mark, color=axes_colour, linewidth=0.9, linestyle=(0, (2, 2)))
        if wanted.diagonal:
            limits = np.array([axes.get_xlim(), axes.get_ylim()])
            ends = limits.min(), limits.max()
            axes.plot(ends, ends, color=axes_colour, linewidth=0.9, linestyle="--")
            axes.set(xlim=ends, ylim=ends)
        if wanted.log_y:
            axes.set_yscale("log")
            axes.yaxis.set_minor_formatter(NullFormatter())
        else:
            axes.yaxis.set_major_locator(MaxNLocator(5, steps=steps))
        axes.xaxis.set_major_locator(MaxNLocator(6, integer=wanted.whole_x, steps=steps))
        for axis in (axes.xaxis, axes.yaxis):
            axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:.6g}"))
        axes.grid(color=grid_colour, linewidth=0.7)
        axes.tick_params(colors=axes_colour, which="both", length=0, pad=4)
        axes.spines[:].set_visible(False)
        axes.patch.set_visible(False)
        figure.patch.set_visible(False)
        buffer = io.StringIO()
        figure.savefig(buffer, format="svg")
    svg = re.sub(r"<style.*?</style>|<!--.*?-->|<metadata>.*?</metadata>", "", buffer.getvalue(), flags=re.DOTALL)
    svg = re.sub(r'<g id="[^"]*"', "<g", svg)  # figure_1, axes_1: the same in every plot of the page
    return re.sub(r"#0a0b(\d\d)", r"var(--plot\1)", svg)
