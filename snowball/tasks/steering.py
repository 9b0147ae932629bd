"""Steering: image -> number. Mostly the angle of a steering wheel from one picture of the road."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from torch import nn

from ..design.image import ImageNetwork, ImageShape, image_body, network_lines, smallest_side
from ..recipe import Recipe
from ..schema import Schema
from ..table import Table
from ._steered import Steered, side_cameras

__all__ = ["Steering"]


class Steering(Steered):
    """A network from pixels to one number: outputs `logits` (B, 1), in standard deviations from the mean."""

    name = "steering"
    given: ClassVar[Mapping[str, str]] = {"image": "image"}
    sample = "roads"
    quick: ClassVar[Mapping[str, Any]] = {"train.epochs": 4, "model.name": "simple_cnn"}

    @classmethod
    def networks(cls) -> dict[str, str]:
        return network_lines()

    @classmethod
    def defaults(cls, table: Table, asked: Mapping[str, Any]) -> dict[str, Any]:
        values = super().defaults(table, asked)
        if side_cameras(table, "image"):  # the simulator of Udacity, whose frames show sky above and the hood below
            values |= {"image.size": (66, 200), "image.top": 35, "image.bottom": 15}
        return values

    @classmethod
    def resolve(cls, recipe: Recipe, schema: Schema) -> dict[str, Any]:
        if recipe.model.name != "auto":
            return {}
        state = schema.columns["image"].state
        fits = min(state["height"], state["width"]) >= smallest_side("pilotnet")
        return {"model.name": "pilotnet" if fits else "small_cnn"}

    def model(self) -> nn.Module:
        image = self.kinds["image"].state
        asked = self.recipe.model
        shape = ImageShape(
            image["channels"], image["height"], image["width"], self.answer_kind.num_outputs, asked.dropout
        )
        return ImageNetwork(image_body(asked.name, shape), image["mean"], image["std"])
