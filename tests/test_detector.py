"""The loss of boxes, and the network that learns by it."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

import numpy as np
import pytest
import torch
from torch import Tensor

from snowball.collect.read.sample_shapes import shapes
from snowball.design.detection import build_detector
from snowball.design.image import ImageShape
from snowball.finding import BadInput
from snowball.kinds._box_loss import dense_loss, set_loss
from snowball.kinds.boxes import BoxesKind

from .some_boxes import LABELS, RECIPE, boxes, kind, outputs, seeded, some_targets


def test_the_loss_is_the_mean_over_pictures() -> None:
    out, target = outputs(seeded()), some_targets()
    alone = [kind().loss({k: v[i : i + 1] for k, v in out.items()}, target[i : i + 1]) for i in range(3)]
    assert float(kind().loss(out, target)) == pytest.approx(float(sum(alone) / 3), rel=1e-5)
    assert kind().count(target) == 3


def test_the_loss_of_known_answers() -> None:
    """A sure and exact answer costs nothing; where nobody knows, each place and class costs log 2."""
    one = {"places": torch.tensor([[[0.5, 0.5, 0.5, 0.5]]]), "boxes": torch.tensor([[[0.2, 0.2, 0.8, 0.8]]])}
    target = torch.tensor([[[0, 0.2, 0.2, 0.8, 0.8], [-1, 0, 0, 0, 0]]])
    sure = dense_loss({**one, "logits": torch.tensor([[[20.0, -20.0]]])}, target)
    unsure = dense_loss({**one, "logits": torch.zeros(1, 1, 2)}, target)
    assert float(sure) == pytest.approx(0, abs=1e-5)
    assert float(unsure) == pytest.approx(2 * math.log(2), rel=1e-5)
    empty = torch.tensor([[[-1.0, 0, 0, 0, 0]]])
    assert float(dense_loss({**one, "logits": torch.zeros(1, 1, 2)}, empty)) == pytest.approx(2 * math.log(2), rel=1e-5)
    half = {**one, "boxes": torch.tensor([[[0.2, 0.2, 0.8, 0.5]]]), "logits": torch.full((1, 1, 1), -30.0)}
    # the place is to score its overlap, 0.5: 30 * 0.5 for the score, 5 * 0.5 * (1 - 0.5) for the box
    assert float(dense_loss(half, target[:, :1])) == pytest.approx(15 + 1.25, rel=1e-4)


@pytest.mark.parametrize("of", [dense_loss, set_loss])
def test_padding_has_no_say_in_the_loss(of: Callable[[Mapping[str, Tensor], Tensor], Tensor]) -> None:
    out, target = outputs(seeded(3)), some_targets()
    logits = out["logits"].clone().requires_grad_()
    target = target.requires_grad_()
    of({**out, "logits": logits}, target).sum().backward()
    assert target.grad is not None and logits.grad is not None
    assert target.grad[0, :2, 1:].abs().sum() > 0
    assert target.grad[target[..., 0] < 0].abs().max() == 0
    assert target.grad[2].abs().max() == 0
    with torch.no_grad():
        padded = torch.cat([target, torch.tensor([-1.0, 0.1, 0.1, 0.9, 0.9]).expand(3, 20, 5)], 1)
        assert torch.allclose(of(out, padded), of(out, target))


def test_a_picture_without_boxes_teaches_background_alone() -> None:
    out = outputs(seeded(), num=1)
    leaves = {name: out[name].clone().requires_grad_() for name in ("logits", "boxes")}
    kind().loss({**out, **leaves}, kind().encode(boxes())[None]).backward()
    assert leaves["logits"].grad is not None and (leaves["logits"].grad > 0).all()
    assert leaves["boxes"].grad is None or not leaves["boxes"].grad.any()


def test_a_box_smaller_than_a_cell_is_learned_by_the_cell_it_is_in() -> None:
    out = outputs(seeded(), num=1)
    target = kind().encode(boxes(("owl", 30.2, 20.1, 30.9, 20.4)))[None]
    about = target[0, 0, 1:] + torch.tensor([-0.002, -0.002, 0.002, 0.002])
    logits = out["logits"].clone().requires_grad_()
    dense_loss({**out, "boxes": about.expand(1, 36, 4), "logits": logits}, target).sum().backward()
    assert logits.grad is not None
    taught = (logits.grad - logits.detach().sigmoid())[0].abs() > 1e-6  # else it is background's gradient
    assert taught.nonzero().tolist() == [[2 * 6 + 1, LABELS.index("owl")]]  # column 1 and row 2 of 6 x 6 cells


def test_a_detector_learns_four_pictures() -> None:
    torch.manual_seed(0)
    table = shapes()
    raw = [BoxesKind.read(cell) for cell in table.column("boxes").cells[:4]]
    state = BoxesKind.fit(raw, RECIPE)
    own = BoxesKind(RECIPE, state)
    pictures = torch.from_numpy(np.stack(table.column("image").cells[:4])).permute(0, 3, 1, 2).float()
    target = torch.stack([own.encode(value) for value in raw])
    network = build_detector("light", ImageShape(3, 64, 64, own.num_outputs), [128.0] * 3, [60.0] * 3)
    optimiser = torch.optim.AdamW(network.parameters(), lr=0.004)
    losses = []
    for _ in range(30):
        loss = own.loss(network(image=pictures), target)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(float(loss.detach()))
    assert np.mean(losses[-5:]) < 0.55 * losses[0]  # 0.41 seen, after 30 steps


def test_every_parameter_of_a_detector_gets_a_gradient() -> None:
    network = build_detector("light", ImageShape(1, 32, 32, 3), [128.0], [60.0])
    target = torch.stack([kind().encode(boxes(("cat", 5, 5, 60, 40)))] * 2)
    kind().loss(network(image=torch.rand(2, 1, 32, 32) * 255), target).backward()
    assert [name for name, value in network.named_parameters() if value.grad is None] == []


def test_an_unknown_network_names_the_nearest() -> None:
    for name, said in (("lihgt", "nearest: light"), ("timm:resnet81", "nearest: resnet")):
        with pytest.raises(BadInput, match=said):
            build_detector(name, ImageShape(3, 64, 64, 2), [0.0] * 3, [1.0] * 3)
