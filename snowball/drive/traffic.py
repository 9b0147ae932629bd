"""Traffic: cars of highway-env on a straight motorway, written down as tracks that `snowball train` reads.

Each keeps its distance by the intelligent driver model (Treiber et al., 2000) and changes lanes where MOBIL (Kesting et
al., 2007) says so: what a car does hangs on those around it. No camera, no window: only places.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import Field

from ..display import Display
from ..finding import BadInput
from ..recipe import Section
from ..rng import mix

__all__ = ["TrafficSection", "record_traffic"]

STEPS_A_FRAME = 6
STEP = 1 / 15  # seconds; a frame is then 0.4 s, as in recordings of walkers
SPEEDS = (16.0, 34.0)  # metres a second that drivers want
HEADER = ("scene", "frame", "agent", "x", "y")


class TrafficSection(Section):
    """`snowball data highway`: how much traffic is recorded. Not part of a recipe."""

    key = "traffic"

    scenes: int = Field(20, ge=1, le=10_000)
    """Recordings, each of other cars."""
    frames: int = Field(60, ge=2, le=10_000)
    """Frames of each, 0.4 s apart."""
    vehicles: int = Field(15, ge=1, le=200)
    """Cars in each."""
    lanes: int = Field(3, ge=1, le=8)
    """Lanes of the road."""
    seed: int = Field(0, ge=0, lt=2**31)
    """The first recording's traffic; the others count up."""


def record_traffic(section: TrafficSection, folder: Path, display: Display) -> dict[str, Any]:
    """Write `tracks.csv` (scene, frame, agent, x, y in metres) into a new folder. Needs the extra `sim`."""
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise BadInput(f"{folder}: is there already and holds something; name another with -o")
    try:
        from highway_env.road.road import Road, RoadNetwork
        from highway_env.vehicle.behavior import IDMVehicle
    except ImportError as error:
        raise BadInput('snowball data highway needs a simulator: pip install "snowball[sim]"') from error

    def scene(number: int) -> Iterator[tuple[Any, ...]]:
        random = np.random.RandomState(mix(section.seed + number, 11) % 2**32)  # what highway-env draws from
        road = Road(RoadNetwork.straight_road_network(section.lanes), np_random=random)
        for _ in range(section.vehicles):
            car = IDMVehicle.create_random(road, spacing=random.uniform(0.6, 1.4))
            car.randomize_behavior()
            car.target_speed = random.uniform(*SPEEDS)
            road.vehicles.append(car)
        for frame in range(section.frames):
            for name, car in enumerate(road.vehicles):
                yield number, frame, name, *(round(float(at), 3) for at in car.position)
            for _ in range(STEPS_A_FRAME):
                road.act()
                road.step(STEP)

    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "tracks.csv"
    display.start("recording", section.scenes)
    try:
        with path.open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file)
            writer.writerow(HEADER)
            for number in range(section.scenes):
                writer.writerows(scene(number))
                display.advance()
    finally:
        display.stop()
    display.line(f"{path}: {section.scenes} scenes of {section.vehicles} cars, {section.frames} frames of 0.4 s each")
    return {"files": [str(path)]}
