"""Answer: a kind that can be the answer of a task, and how it is trained, measured and read.

Shapes: B rows in a batch.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from .finding import BadInput
from .kind import Block, Kind, Metric
from .recipe import Section

if TYPE_CHECKING:
    import numpy as np
    from PIL import Image
    from torch import Tensor

__all__ = ["TEMPERATURE", "Answer", "largest_difference"]

TEMPERATURE = "temperature"  # in the state of an answer that was calibrated


def largest_difference(expected: Mapping[str, np.ndarray], found: Mapping[str, np.ndarray]) -> float:
    """How far two sets of outputs are apart, entry by entry, each as a share of the largest (at least 1)."""
    import numpy as np

    largest = 0.0
    for name, value in expected.items():
        wanted, got = value.astype(np.float64), found[name].astype(np.float64)
        if wanted.size:
            largest = max(largest, float(np.abs(wanted - got).max() / max(1.0, np.abs(wanted).max())))
    return largest


class Answer(Kind):
    """A kind that can be the answer of a task: how a network's outputs are trained, measured and read."""

    metric: ClassVar[Metric]
    """What the best weights are chosen by, on the validation split: something `measure` gives, or `derive`."""
    baseline_name: ClassVar[str] = "one constant answer"
    """What `baseline` is, in a few words."""
    counted: ClassVar[str] = "tokens"
    """What a row holds many of, where rows of this kind differ in length."""
    headline: ClassVar[Metric | None] = None
    """What an evaluation leads with, where that is another: a score that takes finished answers, such as BLEU."""
    options: Section | None = None
    """What is asked of answers, where the task has options for it: the task sets it."""

    graded: ClassVar[bool] = False
    """Whether the metric moves with every output, as an error does, and not only where a decision tips."""
    order: ClassVar[float] = 0.0
    """How far the metric may move where answers of nearly equal score change places."""

    @property
    def temperature(self) -> float:
        """What `finish` divides logits by, see `classes`; 1 unless one was fitted after the training."""
        return float(self.state.get(TEMPERATURE, 1.0))

    @property
    @abstractmethod
    def num_outputs(self) -> int:
        """How many numbers the network's last layer gives for one row."""

    @property
    def classes(self) -> Sequence[str] | None:
        """The names of the classes, where an answer is one of a fixed set; None where it is anything else.

        It is then encoded as the number of its class, the network gives `logits` (B, classes), and `finish` makes
        `probabilities` of them by a softmax over `temperature`, which is fitted after a training.
        """
        return None

    @abstractmethod
    def loss(self, outputs: Mapping[str, Tensor], target: Tensor) -> Tensor:
        """A scalar, the mean over the batch."""

    def count(self, target: Tensor) -> int | Tensor:
        """What the loss of a batch is the mean over: its rows, unless a row holds many answers, such as tokens."""
        return len(target)

    @abstractmethod
    def measure(self, outputs: Mapping[str, Tensor], target: Tensor) -> dict[str, tuple[Tensor, int | Tensor]]:
        """name -> (sum, count), additive over batches, processes and clients; cheap enough for every step.

        A sum is a number or a vector.
        """

    def derive(self, means: dict[str, Any]) -> dict[str, float]:
        """Means of `measure` and of the loss with the metrics that follow from them added, e.g. perplexity.

        The mean of a sum that is a vector, such as a histogram, is a list; it is to be replaced by what it means.
        """
        return means

    def blend(self, target: Tensor, keep: Tensor) -> Tensor:
        """Targets of which sample i keeps keep[i] (B,) and takes the rest from sample i - 1, for mixup and the like."""
        raise BadInput(f"answers of kind {self.key} cannot be blended: switch augment.mixup and augment.cutmix off")

    def warp(self, target: Tensor, theta: Tensor) -> Tensor:
        """Targets of pictures that were moved by theta (B, 2, 3), see Follow; what they are of stays what it is."""
        return target

    def finish(self, outputs: dict[str, Tensor]) -> dict[str, Tensor]:
        """Outputs with what `decode` reads added, e.g. probabilities. Tensors only: it is exported with the model."""
        return outputs

    def difference(self, expected: Mapping[str, np.ndarray], found: Mapping[str, np.ndarray]) -> float:
        """How far two runtimes' finished outputs are apart; by default entry by entry."""
        return largest_difference(expected, found)

    @abstractmethod
    def as_target(self, outputs: Mapping[str, Tensor]) -> Tensor:
        """What the finished outputs of B rows say, as a target."""

    def focus(self, outputs: Mapping[str, Tensor], target: Tensor) -> Tensor:
        """How much the outputs speak for a target, a scalar: what an explanation is of."""
        return -self.loss(outputs, target)

    @abstractmethod
    def decode(self, outputs: Mapping[str, np.ndarray]) -> list[dict[str, Any]]:
        """Finished outputs of B rows as B JSON-able answers."""

    @abstractmethod
    def score(self, predictions: Sequence[Mapping[str, Any]], answers: Sequence[Any]) -> dict[str, float]:
        """Metrics of decoded predictions against raw answers. A second way to the figures that `measure` sums."""

    def intervals(
        self, predictions: Sequence[Mapping[str, Any]], answers: Sequence[Any]
    ) -> dict[str, tuple[float, float]]:
        """95 % intervals of those scores that need a way of their own; the others are bootstrapped over rows."""
        return {}

    @abstractmethod
    def baseline(self) -> dict[str, Any]:
        """The best prediction that ignores the input, known from the training rows: what a network has to beat."""

    def proportions(self) -> tuple[str, ...]:
        """The scores that are shares of rows, so that their interval is Wilson's; the others are bootstrapped."""
        return ()

    def fault(self, prediction: Mapping[str, Any], answer: Any) -> float:
        """How wrong a prediction is: 0 when right, larger for worse. The report shows the largest first."""
        return 0.0

    def blocks(self, predictions: Sequence[Mapping[str, Any]], answers: Sequence[Any]) -> list[Block]:
        """Tables and plots that a report shows for this kind of answer."""
        return []

    def chance_loss(self, outputs: Mapping[str, Tensor], target: Tensor) -> float | None:
        """The loss of a network that knows nothing yet, or None where no such number is known.

        It may hang on the batch: where an answer may stand at many places, guessing finds one of them more often.
        """
        return None

    @classmethod
    def stratum(cls, value: Any) -> str | None:
        """Rows of one stratum are shared out evenly by a split; None where the notion makes no sense."""
        return None

    def draw_on(self, picture: Image.Image, answer: Any, prediction: Mapping[str, Any] | None) -> Image.Image:
        """A picture of what was given with the raw answer and the decoded prediction drawn in; either may be None."""
        return picture

    @classmethod
    def caption(cls, value: Any) -> str:
        """A raw answer in a few words."""
        return str(value)

    @classmethod
    def predicted_caption(cls, prediction: Mapping[str, Any]) -> str:
        """A decoded prediction in a few words."""
        return str(dict(prediction))
