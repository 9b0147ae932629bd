"""The circuit, the script and the pushes: signs, reproducibility, and that the script stays on the road."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("gymnasium")
pytest.importorskip("Box2D")

from snowball.drive.circuit import DASHBOARD, HOLD, Circuit
from snowball.drive.expert import pedals, pursue
from snowball.drive.record import Pushes


def test_the_script_stays_in_the_middle_of_the_road() -> None:
    circuit = Circuit(700)
    for _ in range(60):
        wheel = pursue(circuit)
        circuit.act(wheel, *pedals(circuit.speed, wheel, 45.0))
        assert np.linalg.norm(circuit.centre - circuit.place, axis=1).min() < 8.0  # the road is 6.7 to either side
    assert circuit.steps == 60 * HOLD
    assert circuit.visited > 0.1
    circuit.close()


def test_the_wheel_turns_the_way_the_car_goes() -> None:
    circuit = Circuit(701)
    before = circuit.heading
    for _ in range(10):
        circuit.act(0.5, 0.3, 0.0)
    after = circuit.heading
    assert before[0] * after[1] - before[1] * after[0] < 0, "a positive wheel turns to the right: clockwise"
    assert pursue(circuit) < 0, "and the script steers back to the left"
    assert circuit.frame().shape == (96 - DASHBOARD, 96, 3)
    circuit.close()


def test_frames_that_are_not_drawn_change_nothing() -> None:
    """The same lap with every frame drawn."""
    from snowball.drive import circuit as module

    drawn, skipped = Circuit(702), Circuit(702)
    every = type(drawn._world)
    drawn._world._render = lambda mode: super(every, drawn._world)._render(mode)
    for _ in range(5):
        for one in (drawn, skipped):
            one.act(0.1, 0.4, 0.0)
        assert np.array_equal(drawn.frame(), skipped.frame())
    assert drawn.visited == skipped.visited and module.HOLD == HOLD


def test_pushes_are_rare_bounded_and_fixed_by_the_seed() -> None:
    pushes, again = Pushes(0.8, 3), Pushes(0.8, 3)
    drawn = np.array([pushes() for _ in range(2000)])
    assert np.array_equal(drawn, [again() for _ in range(2000)])
    assert 0.1 < (drawn != 0).mean() < 0.3
    assert 0.5 < np.abs(drawn).max() <= 0.8
    assert not any(Pushes(0.0, 3)() for _ in range(100))
