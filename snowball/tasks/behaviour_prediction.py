"""Behaviour prediction: path -> path. Where the agents of a scene will be, from where they were."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import combinations
from typing import Any, ClassVar

import numpy as np
import torch
from PIL import Image
from pydantic import Field
from torch import Tensor, nn

from ..comparison import Control
from ..design.paths import PATH_NETWORKS, PathNetwork, PathShape
from ..finding import BadInput, Finding
from ..kinds._path_picture import draw_scene
from ..kinds._scene import WindowCells, find_windows
from ..kinds._tracks import Recording
from ..kinds.path import PathKind, PathSection
from ..recipe import Recipe, Section
from ..schema import Schema
from ..table import Column, Table
from ..task import Task

__all__ = ["BehaviourPrediction", "PathNetworkSection"]

MANY = 6  # recordings from which whole ones are held out; of fewer, their last windows
ALONE = "alone"
SHOWN = 20
SHOWN_POINTS = 800_000  # points of tracks that a training looks at in all; about one in two begins a future


class PathNetworkSection(Section):
    """The size of a network for paths, and what it is compared with."""

    key = "network"

    layers: int = Field(1, ge=1, le=20)
    """Layers over an agent's past; a Transformer has one more."""
    width: int = Field(64, ge=8)
    """Features of an agent."""
    heads: int = Field(4, ge=1)
    """Attention heads; they divide the width."""
    alone: bool = False
    """Whether a network whose agents see nobody is trained beside it: what others do is needed where it does worse."""


class BehaviourPrediction(Task):
    """Outputs `futures` (B, A, K, F, 2), K for each of A agents, `logits` (B, A, K) and `asked` (B, A, 1)."""

    name = "behaviour-prediction"
    given: ClassVar[Mapping[str, str]] = {"past": "path"}
    answer = ("future", "path")
    sections: ClassVar[tuple[type[Section], ...]] = (PathNetworkSection,)
    sample = "crossing"
    quick: ClassVar[Mapping[str, Any]] = {
        "train.epochs": 4,
        "network.width": 32,
    }

    @classmethod
    def networks(cls) -> dict[str, str]:
        return PATH_NETWORKS

    @classmethod
    def defaults(cls, table: Table, asked: Mapping[str, Any]) -> dict[str, Any]:
        points = sum(len(track.points) for recording in _recordings(table) for track in recording.tracks)
        return {
            "model.name": cls.network_name(asked, "gru"),
            "data.split": "random" if len(table) >= MANY else "time",
            "schedule.name": "onecycle",
            "schedule.warmup": 0.1,
            "optim.lr": 0.003,
            "train.batch_size": 32,
            "train.epochs": max(10, min(60, SHOWN_POINTS // max(1, points))),
            "train.ema": 0.99,
        }

    @classmethod
    def arrange(cls, table: Table, recipe: Recipe) -> Table:
        """Windows of the recordings, so many frames observed and so many predicted, in the order of time.

        Where few recordings are to be split, a window stands at its share of its own recording, so that the last ones
        of each are held out.
        """
        section = recipe[PathSection]
        recordings = _recordings(table)
        found = []
        for row, recording in enumerate(recordings):
            windows = find_windows(recording, section.observed, section.predicted, section.least, section.stride)
            span = max(1, windows[-1].start - windows[0].start) if windows else 1
            found += [((w.start - windows[0].start) / span, row, w) for w in windows]
        if not found:
            longest = max((len(t.points) for r in recordings for t in r.tracks), default=0)
            raise BadInput(
                f"{table.name}: no agent is seen in {section.observed + section.predicted} frames on end"
                f" (path.observed={section.observed}, path.predicted={section.predicted}); the longest track has"
                f" {longest}"
            )
        by_time = recipe.data.split == "time"
        found.sort(key=lambda one: one[:2] if by_time else (one[1], one[0]))
        homes = [row for _, row, _ in found]
        windows = [window for _, _, window in found]
        past = WindowCells(windows, section.observed, 0)
        future = WindowCells(windows, section.observed, section.predicted)
        columns = {"past": Column("past", "path", past), "future": Column("future", "path", future)}

        def where(row: int) -> str:
            frames = future[row].frames
            return f"{table.where(homes[row])}, frames {frames[0]:g} to {frames[-1]:g}"

        groups = None if by_time else [str(row) for row in homes]
        return replace(table, columns=columns, split=[table.split[row] for row in homes], where=where, groups=groups)

    @classmethod
    def choose_rows(cls, table: Table, recipe: Recipe, train_rows: Any) -> Any:
        """Without training windows that share a frame with a held-out one."""
        cells = table.columns["future"].cells
        assert isinstance(cells, WindowCells)
        section = recipe[PathSection]
        length = section.observed + section.predicted
        trained = set(train_rows)
        held: dict[str, set[int]] = {}
        for row in range(len(table)):
            if row not in trained:
                name, frames = cells.span(row, length)
                held.setdefault(name, set()).update(frames)
        kept = []
        for row in train_rows:
            name, frames = cells.span(row, length)
            if not held.get(name, set()).intersection(frames):
                kept.append(row)
        if not kept:
            raise BadInput(f"{table.name}: every training window shares frames with a held-out one: give more data")
        return kept

    def model(self) -> nn.Module:
        return self._network(neighbours=True)

    def control(self) -> Control | None:
        return Control(ALONE, self._network(neighbours=False)) if self.recipe[PathNetworkSection].alone else None

    def _network(self, *, neighbours: bool) -> nn.Module:
        section, state = self.recipe[PathNetworkSection], self.answer_kind.state
        shape = PathShape(
            state["unit"], state["anchors"], section.width, section.layers, section.heads, self.recipe.model.dropout
        )
        return PathNetwork(self.recipe.model.name, shape, neighbours=neighbours)

    @classmethod
    def resolve(cls, recipe: Recipe, schema: Schema) -> dict[str, Any]:
        section = recipe[PathNetworkSection]
        if section.width % section.heads:
            raise BadInput(f"network.heads={section.heads} does not divide network.width={section.width}")
        return {}

    def without(self, inputs: dict[str, Tensor], targets: dict[str, Tensor]) -> dict[str, Tensor]:
        """Nothing is asked of agents who are not there, unless nobody is."""
        there = inputs["past"][..., 2].amax(2)  # (B, A)
        there = torch.where(there.any(1, keepdim=True), there, 1.0)[:, :, None, None]
        future = targets["future"]
        return {"future": torch.cat([future[..., :2], future[..., 2:] * there], 3)}

    def constant_scores(self, answers: Sequence[Any]) -> dict[str, float]:
        """Of constant velocity, which the most likely future is to beat; over K, of as many directions around it."""
        assert isinstance(self.answer_kind, PathKind)
        return self.answer_kind.constant_scores(answers)

    def audit(self, facts: Mapping[str, Any]) -> list[Finding]:
        return [*self.kinds["past"].audit(facts["past"]), *self._shared_frames()]

    def _shared_frames(self) -> list[Finding]:
        """Points that stand in windows of more than one split, in one recording or in a copy of it."""
        table = self.table
        if table is None:
            return []
        cells = table.columns["future"].cells
        points = {split: _points(cells, rows) for split, rows in self.rows_by_split.items() if len(rows)}
        findings = []
        for one, other in combinations(points, 2):
            both = sorted(points[one].keys() & points[other].keys())
            if not both:
                continue
            named = [
                [f"{table.where(points[split][point])} ({split})" for split in (one, other)]
                for point in both[:: max(1, len(both) // SHOWN)]
            ]
            message = f"{len(both):,} points stand in windows of {one} and of {other}, e.g. {' and '.join(named[0])}"
            evidence = {"points": named[:SHOWN], "count": len(both)}
            if "train" in (one, other):
                message += ": a score on them is memory, not skill"
                fix = "put each recording in one split"
                findings.append(Finding("shared-frames", "warning", message, evidence, fix))
            else:
                findings.append(Finding("shared-frames", "note", message, evidence))
        return findings

    def present(self, answer: dict[str, Any], given: Mapping[str, Any]) -> dict[str, Any]:
        """In the coordinates, with the agents' names and the frames of what was given."""
        kind = self.kinds["past"]
        assert isinstance(kind, PathKind)
        scene = kind.scene(given["past"])
        step = scene.frames[-1] - scene.frames[-2]
        frames = scene.frames[-1] + step * np.arange(1, self.recipe[PathSection].predicted + 1)
        paths = [
            {
                **path,
                "agent": scene.agents[path["agent"]],
                "futures": (np.array(path["futures"]) + scene.origin).round(6).tolist(),
            }
            for path in answer["paths"]
        ]
        return {**answer, "frames": frames.round(6).tolist(), "paths": paths}

    def draw(
        self, given: Mapping[str, Any], answer: Any = None, prediction: Mapping[str, Any] | None = None
    ) -> Image.Image | str:
        """Futures over the past; with what came, where it is known."""
        kind = self.kinds["past"]
        assert isinstance(kind, PathKind)
        return draw_scene(answer if answer is not None else kind.scene(given["past"]), prediction)


def _recordings(table: Table) -> Sequence[Recording]:
    """What a reader of tracks found: the cells of both its columns."""
    cells = next((column.cells for column in table.columns.values() if column.kind == "path"), ())
    if not all(isinstance(cell, Recording) for cell in cells) or not len(cells):
        raise BadInput(f"{table.name}: no tracks in it: a table with columns frame, agent, x and y is needed")
    return cells


def _points(cells: Sequence[Any], rows: Sequence[int]) -> dict[tuple[float, float, float], int]:
    """(frame, x, y) of every point in the windows of these rows, and the first row that has it."""
    found = []
    for row in rows:
        scene = cells[row]
        frames = np.broadcast_to(scene.frames[None, :, None], (*scene.positions.shape[:2], 1))
        points = np.concatenate([frames, scene.positions], 2).reshape(-1, 3)
        points = points[np.isfinite(points[:, 1])]
        found.append(np.concatenate([points, np.full((len(points), 1), row)], 1))
    every = np.concatenate(found)
    _, first = np.unique(every[:, :3], axis=0, return_index=True)
    return {(frame, x, y): int(row) for frame, x, y, row in every[first].tolist()}
