"""Paths: figures against a reference, and what a network of paths must not depend on."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from snowball.collect.ragged import RaggedBuilder
from snowball.design.paths import PATH_NETWORKS, PathNetwork, PathShape
from snowball.kind import Batch, Unreadable
from snowball.kinds._anchors import find_anchors
from snowball.kinds._path_augment import PathAugment, augment_paths
from snowball.kinds._path_scores import agent_scores, constant_velocity, score_intervals
from snowball.kinds._scene import Scene, find_windows, last_scene
from snowball.kinds._tracks import Recording, Track
from snowball.kinds.path import PathKind, PathSection
from snowball.recipe import Recipe
from snowball.registry import tasks
from snowball.rng import SampleRandom

TURN = torch.tensor([[0.6, -0.8], [0.8, 0.6]])


def network(name: str, neighbours: bool = True) -> PathNetwork:
    torch.manual_seed(0)
    anchors = torch.randn(5, 6, 2).tolist()
    return PathNetwork(name, PathShape(0.5, anchors, width=16), neighbours=neighbours).eval()


def past(agents: int = 4) -> Tensor:
    """(1, A, 8, 3) of agents who walk in bends; nobody is missing."""
    generator = torch.Generator().manual_seed(1)
    heading = 6 * torch.rand(agents, 1, generator=generator) + 0.1 * torch.arange(8)
    way = torch.stack([heading.cos(), heading.sin()], 2).cumsum(1) * 0.5
    place = way + 6 * torch.rand(agents, 1, 2, generator=generator)
    return torch.cat([place, torch.ones(agents, 8, 1)], 2)[None]


@pytest.mark.parametrize("name", PATH_NETWORKS)
def test_a_turned_and_moved_scene_has_turned_and_moved_futures(name: str) -> None:
    model, given = network(name), past()
    moved = given.clone()
    moved[..., :2] = given[..., :2] @ TURN.T + torch.tensor([7.0, -3.0])
    with torch.no_grad():
        before, after = model(given), model(moved)
    expected = before["futures"] @ TURN.T + torch.tensor([7.0, -3.0])
    torch.testing.assert_close(after["futures"], expected, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(after["logits"], before["logits"], rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("name", PATH_NETWORKS)
def test_others_are_seen_in_any_order_and_padding_is_not(name: str) -> None:
    model, given = network(name), past()
    order = torch.tensor([2, 0, 3, 1])
    other = given.clone()
    other[0, 1, :, :2] += 1.0
    with torch.no_grad():
        whole, shuffled = model(given), model(given[:, order])
        padded = model(torch.cat([given, torch.zeros(1, 3, 8, 3)], 1))
        moved, alone = model(other), network(name, neighbours=False)
        unmoved = alone(other)["logits"][0, 0] - alone(given)["logits"][0, 0]
    torch.testing.assert_close(shuffled["futures"], whole["futures"][:, order], rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(padded["futures"][:, :4], whole["futures"], rtol=1e-4, atol=1e-5)
    assert not padded["futures"][:, 4:].any() and not padded["asked"][:, 4:].any()
    assert (moved["futures"][0, 0] - whole["futures"][0, 0]).abs().max() > 1e-5, "agent 0 sees that agent 1 moved"
    assert not unmoved.any(), "who sees nobody answers as before"


def scene(paths: np.ndarray, ahead: int) -> Scene:
    return Scene("yard", tuple(map(str, range(len(paths)))), paths, np.arange(paths.shape[1]) * 10.0, ahead)


def test_scores_are_what_their_definitions_say() -> None:
    """Against loops over agents and futures; agent 2 is not seen throughout, and not judged."""
    random = np.random.Generator(np.random.Philox(3))
    true = np.cumsum(random.normal(0, 0.5, (3, 14, 2)), 1) + np.array([[[0, 0]], [[3, 0]], [[0, 3]]])
    true[2, 13] = np.nan
    answer = scene(true, 6)
    futures = random.normal(0, 2, (3, 4, 6, 2)) + true[:, None, 8:9]
    paths = [{"agent": agent, "futures": (futures[agent] - answer.origin).tolist()} for agent in range(3)]
    scores, rows = agent_scores([{"paths": paths}], [answer], miss=1.5, close=0.5)
    for agent in range(2):
        apart = [[np.hypot(*(futures[agent, k, t] - true[agent, 8 + t])) for t in range(6)] for k in range(4)]
        assert scores["min_ade"][agent] == pytest.approx(min(np.mean(one) for one in apart))
        assert scores["min_fde"][agent] == pytest.approx(min(one[-1] for one in apart))
        assert scores["min_ade_1"][agent] == pytest.approx(np.mean(apart[0]))
        assert scores["min_fde_1"][agent] == pytest.approx(apart[0][-1])
        assert scores["miss_rate"][agent] == (min(one[-1] for one in apart) > 1.5)
        steps = np.linspace(0, 1, 2001)[:, None]
        legs = [np.vstack([true[a, 7], futures[a, 0]]) for a in range(3)]
        nearest = min(
            np.linalg.norm(
                (legs[agent][t] - legs[b][t]) * (1 - steps) + (legs[agent][t + 1] - legs[b][t + 1]) * steps, axis=1
            ).min()
            for b in range(3)
            if b != agent
            for t in range(6)
        )
        assert scores["collisions"][agent] == (nearest < 0.5)
    assert rows.tolist() == [0, 0]
    low, high = score_intervals(scores, rows)["min_ade"]
    assert low == high == pytest.approx(scores["min_ade"].mean()), "one scene has no spread"


def test_constant_velocity_goes_on_and_fans_out() -> None:
    walking = scene(np.cumsum(np.full((1, 20, 2), 0.3), 1), 12)
    straight = constant_velocity(walking, 12, 1)
    scores, _ = agent_scores([straight], [walking], 2.0, 0.2)
    assert scores["min_ade"].max() < 1e-9
    fan = np.array(constant_velocity(walking, 12, 20)["paths"][0]["futures"])
    np.testing.assert_allclose(fan[0], straight["paths"][0]["futures"][0])
    steps = fan[:, 1] - fan[:, 0]
    np.testing.assert_allclose(np.linalg.norm(steps, axis=1), np.hypot(0.3, 0.3))
    turns = np.rad2deg(np.arctan2(steps[:, 1], steps[:, 0])) - 45
    assert abs(turns.mean()) < 2 and 20 < turns.std() < 25


def kind(**keys: object) -> PathKind:
    task = tasks()["behaviour-prediction"]
    recipe = Recipe.build(task.name, task.section_types(), {f"path.{key}": value for key, value in keys.items()})
    return PathKind(recipe, {"unit": 0.5, "anchors": torch.zeros(2, 3, 2).tolist()})


def test_tensors_say_of_a_prediction_what_decoded_answers_say() -> None:
    path = kind(observed=4, predicted=3, futures=2)
    random = np.random.Generator(np.random.Philox(4))
    true = np.cumsum(random.normal(0.3, 0.1, (3, 7, 2)), 1) + 5e6
    true[1, 0] = np.nan  # agent 1 is not asked for
    answer = scene(true, 3)
    given, target = path.encode(answer.past)[None], path.encode(answer)[None]
    assert given[0, 1, :, 2].tolist() == [0, 1, 1, 1] and target[0, :, 0, 2].tolist() == [1, 0, 1]
    assert given[..., :2].abs().max() < 20, "counted from the scene's origin"
    outputs = {"futures": given[:, :, None, -1:, :2] + torch.randn(1, 3, 2, 3, 2), "logits": torch.randn(1, 3, 2)}
    outputs["asked"] = given[..., 2].amin(2, keepdim=True)
    decoded = path.decode({name: value.numpy() for name, value in path.finish(outputs).items()})
    assert [one["agent"] for one in decoded[0]["paths"]] == [0, 2]
    scores = path.score(decoded, [answer])
    for name, (value, count) in path.measure(outputs, target).items():
        assert float(value) / float(count) == pytest.approx(scores[name], abs=1e-4), name
    assert int(path.count(target)) == 2


def test_a_crowd_is_refused_before_it_takes_memory() -> None:
    crowd = scene(np.zeros((6, 4, 2)), 0)
    with pytest.raises(Unreadable, match=r"6 agents are in view; path\.most=5"):
        kind(observed=4, most=5).encode(crowd)


def test_a_scene_backwards_is_a_scene() -> None:
    batch_past, target = past(3), torch.cat([past(3)[:, :, :4] + 5, past(3)[:, :, :4] + 9], 2)
    target[..., 2] = 1.0
    target[0, 2, 1, 2] = 0.0  # not known throughout: not in the reversed scene
    batch = Batch({"past": batch_past}, {"future": target}, torch.arange(1))
    none = {"rotate": 0.0, "flip": 0.0, "scale": 0.0}
    turned = augment_paths(PathAugment(**none, reverse=1.0), "past", batch, SampleRandom(0, 0, batch.index))
    whole = torch.cat([batch_past, target], 2)
    back = torch.cat([turned.inputs["past"], turned.targets["future"]], 2)
    torch.testing.assert_close(back[:, :2], whole[:, :2].flip(2))
    assert not back[:, 2].any()
    same = augment_paths(PathAugment(**none), "past", batch, SampleRandom(0, 0, batch.index))
    torch.testing.assert_close(same.inputs["past"], batch_past)
    mirrored = augment_paths(
        PathAugment(rotate=90, flip=1.0, scale=0.0), "past", batch, SampleRandom(0, 0, batch.index)
    )
    sides = [torch.cdist(part[0, :, -1, :2], part[0, :, -1, :2]) for part in (mirrored.inputs["past"], batch_past)]
    torch.testing.assert_close(sides[0], sides[1], rtol=1e-4, atol=1e-4)
    swept = [_sweep(part[0, 0, :, :2]) for part in (mirrored.inputs["past"], batch_past)]
    assert swept[0] == pytest.approx(-swept[1], rel=1e-3), "a left bend is a right one in a mirror"


def _sweep(way: Tensor) -> float:
    """Twice the area that a path sweeps, with the sign of its bend."""
    a, b = way[1:-1] - way[:-2], way[2:] - way[1:-1]
    return float((a[:, 0] * b[:, 1] - a[:, 1] * b[:, 0]).sum())


def test_windows_hold_who_is_in_view_and_ask_for_who_is_seen_throughout() -> None:
    def track(agent: str, start: int, length: int) -> Track:
        return Track(agent, start, np.stack([np.arange(start, start + length), np.zeros(length)], 1).astype(float))

    recording = Recording("yard", (track("a", 0, 9), track("b", 2, 4), track("c", 3, 3)), 100.0, 10.0)
    windows = find_windows(recording, 4, 3, least=1)
    assert [window.start for window in windows] == [0, 1, 2]
    assert [[one.agent for one in window.tracks] for window in windows] == [
        ["a", "b"],
        ["a", "b", "c"],
        ["a", "b", "c"],
    ]
    assert not find_windows(recording, 4, 3, least=2)
    assert [window.start for window in find_windows(recording, 4, 3, least=1, stride=2)] == [0, 2]
    last = last_scene(recording, 4)
    assert last.frames.tolist() == [150, 160, 170, 180] and last.agents == ("a",)


def test_anchors_are_typical_ways_and_never_one_twice() -> None:
    straight = np.stack([np.arange(10.0), np.zeros(10)], 1)
    left = straight.copy()
    left[4:, 1] = np.arange(1, 7)
    scenes = [scene(np.stack([straight, left]), 6)] * 3
    anchors = find_anchors(scenes, 1.0, 2)
    ends = sorted(anchors[:, -1].round(3).tolist())
    assert ends == [[0.0, 0.0], [0.0, 6.0]]
    many = find_anchors(scenes, 1.0, 5).reshape(5, -1)
    assert len(np.unique(many.round(6), axis=0)) == 5


def test_rows_of_agents_are_held_as_they_are() -> None:
    builder = RaggedBuilder(3, 0, 1 << 20)
    first, last = torch.randn(2, 8, 3), torch.randn(1, 8, 3)
    builder.put(0, first)
    builder.put(2, last)
    found = builder.rows().index_select(0, torch.tensor([2, 0]))
    assert found.dtype == torch.float32 and found.shape == (2, 2, 8, 3)
    assert torch.equal(found[1], first) and torch.equal(found[0, :1], last) and not found[0, 1].any()


def test_the_loss_has_its_least_where_the_best_future_is_right_and_likely() -> None:
    path = kind(observed=4, predicted=3, futures=2)
    target = torch.cat([torch.randn(1, 1, 3, 2), torch.ones(1, 1, 3, 1)], 3)
    right = target[:, :, None, :, :2]
    futures = torch.cat([right, right + 3], 2)

    def loss(futures: Tensor, logits: list[float]) -> float:
        return float(path.loss({"futures": futures, "logits": torch.tensor([[logits]])}, target))

    assert loss(futures, [4.0, 0.0]) < loss(futures, [0.0, 4.0])
    assert loss(futures, [4.0, 0.0]) < loss(futures + 0.5, [4.0, 0.0])
    assert path.recipe[PathSection].futures == 2
