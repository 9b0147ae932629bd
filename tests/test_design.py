"""Networks: parameter counts of the literature, equal gradients where layers were reordered, and clear refusals."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import nn

from snowball.design.image import NETWORKS, ImageNetwork, ImageShape, image_body, smallest_side
from snowball.finding import BadInput


def num_parameters(model: nn.Module) -> int:
    return sum(parameter.numel() for parameter in model.parameters())


@pytest.mark.parametrize(
    ("name", "shape", "count"),
    [
        ("simple_cnn", ImageShape(1, 28, 28, 10), 121_930),
        ("alexnet", ImageShape(3, 227, 227, 1000), 60_965_224),  # Krizhevsky et al., 2012, with its two groups
        ("lenet", ImageShape(1, 28, 28, 10), 431_080),  # Caffe's LeNet
        ("linear", ImageShape(1, 28, 28, 10), 7_850),
        ("resnet18", ImageShape(3, 224, 224, 1000), 11_689_512),
        ("vit_tiny", ImageShape(3, 224, 224, 1000), 5_717_416),
    ],
)
def test_parameter_counts(name: str, shape: ImageShape, count: int) -> None:
    assert num_parameters(image_body(name, shape)) == count


@pytest.mark.parametrize("name", [name for name in NETWORKS if name not in ("alexnet", "resnet50", "resnet101")])
@pytest.mark.parametrize("shape", [ImageShape(1, 28, 28, 7, 0.2), ImageShape(3, 42, 35, 4)], ids=["grey", "colour"])
def test_every_network_maps_pictures_to_outputs(name: str, shape: ImageShape) -> None:
    side = smallest_side(name)
    shape = replace(shape, height=max(side, shape.height), width=max(side, shape.width))
    body = image_body(name, shape).eval()
    with torch.no_grad():
        assert body(torch.randn(3, shape.channels, shape.height, shape.width)).shape == (3, shape.num_outputs)


def test_pooling_before_relu_changes_no_value_and_no_gradient() -> None:
    torch.manual_seed(0)
    fast = image_body("simple_cnn", ImageShape(1, 28, 28, 10))
    layers = list(fast.children())
    slow = nn.Sequential(*(layers[i] for i in (0, 2, 1, 3, 5, 4, *range(6, len(layers)))))
    images, labels = torch.randn(16, 1, 28, 28), torch.arange(16) % 10
    gradients = []
    for network in (fast, slow):
        network.zero_grad()
        logits = network(images)
        nn.functional.cross_entropy(logits, labels).backward()
        gradients.append([logits.detach(), *(parameter.grad.clone() for parameter in network.parameters())])
    assert all(torch.equal(one, other) for one, other in zip(*gradients, strict=True))


def test_pixels_are_standardised() -> None:
    network = ImageNetwork(nn.Flatten(), [10.0, 20.0, 30.0], [2.0, 4.0, 8.0])
    pixels = torch.tensor([12, 16, 46], dtype=torch.uint8).view(1, 3, 1, 1)
    for image in (pixels, pixels.float()):
        assert torch.allclose(network(image=image)["logits"], torch.tensor([[1.0, -1.0, 2.0]]))


def test_any_timm_network_by_name() -> None:
    body = image_body("timm:mobilenetv3_small_050", ImageShape(1, 64, 64, 5))
    assert body.eval()(torch.zeros(2, 1, 64, 64)).shape == (2, 5)


@pytest.mark.parametrize(
    ("name", "shape", "said"),
    [
        ("resnet81", ImageShape(3, 64, 64, 5), "nearest: resnet18"),
        ("timm:resnet81", ImageShape(3, 64, 64, 5), "has no such network"),
        ("lenet", ImageShape(1, 8, 8, 5), "16 x 16 pixels or more, these are 8 x 8"),
        ("timm:vit_tiny_patch16_224", ImageShape(3, 32, 32, 5), "does not take 3 x 32 x 32"),
    ],
)
def test_what_cannot_be_built_says_what_would_be_right(name: str, shape: ImageShape, said: str) -> None:
    with pytest.raises(BadInput, match=said):
        image_body(name, shape)
