"""Image classification: image -> label."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from torch import nn

from ..design.formats import described, imported_network
from ..design.image import ImageNetwork, ImageShape, image_body, network_lines
from ..finding import BadInput
from ..imported import Scores
from ..kinds.image import ImageSection
from ..recipe import Recipe
from ..schema import ColumnSchema, Schema
from ..table import Table
from ..task import Task

__all__ = ["ImageClassification"]

SMALL_TABLE = 20_000  # rows; with more, augmentation at this mildness no longer pays for its time
SHOWN_ROWS = 80_000  # rows that a training on a small table shows in all, epochs within 10 to 50
IMPORTED = "imported"  # the network whose description stands in the schema
SMALL_NETWORKS = ("auto", "linear", "mlp", "simple_cnn", "small_cnn", "lenet")


class ImageClassification(Task):
    """A network from pixels to one logit a class: outputs `logits` (B, classes)."""

    name = "image-classification"
    given: ClassVar[Mapping[str, str]] = {"image": "image"}
    answer = ("label", "label")
    sample = "digits"
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        # Fewest seconds to a good network on small pictures: one pass at a high rate. See docs/benchmarks.md.
        "fast": {
            "model.name": "simple_cnn",
            "train.epochs": 1,
            "train.batch_size": 96,
            "optim.lr": 0.008,
            "schedule.name": "onecycle",
            "label.smoothing": 0.05,
            "augment.name": "none",
        },
    }

    @classmethod
    def networks(cls) -> dict[str, str]:
        return network_lines()

    @classmethod
    def defaults(cls, table: Table, asked: Mapping[str, Any]) -> dict[str, Any]:
        values: dict[str, Any] = {"schedule.name": "onecycle"}
        if len(table) < SMALL_TABLE:  # few pictures: small moves that change no meaning, and no flip
            values |= {"augment.rotate": 10.0, "augment.scale": 0.1, "augment.shift": 0.1}
            values["train.epochs"] = max(10, min(50, SHOWN_ROWS // len(table)))
        if asked.get("model.name", "auto") in SMALL_NETWORKS and asked.get("optim.name", "adamw") == "adamw":
            values["optim.lr"] = 0.003  # with one cycle: 99.2 % of MNIST's validation rows, 99.0 % at 0.001
        if asked.get("model.name") == "alexnet":
            values["image.size"] = 227
        return values

    @classmethod
    def resolve(cls, recipe: Recipe, schema: Schema) -> dict[str, Any]:
        if recipe.model.name != "auto":
            return {}
        state = schema.columns["image"].state
        return {"model.name": "small_cnn" if max(state["height"], state["width"]) <= 64 else "resnet18"}

    @classmethod
    def adopt(cls, scores: Scores, asked: Mapping[str, Any], labels: Sequence[str]) -> tuple[Recipe, Schema] | None:
        channels, height, width = scores.picture
        own = {"model.name": IMPORTED, "image.size": (height, width), "image.channels": channels}
        recipe = Recipe.build(cls.name, cls.section_types(), scores.recipe, asked, own)
        section = recipe[ImageSection]
        if section.short_side is not None and section.short_side < max(height, width):
            raise BadInput(f"image.short_side={section.short_side}: the network sees {height} x {width} pixels of it")
        shape = {"height": height, "width": width, "channels": channels, "mean": scores.mean, "std": scores.std}
        columns = {
            "image": ColumnSchema("image", "image", {**shape, IMPORTED: described(scores)}),
            # How often each class stood in the training rows is not known: the constant answer knows as little.
            "label": ColumnSchema("label", "label", {"labels": list(labels), "counts": [1] * len(labels)}),
        }
        return recipe, Schema(cls.name, columns)

    def model(self) -> nn.Module:
        image = self.kinds["image"].state
        asked = self.recipe.model
        if asked.name == IMPORTED:
            picture = image["channels"], image["height"], image["width"]
            body = imported_network(image.get(IMPORTED, {}), picture, self.answer_kind.num_outputs)
            return ImageNetwork(body, image["mean"], image["std"])
        shape = ImageShape(
            image["channels"], image["height"], image["width"], self.answer_kind.num_outputs, asked.dropout
        )
        return ImageNetwork(image_body(asked.name, shape), image["mean"], image["std"])
