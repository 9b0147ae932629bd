"""Object detection: image -> boxes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from PIL import Image
from pydantic import Field
from torch import nn

from ..design.detection import DETECTORS, build_detector
from ..design.hf import PREFIX, begin_pretrained, keep_config
from ..design.hf_detection import HFDetector
from ..design.image import ImageShape
from ..finding import BadInput, Finding
from ..kinds._image_augment import ImageAugment
from ..kinds.image import ImageSection
from ..recipe import Recipe, Section
from ..schema import Schema
from ..table import Table
from ..task import Task

__all__ = ["DetectionOptions", "ObjectDetection"]

LEAST_SIDE = 320  # pixels of a picture that boxes are drawn on
SHOWN_ROWS = 40_000  # pictures that a training on a small table shows in all


class DetectionOptions(Section):
    """What may be asked of an answer."""

    key = "options"

    score: float = Field(0.3, ge=0, le=1)
    """Boxes of a lower score are left out."""


class ObjectDetection(Task):
    """A network from pixels to boxes with labels and scores."""

    name = "object-detection"
    given: ClassVar[Mapping[str, str]] = {"image": "image"}
    answer = ("boxes", "boxes")
    options_type = DetectionOptions
    sample = "shapes"
    quick: ClassVar[Mapping[str, Any]] = {
        "train.epochs": 3,
        "train.batch_size": 8,
        "train.ema": 0.9,
        "image.size": 40,
    }

    @classmethod
    def networks(cls) -> dict[str, str]:
        return {**DETECTORS, "hf:NAME": "D-FINE or RT-DETR of Hugging Face's transformers, by name or folder"}

    @classmethod
    def defaults(cls, table: Table, asked: Mapping[str, Any]) -> dict[str, Any]:
        fine_tuned = str(asked.get("model.name", "")).startswith(PREFIX)
        return {
            "schedule.name": "onecycle",
            "image.channels": 3 if fine_tuned else None,
            "optim.lr": 2e-4 if fine_tuned else 0.002,
            "train.batch_size": 16,
            "train.epochs": max(10, min(150, SHOWN_ROWS // len(table))),
            "train.ema": 0.99,
            "augment.flip": 0.5,
            "augment.scale": 0.3,
            "augment.shift": 0.15,
            "augment.colour": 0.2,
        }

    @classmethod
    def fit(cls, table: Table, recipe: Recipe, train_rows: Sequence[int]) -> Schema:
        return keep_config(super().fit(table, recipe, train_rows), "image", recipe.model.name, "image.size")

    def begin(self, model: nn.Module) -> list[Finding]:
        return begin_pretrained(model, self.recipe.model.name)

    def head(self, model: nn.Module) -> list[str]:
        """All but the backbone, which is what a detector has in common with a classifier."""
        return [name for name, _ in model.named_children() if name != "backbone"]

    @classmethod
    def resolve(cls, recipe: Recipe, schema: Schema) -> dict[str, Any]:
        if recipe[ImageAugment].mixup or recipe[ImageAugment].cutmix:  # before there is a run folder
            raise BadInput("boxes cannot be blended: switch augment.mixup and augment.cutmix off")
        section = recipe[ImageSection]
        if section.top or section.bottom or section.short_side:
            keys = "image.top, image.bottom and image.short_side"
            raise BadInput(f"{cls.name}: {keys} would move the boxes: leave them at their defaults")
        return {"model.name": "light"} if recipe.model.name == "auto" else {}

    def model(self) -> nn.Module:
        image = self.kinds["image"].state
        if self.recipe.model.name.startswith(PREFIX):
            return HFDetector(self.schema.columns["image"].state["config"], self.answer_kind.num_outputs)
        shape = ImageShape(image["channels"], image["height"], image["width"], self.answer_kind.num_outputs)
        return build_detector(self.recipe.model.name, shape, image["mean"], image["std"])

    def audit(self, facts: Mapping[str, Sequence[Mapping[str, Any]]]) -> list[Finding]:
        empty = sum(not fact["labels"] for fact in facts["boxes"])
        found = super().audit(facts)
        if empty > len(facts["boxes"]) // 2:
            message = f"{empty} of {len(facts['boxes'])} pictures have no box at all"
            fix = "if they do hold objects, their annotations are missing"
            found.append(Finding("empty-pictures", "warning", message, {"pictures": empty}, fix))
        return found

    def caption(self, prediction: Mapping[str, Any]) -> str:
        return super().caption(self._said(prediction))

    def draw(
        self, given: Mapping[str, Any], answer: Any = None, prediction: Mapping[str, Any] | None = None
    ) -> Image.Image | str:
        """The whole picture, small ones enlarged, with boxes of at least the score that was asked for."""
        picture = Image.fromarray(given["image"]).convert("RGB")
        factor = max(1, LEAST_SIDE // max(picture.size))
        if factor > 1:
            picture = picture.resize((picture.width * factor, picture.height * factor), Image.Resampling.NEAREST)
        return self.answer_kind.draw_on(picture, answer, self._said(prediction) if prediction else None)

    def _said(self, prediction: Mapping[str, Any]) -> dict[str, Any]:
        """The boxes of at least the score that was asked for."""
        assert isinstance(self.options, DetectionOptions)
        least = self.options.score
        return {**prediction, "boxes": [box for box in prediction["boxes"] if box["score"] >= least]}

    def present(self, answer: dict[str, Any], given: Mapping[str, Any]) -> dict[str, Any]:
        """Boxes of at least the score that was asked for, in pixels of the picture as it was given."""
        height, width = given["image"].shape[:2]
        said = self._said(answer)
        boxes = [
            {**box, "box": [round(at * side, 2) for at, side in zip(box["box"], (width, height) * 2, strict=True)]}
            for box in said["boxes"]
        ]
        return {**said, "boxes": boxes}
