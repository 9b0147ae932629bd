"""The circuit: gymnasium's CarRacing-v3 as a car with a camera, a steering wheel and a speed.

Distances are in the simulator's units, of which the road is 13 wide; speeds are units a second. A step of the
simulator is 1/50 s; a decision is held for HOLD of them.
"""

from __future__ import annotations

import math
import os
import warnings
from typing import Any

import numpy as np

from ..finding import BadInput

__all__ = ["DASHBOARD", "HOLD", "Circuit"]

HOLD = 4  # steps of one decision: 12.5 decisions a second. Drawing a frame takes 25 ms, a step without one 0.5 ms
DASHBOARD = 12  # rows at the bottom of a frame with the car's instruments, the steering wheel's angle among them


class Circuit:
    """One random track, fixed by its seed, with the car at its start."""

    def __init__(self, seed: int) -> None:
        self._world: Any = _racing()()
        self._world.drawing = True
        self._world.reset(seed=seed)
        self.centre: np.ndarray = np.array(self._world.track)[:, 2:4]
        """(T, 2): the middle of every tile of the road, in the direction of travel."""
        self.steps = 0
        self.ended = False
        """Whether the lap is done, or the car has left the field."""

    def frame(self) -> np.ndarray:
        """(84, 96, 3) uint8: what the camera sees, without the dashboard, which would show the answer."""
        pixels: np.ndarray = self._world.state
        return pixels[:-DASHBOARD]

    @property
    def place(self) -> np.ndarray:
        """(2,): where the car is."""
        return np.array(self._world.car.hull.position)

    @property
    def heading(self) -> np.ndarray:
        """(2,): the unit vector that the car points along."""
        angle = self._world.car.hull.angle
        return np.array([-math.sin(angle), math.cos(angle)])

    @property
    def speed(self) -> float:
        return float(self._world.car.hull.linearVelocity.length)

    @property
    def visited(self) -> float:
        """The share of the track's tiles that a wheel has touched so far."""
        return float(self._world.tile_visited_count / len(self._world.track))

    def act(self, wheel: float, gas: float, brake: float) -> None:
        """Hold the wheel (-1 left to 1 right), the gas and the brake (0 to 1) for HOLD steps, then look."""
        action = np.array([np.clip(wheel, -1, 1), gas, brake])
        for step in range(HOLD):
            self._world.drawing = step == HOLD - 1
            _, _, self.ended, _, _ = self._world.step(action)
            self.steps += 1
            if self.ended:
                return

    def close(self) -> None:
        self._world.close()


def _racing() -> Any:
    """CarRacing-v3's class; frames that nobody looks at are not drawn, which changes nothing else."""
    os.environ.setdefault("SDL_VIDEODRIVER", "dummy")
    os.environ.setdefault("PYGAME_HIDE_SUPPORT_PROMPT", "1")
    try:
        with warnings.catch_warnings():  # Box2D's own deprecation warnings, which crash it where they are errors
            warnings.simplefilter("ignore")
            import Box2D  # type: ignore[import-untyped]  # noqa: F401 (gymnasium's own error is no ImportError)
            import pygame  # noqa: F401 (is it installed?)
            from gymnasium.envs.box2d.car_racing import CarRacing
    except ImportError as error:
        raise BadInput('snowball drive needs a simulator: pip install "snowball[sim]"') from error

    class Racing(CarRacing):  # type: ignore[misc, unused-ignore]  # gymnasium is an extra, Any where it lacks
        drawing = True

        def _render(self, mode: str) -> Any:
            return super()._render(mode) if self.drawing else self.state

    return Racing
