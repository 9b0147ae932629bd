"""`snowball drive`: a network, or the scripted driver, round tracks; what it reached, beside its offline error."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import torch
from pydantic import Field

from ..display import Display
from ..evaluate import as_array, evaluate_run
from ..finding import BadInput
from ..kind import Block
from ..recipe import Section
from ..run import Run
from ..task import Task
from .circuit import HOLD, Circuit
from .expert import pedals, pursue
from .film import Film
from .record import record_lap

__all__ = ["DriveSection", "Lap", "drive_expert", "drive_run"]

STEPS_A_SECOND = 50
RECORDED_FROM = 1000  # the first seed of a recording: tracks that `snowball drive RUN` does not come to


class DriveSection(Section):
    """`snowball drive`: which tracks, and how fast. Not part of a recipe."""

    key = "drive"

    episodes: int = Field(10, ge=1, le=500)
    """Laps, each on a track of its own."""
    seed: int | None = Field(None, ge=0, lt=2**31)
    """The first lap's track; the others count up. Default: 0, and 1000 where the scripted driver is recorded."""
    speed: float = Field(45.0, gt=0, le=100)
    """What the scripted pedals hold on a straight, in the simulator's units a second; less in a bend."""
    steps: int = Field(2000, ge=4)
    """Where a lap is broken off, in steps of 1/50 s. CarRacing-v3 as gymnasium registers it ends at 1000."""
    push: float = Field(0.8, ge=0, le=1)
    """How far the wheel is pushed at most while the scripted driver is recorded."""


@dataclass(frozen=True)
class Lap:
    """One track: the share of its tiles visited, the steps, and how far the wheel was from the script's on average."""

    seed: int
    tiles: float
    steps: int
    mae: float


def drive_run(run: Run, section: DriveSection, film: Path | None, display: Display) -> dict[str, Any]:
    """Laps steered by the run's network; the first is filmed. Written into the run, and its report made anew."""
    task = run.task()
    _check(task, run)
    offline = run.metrics  # refuses a run that is not finished
    film = film or run.path / "drive.mp4"
    driver = _Network(run, task)
    laps = []
    for lap in _laps(driver, section, film, display):
        laps.append(lap)
    tiles = [lap.tiles for lap in laps]
    mean = float(np.mean(tiles))
    own = float(np.average([lap.mae for lap in laps], weights=[lap.steps for lap in laps]))
    rows = [[lap.seed, lap.tiles, lap.steps, lap.mae] for lap in laps]
    title = f"Closed loop: {mean:.1%} of the tiles"
    note = (
        f"CarRacing-v3; mae on held-out rows {offline['mae']:.4f}, beside the script on the frames this network drove"
        f" itself to {own:.4f}; pedals by script, {section.speed:g} units a second, {section.steps} steps at most"
    )
    table = Block(
        title,
        "table",
        {"columns": ["track (seed)", "tiles visited", "steps", "mae beside the script"], "rows": rows},
        note,
    )
    run.record_blocks("drive", [table])
    display.line(f"tiles visited: {mean:.1%} on average of {len(laps)} tracks, {min(tiles):.1%} at least")
    display.line(f"offline: mae {offline['mae']:.4f} on held-out rows; {own:.4f} beside the script where it drove")
    _renew_report(run, display)
    run.seal()
    metrics = {"tiles": mean, "tiles_min": min(tiles), "mae": offline["mae"], "driven_mae": own}
    files = [str(film), str(run.path / "report.html")]
    return {"run": str(run.path), "metrics": metrics, "laps": [asdict(lap) for lap in laps], "files": files}


def drive_expert(section: DriveSection, folder: Path | None, display: Display) -> dict[str, Any]:
    """Laps by the scripted driver; with a folder they are recorded, and the car is pushed about."""
    if folder is not None and folder.exists() and any(folder.iterdir()):
        raise BadInput(f"{folder}: is there already and holds something; name another with -o")
    first = section.seed if section.seed is not None else (0 if folder is None else RECORDED_FROM)
    laps = []
    for seed in range(first, first + section.episodes):
        tiles, frames = record_lap(
            folder, seed, push=section.push if folder else 0.0, cruise=section.speed, limit=section.steps
        )
        display.line(f"track {seed}: {tiles:.1%} of the tiles, {frames} frames")
        laps.append({"seed": seed, "tiles": tiles, "frames": frames})
    shares = [float(lap["tiles"]) for lap in laps]
    if folder is not None:
        display.line(f"  train     snowball train {folder}")
    files = [] if folder is None else [str(folder / "driving_log.csv")]
    return {"metrics": {"tiles": float(np.mean(shares)), "tiles_min": min(shares)}, "laps": laps, "files": files}


class _Network:
    """A run's network at the wheel."""

    def __init__(self, run: Run, task: Task) -> None:
        self.task = task
        self._model = run.model()
        (self.role,) = task.given

    @torch.inference_mode()
    def __call__(self, frame: np.ndarray) -> dict[str, Any]:
        """The decoded answer to one frame."""
        inputs = {role: tensor[None] for role, tensor in self.task.encode_given({self.role: frame}).items()}
        outputs = self.task.predict(self._model, inputs)
        return self.task.decode({name: as_array(value) for name, value in outputs.items()})[0]


def _laps(driver: _Network, section: DriveSection, film: Path, display: Display) -> Iterator[Lap]:
    first = section.seed or 0
    for seed in range(first, first + section.episodes):
        with ExitStack() as stack:
            shot = stack.enter_context(Film(film, Fraction(STEPS_A_SECOND, HOLD))) if seed == first else None
            lap = _lap(driver, seed, section, shot)
        display.line(f"track {seed}: {lap.tiles:.1%} of the tiles in {lap.steps} steps")
        yield lap


def _lap(driver: _Network, seed: int, section: DriveSection, film: Film | None) -> Lap:
    circuit, off = Circuit(seed), []
    while not circuit.ended and circuit.steps < section.steps:
        frame, right = circuit.frame(), pursue(circuit)
        answer = driver(frame)
        wheel = float(np.clip(answer["value"], -1, 1))
        off.append(abs(wheel - right))
        if film is not None:
            shown = driver.task.draw({driver.role: frame.repeat(2, 0).repeat(2, 1)}, right, answer)
            assert not isinstance(shown, str)
            film.add(shown)
        circuit.act(wheel, *pedals(circuit.speed, wheel, section.speed))
    circuit.close()
    return Lap(seed, circuit.visited, circuit.steps, float(np.mean(off)))


def _check(task: Task, run: Run) -> None:
    kinds = [task.kinds[role].key for role in task.given], task.answer_kind.key
    if kinds != (["image"], "number"):
        raise BadInput(f"{run.path}: drive takes a run that answers a picture with a number, not {task.name}")


def _renew_report(run: Run, display: Display) -> None:
    """The report with the laps in it, where the run's data is still there."""
    try:
        evaluate_run(run, None, Display(quiet=True))
    except BadInput as error:
        display.line(f"the report stays as it was, without the laps: {error}")
