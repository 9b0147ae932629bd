"""Path: where agents were and where they go. A network gives each agent K futures with a probability each.

Shapes: B rows, A agents at most in one, T frames, F of them predicted, K futures; x and y last. Inside, coordinates are
counted from the scene's origin (`Scene.origin`).
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from PIL import Image
from pydantic import Field
from torch import Tensor

from ..answer import Answer
from ..finding import BadInput, Finding
from ..kind import Batch, Block, Follow, Metric, Named, Pieces, Unreadable
from ..recipe import Recipe, Section
from ..rng import SampleRandom
from ._anchors import find_anchors
from ._path_augment import PathAugment, augment_paths
from ._path_picture import draw_scene
from ._path_scores import agent_scores, constant_velocity, mean_scores, path_blocks, score_intervals
from ._scene import Scene, last_scene
from ._track_request import points_text
from ._tracks import MAX_BYTES, Recording, read_tracks

__all__ = ["PathKind", "PathSection"]

SPREAD = 0.05  # share of the loss that all futures have, so that none dies; the rest is the best one's
LAST = 0.5  # weight of the last frame beside the mean of all
CHOICE = 0.1  # weight of the cross-entropy of which future it will be
SHARPNESS = 0.1  # of the error: futures that are so much worse than the best count for a third of it in that choice


class PathSection(Section):
    """How long paths are, and how they are judged."""

    key = "path"

    observed: int = Field(8, ge=2, le=1000)
    """Frames that are given."""
    predicted: int = Field(12, ge=1, le=1000)
    """Frames that are predicted."""
    futures: int = Field(20, ge=1, le=200)
    """Futures that each agent is given, K; `min_ade` and `min_fde` are of the best of them."""
    least: int = Field(1, ge=1)
    """Agents that a window needs which are seen in all of its frames. 2 is the protocol of Social-GAN (2018)."""
    most: int = Field(200, ge=1, le=2000)
    """Agents in view that a window may have; each looks at each, so that twice as many take four times the memory."""
    stride: int = Field(1, ge=1)
    """Frames from one window of a recording to the next."""
    miss: float = Field(2.0, gt=0)
    """`miss_rate` counts agents of whom no future ends this near, in the unit of the positions."""
    close: float = Field(0.2, ge=0)
    """`collisions` counts agents whose most likely future comes nearer than this to another's."""


class PathKind(Answer):
    """State: `unit`, the mean way in one frame of those who move; of the answer also `anchors` (K, F, 2)."""

    key = "path"
    sections: ClassVar[tuple[type[Section], ...]] = (PathSection, PathAugment)
    padding: ClassVar[int | None] = 0
    traits: ClassVar[tuple[str, ...]] = ("agents", "way")
    metric = Metric("min_ade", "min")
    baseline_name = "constant velocity"
    counted = "agents"
    nested = True
    widget = "file"
    accept = "text/csv,text/plain,application/csv"

    @property
    def _section(self) -> PathSection:
        return self.recipe[PathSection]

    @classmethod
    def read(cls, cell: Any) -> Scene | Recording:
        """`cell` is a Scene, a Recording, or the bytes of a file that holds one recording."""
        if isinstance(cell, Scene | Recording):
            return cell
        if isinstance(cell, bytes):
            recordings = read_tracks(_text(cell), "scene", "the file")
            if len(recordings) > 1:
                raise Unreadable(
                    f"{len(recordings)} scenes, e.g. {recordings[0].name} and {recordings[1].name}: give one"
                )
            return recordings[0]
        raise Unreadable("no tracks in this row")

    @classmethod
    def expand(cls, argument: str) -> Iterable[Any]:
        """The scenes of a file of tracks, or of all files of a folder, by name."""
        path = Path(argument)
        files = (
            sorted(p for p in path.rglob("*") if p.is_file() and not p.name.startswith("."))
            if path.is_dir()
            else [path]
        )
        cells = []
        for file in files:
            try:
                if file.stat().st_size > MAX_BYTES:
                    raise BadInput(f"{file}: larger than {MAX_BYTES / 1e6:.0f} MB: cut it in scenes")
                found = read_tracks(_text(file.read_bytes()), file.stem, file.name)
            except OSError as error:
                raise BadInput(f"{file}: {error.strerror}") from error
            except Unreadable as reason:
                raise BadInput(f"{file}: {reason}") from reason
            cells += [Named(f"{file} {one.name}" if len(found) > 1 else str(file), one) for one in found]
        return cells

    @classmethod
    def from_request(cls, value: Any) -> Any:
        """A file's bytes, its text, or a list of objects with frame, agent, x and y."""
        if isinstance(value, list):
            return points_text(value)
        if isinstance(value, str) and value.lstrip().startswith("["):
            try:
                return points_text(json.loads(value))
            except (ValueError, RecursionError) as error:
                raise Unreadable(f"not JSON: {error}") from None
        return value.encode() if isinstance(value, str) else value

    @classmethod
    def fit(cls, values: Iterable[Scene], recipe: Recipe) -> dict[str, Any]:
        section = recipe[PathSection]
        ways: list[np.ndarray] = []
        scenes = []
        for scene in values:
            steps = np.linalg.norm(np.diff(scene.past.positions, axis=1), axis=-1)
            ways.append(steps[np.isfinite(steps)])
            if scene.ahead:
                scenes.append(scene)
        walked = np.concatenate(ways) if ways else np.zeros(0)
        walked = walked[walked > 0]
        if not len(walked):
            raise BadInput("no agent moves in any training row: there is nothing to learn")
        unit = float(walked.mean())
        if not scenes:
            return {"unit": unit}
        return {"unit": unit, "anchors": find_anchors(scenes, unit, section.futures).round(4).tolist()}

    @property
    def num_outputs(self) -> int:
        return self._section.futures

    def scene(self, value: Scene | Recording) -> Scene:
        """What is looked at of a raw value: a recording's last frames. Raises Unreadable where they are too few."""
        return value if isinstance(value, Scene) else last_scene(value, self._section.observed)

    def encode(self, value: Scene | Recording) -> Tensor:
        """(A, T, 3) float32: x, y, and 1 where they are known. Of a scene to predict, what is ahead: (A, F, 3), known
        where an agent is to be judged. What is not known has the place where the agent is first seen.
        """
        value = self.scene(value)
        if value.observed != self._section.observed:
            raise Unreadable(f"{value.observed} frames are given; {self._section.observed} are needed")
        if len(value.agents) > self._section.most:
            raise Unreadable(f"{len(value.agents):,} agents are in view; path.most={self._section.most}")
        local = value.positions - value.origin
        seen = np.isfinite(local[:, :, 0])
        if value.ahead:
            seen = np.repeat(value.complete[:, None], value.ahead, 1)
            local = np.where(seen[:, :, None], local[:, value.observed :], 0.0)
        else:
            first = local[np.arange(len(local)), seen.argmax(1)]
            local = np.where(seen[:, :, None], local, first[:, None])
        return torch.from_numpy(np.concatenate([local, seen[:, :, None]], 2).astype(np.float32))

    @classmethod
    def digest(cls, value: Scene) -> str:
        return value.digest()

    @classmethod
    def facts(cls, value: Scene) -> dict[str, Any]:
        reach = np.nanmax(value.positions, axis=1) - np.nanmin(value.positions, axis=1)  # (A, 2)
        steps = np.linalg.norm(np.diff(value.positions, axis=1), axis=-1)
        steps = steps[np.isfinite(steps)]
        return {
            "agents": len(value.agents),
            "judged": int(value.complete.sum()) if value.ahead else int(value.asked.sum()),
            "still": int((reach == 0).all(1).sum()),
            "way": float(steps.mean()) if len(steps) else 0.0,
        }

    @classmethod
    def summary(cls, facts: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
        agents = [fact["agents"] for fact in facts]
        if not agents:
            return {}
        ways = np.array([fact["way"] for fact in facts])
        counts = {"least": min(agents), "mean": round(float(np.mean(agents)), 2), "most": max(agents)}
        way = {"mean": round(float(ways.mean()), 4), "most": round(float(ways.max()), 4)}
        judged = {"in all windows": sum(fact["judged"] for fact in facts)}
        return {"windows": {"": len(facts)}, "agents in view": counts, "agents judged": judged, "way in a frame": way}

    def notes(self, value: Scene | Recording) -> list[str]:
        recent = self.scene(value)
        unasked = [agent for agent, asked in zip(recent.agents, recent.asked, strict=True) if not asked]
        if not unasked:
            return list(recent.notes)
        shown = ", ".join(unasked[:10])
        return [
            *recent.notes,
            f"seen for less than {recent.observed} frames, so not predicted, but seen by others: {shown}",
        ]

    def augment(self, role: str, batch: Batch, rng: SampleRandom, follow: Follow) -> Batch:
        return augment_paths(self.recipe[PathAugment], role, batch, rng)

    def input_axes(self) -> dict[int, str]:
        return {1: "agents"}

    def pieces(self, value: Scene | Recording, encoded: Tensor) -> Pieces:
        """Agents, who are then not there; and of each how it came, which becomes its last move again and again."""
        scene, observed = self.scene(value), encoded.shape[1]
        num = len(scene.agents)
        agents = torch.arange(num)[:, None, None].expand(encoded.shape)
        back = torch.arange(observed) - (observed - 1)  # frames from the last one
        ways = torch.where(back[:, None] < -1, agents + num, -1)
        last, move = encoded[:, -1:, :2], encoded[:, -1:, :2] - encoded[:, -2:-1, :2]
        straight = torch.cat([last + back[:, None] * move, torch.ones(num, observed, 1)], 2)
        absent = torch.cat([encoded[..., :2], torch.zeros(num, observed, 1)], 2)
        names = [f"agent {agent}" for agent in scene.agents] + [f"how agent {agent} came" for agent in scene.agents]
        return Pieces(names, torch.stack([ways, agents]), torch.stack([straight, absent]), (2, num))

    def draw_pieces(self, value: Scene | Recording, weights: np.ndarray) -> Image.Image:
        """A disc around each agent, as large as it weighs, and one around where it came from."""
        return draw_scene(self.scene(value), None, weights)

    def draw(self, value: Scene | Recording) -> Image.Image | str:
        return draw_scene(self.scene(value), None)

    def _apart(self, outputs: Mapping[str, Tensor], target: Tensor) -> tuple[Tensor, Tensor]:
        """Distances (B, A, K, F) of every future from what came, and which agents are judged (B, A)."""
        apart = torch.linalg.vector_norm(outputs["futures"].float() - target[:, :, None, :, :2] + 1e-6, dim=-1)
        return apart, target[:, :, :, 2].amin(2) > 0

    def loss(self, outputs: Mapping[str, Tensor], target: Tensor) -> Tensor:
        """Winner takes all: the future nearest to what came is drawn to it; near ones are made the likely ones.

        About the EM of a mixture whose K means are the futures, with hard assignments for the means and soft ones for
        the shares. All futures are drawn to what came a little (Rupprecht et al., "Learning in an Uncertain World",
        2017), or those that never win would never move.
        """
        apart, judged = self._apart(outputs, target)
        apart = apart / (self.state["unit"] * apart.shape[3] / 2)
        error = apart.mean(3) + LAST * apart[..., -1]  # (B, A, K)
        best = error.amin(2)
        likely = (outputs["logits"].float().log_softmax(2) * (-error.detach() / SHARPNESS).softmax(2)).sum(2)
        each = (1 - SPREAD) * best + SPREAD * error.mean(2) - CHOICE * likely  # (B, A)
        mean: Tensor = torch.where(judged, each, 0.0).sum() / judged.sum().clamp(min=1)
        return mean

    def count(self, target: Tensor) -> int | Tensor:
        return (target[:, :, :, 2].amin(2) > 0).sum()

    def measure(self, outputs: Mapping[str, Tensor], target: Tensor) -> dict[str, tuple[Tensor, int | Tensor]]:
        apart, judged = self._apart(outputs, target)
        ade, fde = apart.mean(3), apart[..., -1]
        likely = outputs["logits"].float().argmax(2, keepdim=True)
        values = {
            "min_ade": ade.amin(2),
            "min_fde": fde.amin(2),
            "min_ade_1": ade.gather(2, likely)[..., 0],
            "min_fde_1": fde.gather(2, likely)[..., 0],
            "miss_rate": (fde.amin(2) > self._section.miss).float(),
        }
        return {name: (torch.where(judged, value, 0.0).sum(), judged.sum()) for name, value in values.items()}

    def finish(self, outputs: dict[str, Tensor]) -> dict[str, Tensor]:
        """`probabilities` (B, A, K), 0 for whom nothing is asked."""
        probabilities = outputs["logits"].float().softmax(2) * outputs["asked"]
        return {"futures": outputs["futures"], "probabilities": probabilities, "asked": outputs["asked"]}

    def as_target(self, outputs: Mapping[str, Tensor]) -> Tensor:
        """The likeliest future of every agent that is asked for."""
        futures = outputs["futures"]  # (B, A, K, F, 2)
        likely = outputs["probabilities"].argmax(2)[:, :, None, None, None].expand(-1, -1, 1, *futures.shape[3:])
        asked = (outputs["asked"] > 0.5).to(futures.dtype)[:, :, None].expand(-1, -1, futures.shape[3], 1)
        return torch.cat([futures.gather(2, likely)[:, :, 0], asked], 3)

    def decode(self, outputs: Mapping[str, np.ndarray]) -> list[dict[str, Any]]:
        """Futures by falling probability, of every agent that is asked for; `agent` numbers it in its scene."""
        decimals = max(0, 4 - math.floor(math.log10(self.state["unit"])))
        answers = []
        for futures, probabilities, asked in zip(
            outputs["futures"], outputs["probabilities"], outputs["asked"][:, :, 0], strict=True
        ):
            paths = []
            for agent in np.flatnonzero(asked > 0.5):
                order = np.argsort(-probabilities[agent].round(6), kind="stable")
                paths.append(
                    {
                        "agent": int(agent),
                        "futures": futures[agent][order].astype(np.float64).round(decimals).tolist(),
                        "probabilities": probabilities[agent][order].astype(np.float64).round(6).tolist(),
                    }
                )
            answers.append({"paths": paths})
        return answers

    def _judge(self, predictions: Sequence[Mapping[str, Any]], answers: Sequence[Scene]) -> Any:
        return agent_scores(predictions, answers, self._section.miss, self._section.close)

    def score(self, predictions: Sequence[Mapping[str, Any]], answers: Sequence[Scene]) -> dict[str, float]:
        return mean_scores(self._judge(predictions, answers)[0])

    def intervals(
        self, predictions: Sequence[Mapping[str, Any]], answers: Sequence[Scene]
    ) -> dict[str, tuple[float, float]]:
        return score_intervals(*self._judge(predictions, answers))

    def baseline(self) -> dict[str, Any]:
        """Constant velocity of one agent at 1 unit a frame: what an answer looks like."""
        unit = float(self.state["unit"])
        scene = Scene("", ("1",), np.array([[[0.0, 0.0], [unit, 0.0]]]), np.arange(2.0))
        (path,) = constant_velocity(scene, self._section.predicted, self._section.futures)["paths"]
        return {"paths": [{**path, "futures": path["futures"].tolist()}]}

    def constant_scores(self, answers: Sequence[Scene]) -> dict[str, float]:
        """Of constant velocity, which the most likely future is to beat; over K, of as many directions around it."""
        section = self._section
        return self.score(
            [constant_velocity(answer, section.predicted, section.futures) for answer in answers], answers
        )

    def fault(self, prediction: Mapping[str, Any], answer: Scene) -> float:
        return float(self._judge([prediction], [answer])[0]["min_fde"].max())

    def blocks(self, predictions: Sequence[Mapping[str, Any]], answers: Sequence[Scene]) -> list[Block]:
        section = self._section
        return path_blocks(predictions, answers, section.futures, section.miss, section.close)

    def audit(self, facts: Sequence[Mapping[str, Any]]) -> list[Finding]:
        agents = sum(fact["agents"] for fact in facts)
        still = sum(fact["still"] for fact in facts)
        if 2 * still <= agents:
            return []
        message = f"{still:,} of {agents:,} agents do not move at all: constant velocity is right about them"
        return [Finding("mostly-still", "note", message, {"still": still, "agents": agents})]

    @classmethod
    def caption(cls, value: Scene) -> str:
        return str(value)

    @classmethod
    def predicted_caption(cls, prediction: Mapping[str, Any]) -> str:
        """Where the agents will most likely be at the end, to one decimal."""
        ends = []
        for path in prediction["paths"][:3]:
            x, y = path["futures"][0][-1]
            ends.append(f"{path['agent']} to ({x:.1f}, {y:.1f})")
        more = len(prediction["paths"]) - len(ends)
        return ", ".join(ends) + (f" and {more} more" if more > 0 else "")


def _text(content: bytes) -> str:
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise Unreadable(f"not text in UTF-8 (byte {error.start})") from None
