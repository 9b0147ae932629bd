"""The scripted driver: pure pursuit of the road's centre line (Coulter, 1992), which only the simulator knows."""

from __future__ import annotations

import math

import numpy as np

from .circuit import Circuit

__all__ = ["pedals", "pursue"]

AHEAD = 14.0  # units between the car and the point it steers for, and a little more at speed
AHEAD_SECONDS = 0.12
GAIN = 2.0  # wheel per radian between the car's heading and that point
BRAKE_ABOVE = 1.1  # times the wanted speed


def pursue(circuit: Circuit) -> float:
    """The steering wheel (-1 left to 1 right) that leads the car to a point of the centre line ahead of it."""
    away = np.linalg.norm(circuit.centre - circuit.place, axis=1)
    here = int(away.argmin())
    reach = AHEAD + AHEAD_SECONDS * circuit.speed
    steps = np.linalg.norm(np.diff(np.roll(circuit.centre, -here, axis=0), axis=0), axis=1).cumsum()
    target = circuit.centre[(here + 1 + int(np.searchsorted(steps, reach))) % len(circuit.centre)]
    (forward_x, forward_y), (x, y) = circuit.heading, target - circuit.place
    angle = math.atan2(forward_y * x - forward_x * y, forward_x * x + forward_y * y)  # positive to the right
    return float(np.clip(GAIN * angle, -1, 1))


def pedals(speed: float, wheel: float, cruise: float) -> tuple[float, float]:
    """Gas and brake from the car's true speed: hold `cruise`, and less the further the wheel is turned.

    >>> pedals(0.0, 0.0, 45.0), pedals(60.0, 0.0, 45.0)[0]
    ((0.5, 0.0), 0.0)
    """
    wanted = cruise * (1 - 0.4 * min(1.0, abs(wheel)))
    gas = float(np.clip(0.05 * (wanted - speed), 0, 0.5))
    brake = 0.0 if speed < BRAKE_ABOVE * wanted else float(np.clip(0.02 * (speed - wanted), 0, 0.6))
    return gas, brake
