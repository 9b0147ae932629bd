"""Checks of the rows: what a program's loaders give, compared between splits, draws and epochs."""

from __future__ import annotations

import math
from collections.abc import Iterator

from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from ..finding import Finding
from .control import across, across_answers, features, out_of_fold
from .evaluation import _row_list
from .lab import Change, Lab, Sample
from .nested import leaves, row_count, rows_of
from .program import without_workers

__all__ = ["CHECKS"]


class _Rows:
    """A split as the controls see it: x (N, D), y (N,) of classes or numbers."""

    def __init__(self, lab: Lab, sample: Sample) -> None:
        self.x = features(sample.inputs, len(sample))
        self.numbers = False
        self.y: np.ndarray | None = None
        targets = sample.targets
        if isinstance(targets, Tensor) and targets.dim() > 0 and len(targets) == len(sample):
            flat = targets.reshape(len(targets), -1)
            if flat.shape[1] == 1 and lab.answer.form in ("classes", "binary", "numbers", "unknown"):
                whole = not flat.is_floating_point() or bool(
                    (flat == flat.round()).all() and flat.unique().numel() <= 2
                )
                self.numbers = not whole
                self.y = flat[:, 0].numpy().astype(np.float64 if self.numbers else np.int64)
                if not self.numbers and self.y.min() < 0:
                    self.y = None
            elif flat.is_floating_point() and lab.answer.form == "numbers" and flat.shape[1] <= 8:
                self.numbers = True
                self.y = flat[:, 0].numpy().astype(np.float64)
        if self.y is not None and len(np.unique(self.y)) < 2:
            self.y = None

    @property
    def usable(self) -> bool:
        return self.x is not None and self.y is not None and len(self.y) >= 60


def _rows(lab: Lab, which: str) -> _Rows:
    held: dict[str, _Rows] = lab.__dict__.setdefault("_data_rows", {})
    if which not in held:
        sample = lab.train if which == "train" else lab.val
        assert sample is not None
        held[which] = _Rows(lab, sample)
    return held[which]


def constant_input(lab: Lab) -> Iterator[Finding]:
    """Inputs that are the same in all rows tell nothing."""
    for name, tensor in leaves(lab.train.inputs):
        if tensor.dim() == 0 or len(tensor) != len(lab.train) or len(tensor) < 8 or tensor.dtype == torch.bool:
            continue
        if bool((tensor == tensor[:1]).all()):
            what = f"input {name!r}" if name else "the input"
            yield Finding(
                "constant-input",
                "error",
                f"{what} is the same in all {len(tensor)} training rows",
                {"input": name},
                "look at how rows are read",
            )
            return
        flat = tensor.reshape(len(tensor), -1)
        different = len(flat.unique(dim=0)) if flat.shape[1] <= 20000 else len(flat)
        if (
            tensor.is_floating_point()
            and len(flat) >= 50
            and flat.shape[1] > 4
            and different <= max(1, len(flat) // 50)
        ):
            message = f"{len(flat)} training rows hold only {different} different inputs"
            yield Finding(
                "constant-input",
                "error",
                message,
                {"different": different, "rows": len(flat)},
                "look at how rows are read",
            )
            return


def input_scale(lab: Lab) -> Iterator[Finding]:
    """Inputs far from size 1, or features of very different sizes: the same training on standardised inputs."""
    floats = [
        (n, t)
        for n, t in leaves(lab.train.inputs)
        if t.is_floating_point() and t.dim() >= 2 and len(t) == len(lab.train)
    ]
    suspicious = {}
    for name, tensor in floats:
        flat = (
            tensor.reshape(len(tensor), -1)
            if tensor.dim() == 2
            else tensor.transpose(0, 1).reshape(tensor.shape[1], -1).T
        )
        spread, mean = flat.std(0), flat.mean(0).abs()
        used = spread[spread > 1e-12]
        if not len(used):
            continue
        largest = float(torch.maximum(used.max(), mean.max()))
        smallest = float(used.quantile(0.05))  # pixels at a picture's border hardly ever change
        ratio = float(used.max()) / max(smallest, 1e-12) if tensor.dim() == 2 else 1.0
        off_centre = float((mean[spread > 1e-12] / used).median())
        if largest > 8 or float(used.max()) < 0.05 or ratio > 30 or off_centre > 5:
            suspicious[name] = {
                "largest": largest,
                "smallest_spread": smallest,
                "ratio_of_spreads": ratio,
                "mean_over_spread": off_centre,
            }
    if not suspicious:
        return

    stats = {}
    for name, tensor in floats:
        dims = [0] if tensor.dim() == 2 else [0, *range(2, tensor.dim())]
        stats[name] = tensor.mean(dims, keepdim=True), tensor.std(dims, keepdim=True).clamp(min=1e-6)
        if float(stats[name][1].min()) <= 1e-6:
            stats[name] = (
                stats[name][0],
                torch.where(stats[name][1] <= 1e-6, torch.ones_like(stats[name][1]), stats[name][1]),
            )

    def standardised(inputs: Any) -> Any:
        names = iter([n for n, _ in leaves(inputs)])

        def change(tensor: Tensor) -> Tensor:
            name = next(names)
            return (tensor - stats[name][0]) / stats[name][1] if name in stats else tensor

        from .nested import mapped

        return mapped(inputs, change)

    own, other = lab.own, lab.outcome(Change("standardised inputs", inputs=standardised))
    gain = own.gain(other)
    evidence = {"inputs": suspicious, "learned": own.learned(), "learned_standardised": other.learned()}
    name = next(iter(suspicious))
    shown = suspicious[name]
    if gain > 0.04:
        message = (
            f"inputs reach {shown['largest']:.3g} (spreads differ {shown['ratio_of_spreads']:.3g}-fold); standardised, the program"
            f" learns {gain:.0%} more of what there is"
        )
        yield Finding(
            "input-scale", "error", message, evidence, "subtract the training rows' mean and divide by their spread"
        )
    elif shown["largest"] > 100:
        yield Finding("input-scale", "note", f"inputs reach {shown['largest']:.3g}", evidence)


def split_overlap(lab: Lab) -> Iterator[Finding]:
    """Held-out rows that were trained on, exactly or nearly."""
    val = lab.val
    if val is None or len(val) < 8:
        return
    train_rows, val_rows = _row_list(lab.train.inputs), _row_list(val.inputs)
    known, seen = set(train_rows), {}
    for row in val_rows:
        seen[row] = seen.get(row, 0) + 1
    shared = sum(row in known for row in val_rows)
    within = sum(count - 1 for count in seen.values())
    repeated = 1 - len(known) / max(1, len(train_rows))
    natural = max(within / len(val_rows), repeated)
    rich = _is_rich(lab.train.inputs, len(lab.train))
    evidence = {"rows": shared, "of": len(val_rows), "repeated_within": natural}
    share = shared / len(val_rows)
    if shared > max(1, 0.01 * len(val_rows)) and (share > 3 * natural or (rich and share > 0.1)):
        message = (
            f"{shared} of {len(val_rows)} held-out rows are training rows as well: their score is memory, not skill"
        )
        yield Finding(
            "split-overlap", "error", message, evidence, "split once, before rows are copied, augmented or balanced"
        )
        return
    found = list(_shared_windows(lab, val))
    yield from found or _near_overlap(lab, val)


def _is_rich(inputs: Any, count: int) -> bool:
    """Whether rows hold so much that two of them are equal by copying alone: many numbers, or eight tokens."""
    for _, tensor in leaves(inputs):
        if tensor.dim() < 2 or len(tensor) != count:
            continue
        flat = tensor.reshape(count, -1)
        if tensor.is_floating_point() and flat.shape[1] >= 4 and flat.unique().numel() > 1000:
            return True
        if not tensor.is_floating_point() and float((flat != flat[:, -1:]).sum(1).float().mean()) >= 8:
            return True
    return False


def _shared_windows(lab: Lab, val: Sample) -> Iterator[Finding]:
    """Held-out sequences of which a long piece stands in the training rows: windows of one record, dealt to splits."""
    pairs = zip(leaves(lab.train.inputs), leaves(val.inputs), strict=True)
    for (_, one), (_, two) in pairs:
        if one.dim() not in (2, 3) or one.shape[1:] != two.shape[1:] or one.shape[1] < 12 or len(one) != len(lab.train):
            continue
        if one.dim() == 2 and one.is_floating_point() and not _smooth(one):
            continue
        size = max(12, one.shape[1] // 2) if not one.is_floating_point() else max(4, one.shape[1] // 2)
        known = {piece for row in one for piece in _pieces(row, size)}
        shared = sum(any(piece in known and _tells(piece, size) for piece in _pieces(row, size)) for row in two)
        if shared > max(2, 0.2 * len(two)):
            message = (
                f"{shared} of {len(two)} held-out sequences share a piece of {size} steps with a training sequence"
            )
            yield Finding(
                "split-overlap",
                "error",
                message,
                {"rows": shared, "of": len(two), "steps": size},
                "split the record by time first, then cut windows",
            )
            return


def _smooth(tensor: Tensor) -> bool:
    """Whether neighbouring columns are like one another: steps of a series, not features."""
    flat = tensor - tensor.mean()
    return float((flat[:, 1:] * flat[:, :-1]).mean() / flat.square().mean().clamp(min=1e-12)) > 0.5


def _pieces(row: Tensor, size: int) -> list[bytes]:
    """Every contiguous piece of a sequence, as bytes."""
    content = row.detach().cpu().contiguous()
    width = content[0].numel() * content.element_size()
    data = content.numpy().tobytes()
    return [data[at * width : (at + size) * width] for at in range(len(content) - size + 1)]


def _tells(piece: bytes, size: int) -> bool:
    """Whether a piece holds enough to be met by copying alone: many different steps, and none of padding for most."""
    width = len(piece) // size
    steps = [piece[at * width : (at + 1) * width] for at in range(size)]
    return len(set(steps)) >= size // 3 and max(map(steps.count, set(steps))) <= 0.4 * size


def _near_overlap(lab: Lab, val: Sample) -> Iterator[Finding]:
    """Held-out rows whose nearest training row is far nearer than training rows are to one another."""
    floats = [t for _, t in leaves(lab.train.inputs) if t.is_floating_point() and len(t) == len(lab.train)]
    others = [t for _, t in leaves(val.inputs) if t.is_floating_point() and len(t) == len(val)]
    if len(floats) != 1 or len(others) != 1 or floats[0].shape[1:] != others[0].shape[1:]:
        return
    one, two = floats[0].reshape(len(lab.train), -1)[:3000], others[0].reshape(len(val), -1)[:600]
    if one.shape[1] < 8:
        return
    spread = one.std(0).clamp(min=1e-6) if one.shape[1] < 64 else torch.ones(())
    one, two = one / spread, two / spread
    inside = torch.cdist(one[: len(two)], one)
    inside[torch.arange(len(inside)), torch.arange(len(inside))] = math.inf
    usual, near = inside.min(1).values, torch.cdist(two, one).min(1).values
    bound = 0.4 * float(usual.quantile(0.05))
    share, share_inside = float((near < bound).float().mean()), float((usual < bound).float().mean())
    if bound > 0 and share > 0.05 and share > 4 * share_inside:
        message = f"{share:.0%} of held-out rows are nearly the same as a training row (within training {share_inside:.0%} are)"
        yield Finding(
            "split-overlap",
            "error",
            message,
            {"share": share, "share_within": share_inside},
            "rows of one origin belong in one split",
        )


def target_leak(lab: Lab) -> Iterator[Finding]:
    """One feature of many that gives the answer by itself, where the others together do not."""
    rows = _rows(lab, "train")
    if not rows.usable or rows.y is None:
        return
    if rows.numbers:
        yield from _copied(lab, rows.y)
    floats = [t for _, t in leaves(lab.train.inputs) if t.dim() == 2 and len(t) == len(lab.train)]
    if not floats:
        return
    table = torch.cat([t.float() for t in floats], 1).numpy()
    if table.shape[1] < 3 or table.shape[1] > 400 or lab.answer.form == "unknown":
        return
    if not all(t.is_floating_point() for t in floats):
        return
    y = rows.y
    alone = np.array([_alone(table[:, j], y, rows.numbers) for j in range(table.shape[1])])
    best = int(alone.argmax())
    order = np.sort(alone)
    second = float(order[-2])
    if alone[best] < 0.9 or alone[best] - second < 0.02:
        return
    rest = np.delete(table, best, 1)
    without, _ = out_of_fold(rest, y, rows.numbers)
    base = 0.0 if rows.numbers else float(np.bincount(y).max() / len(y))
    evidence = {
        "feature": best,
        "alone": float(alone[best]),
        "next_best": second,
        "others_together": without,
        "constant": base,
    }
    margin = (alone[best] - without) / max(1e-6, 1 - without)
    if alone[best] > 0.97 and margin > 0.5 and alone[best] - without > 0.01:
        message = f"feature {best} alone gives {alone[best]:.1%} of answers; all others together give {without:.1%}: it may hold the answer"
        yield Finding("target-leak", "error", message, evidence, "leave out what is only known once the answer is")


def _copied(lab: Lab, y: np.ndarray) -> Iterator[Finding]:
    """A number among several that is the target itself, or a line of it."""
    for name, tensor in leaves(lab.train.inputs):
        if not tensor.is_floating_point() or len(tensor) != len(y):
            continue
        table = tensor.reshape(len(y), -1).double().numpy()
        if not 3 <= table.shape[1] <= 5000:
            continue
        centred, wanted = table - table.mean(0), y - y.mean()
        size = np.sqrt((centred**2).sum(0) * (wanted**2).sum())
        related = np.abs(centred.T @ wanted) / np.maximum(size, 1e-12)
        found = np.flatnonzero(related > 0.99999)
        if 0 < len(found) <= 0.2 * table.shape[1] + 1:
            message = f"number {int(found[0])} of each row of the input is the target itself"
            evidence = {"input": name, "places": found[:10].tolist()}
            yield Finding("target-leak", "error", message, evidence, "leave out what is only known once the answer is")
            return


def _alone(feature: np.ndarray, y: np.ndarray, numbers: bool) -> float:
    """How well a feature answers by itself: R squared of a line or of 20 bins, or accuracy of bins, out of fold."""
    if feature.std() < 1e-12:
        return 0.0
    half = np.arange(len(y)) % 2 == 0
    edges = np.unique(np.quantile(feature[half], np.linspace(0, 1, 21)[1:-1]))
    bins = np.searchsorted(edges, feature, side="right")
    if numbers:
        line = float(np.corrcoef(feature, y)[0, 1] ** 2)
        return line
    table = np.zeros((len(edges) + 1, int(y.max()) + 1))
    np.add.at(table, (bins[half], y[half]), 1)
    return float((table.argmax(1)[bins[~half]] == y[~half]).mean())


def unshuffled(lab: Lab) -> Iterator[Finding]:
    """Batches of one class after another: labels within batches against the same labels dealt at random."""
    rows = _rows(lab, "train")
    sizes = lab.train.sizes
    if rows.y is None or len(sizes) < 4 or max(sizes) < 4:
        return
    y = rows.y.astype(np.float64)
    if not rows.numbers:
        codes = np.unique(rows.y, return_inverse=True)[1]
        y = np.eye(int(codes.max()) + 1)[codes]
    else:
        y = ((y - y.mean()) / max(y.std(), 1e-12))[:, None]
    within = _within(y, sizes)
    random = np.random.default_rng(0)
    dealt = [_within(random.permutation(y), sizes) for _ in range(30)]
    share = within / max(np.mean(dealt), 1e-12)
    if share < 0.7 and within < min(dealt):
        evidence = {"spread_within_batches": share}
        shuffled = _shuffled_batches(lab)
        own, other = lab.own, lab.outcome(Change("rows in random order", batches=shuffled))
        gain = own.gain(other)
        evidence |= {"learned": own.learned(), "learned_shuffled": other.learned()}
        severity = "error" if gain > 0.03 and not lab.program.causal else "warning"
        message = (
            f"rows come in an order that follows the answers: within a batch they vary {share:.0%} as much as at random"
        )
        message += f"; in random order the program learns {gain:.0%} more" if severity == "error" else ""
        yield Finding("unshuffled", severity, message, evidence, "shuffle=True, anew in every epoch")


def _within(y: np.ndarray, sizes: tuple[int, ...]) -> float:
    """The mean variance of answers within batches."""
    found, begin = [], 0
    for size in sizes:
        if size > 1:
            found.append(float(y[begin : begin + size].var(0).sum()))
        begin += size
    return float(np.mean(found)) if found else 0.0


def _shuffled_batches(lab: Lab) -> Any:
    sample, size = lab.train, max(lab.train.sizes)
    generator = torch.Generator().manual_seed(0)

    def batches() -> Iterator[tuple[Any, Any]]:
        order = torch.randperm(len(sample), generator=generator)
        for part in order.split(size):
            yield rows_of(sample.inputs, part), rows_of(sample.targets, part)

    return batches


def class_imbalance(lab: Lab) -> Iterator[Finding]:
    """Classes that are rare and never answered: each class's recall after training, against a training that weighs them."""
    answer = lab.own.answer
    if answer is None or answer.form not in ("classes", "binary") or not answer.one_a_row:
        return
    rows = _rows(lab, "train")
    if rows.y is None or rows.numbers:
        return
    counts = np.bincount(rows.y)
    counts = counts[counts > 0]
    if len(counts) < 2 or counts.max() < 8 * counts.min():
        return
    rare = [int(c) for c in np.unique(rows.y) if np.bincount(rows.y)[c] * 8 <= counts.max()]
    predicted, labels = answer.predicted().long(), answer.labels.long()
    recalls = {c: float((predicted[labels == c] == c).float().mean()) for c in rare if bool((labels == c).any())}
    usual = [float((predicted[labels == c] == c).float().mean()) for c in labels.unique().tolist()]
    if not recalls or min(recalls.values()) > 0.5:
        return
    balanced = lab.outcome(Change("each class as often", batches=_balanced_batches(lab, rows.y)))
    if balanced.answer is None:
        return
    other = balanced.answer.predicted().long()
    again = {c: float((other[labels == c] == c).float().mean()) for c in recalls}
    mean_before = sum(usual) / len(usual)
    mean_after = float(np.mean([float((other[labels == c] == c).float().mean()) for c in labels.unique().tolist()]))
    evidence = {
        "rows": {int(c): int(n) for c, n in enumerate(np.bincount(rows.y))},
        "recall": recalls,
        "recall_balanced": again,
        "mean_recall": mean_before,
        "mean_recall_balanced": mean_after,
    }
    worst = min(recalls, key=lambda c: recalls[c])
    if mean_after > mean_before + 0.05 and again[worst] > recalls[worst] + 0.2:
        message = f"class {worst} is {recalls[worst]:.0%} recognised; with each class as often in a batch {again[worst]:.0%}, and all classes {mean_after:.0%} on average in place of {mean_before:.0%}"
        yield Finding(
            "class-imbalance", "error", message, evidence, "weigh the loss, or sample rare classes more often"
        )


def _balanced_batches(lab: Lab, y: np.ndarray) -> Any:
    sample, size = lab.train, max(lab.train.sizes)
    generator = torch.Generator().manual_seed(0)
    shares = torch.as_tensor(1.0 / np.bincount(y)[y])

    def batches() -> Iterator[tuple[Any, Any]]:
        for _ in sample.sizes:
            part = torch.multinomial(shares, size, replacement=True, generator=generator)
            yield rows_of(sample.inputs, part), rows_of(sample.targets, part)

    return batches


def relation(lab: Lab) -> Iterator[Finding]:
    """What controls learn within the training rows, within the held-out rows, and from one to the other.

    Within each split, rows are answered from others of the same split; where that works in the held-out rows and less
    in the training rows, the training labels are at fault. Where it works in both but not from one to the other, the
    splits differ.
    """
    train = _rows(lab, "train")
    if not train.usable:
        return
    assert train.x is not None and train.y is not None
    inside, answers = out_of_fold(train.x, train.y, train.numbers)
    base = 0.0 if train.numbers else float(np.bincount(train.y).max() / len(train.y))
    evidence: dict[str, Any] = {"train": inside, "constant": base}
    val = _rows(lab, "val") if lab.val is not None else None
    held = float("nan")
    if (
        val is not None
        and val.usable
        and val.numbers == train.numbers
        and val.x is not None
        and val.y is not None
        and val.x.shape[1] == train.x.shape[1]
    ):
        held, _ = out_of_fold(val.x, val.y, val.numbers)
        to_val = across(train.x, train.y, val.x, val.y, train.numbers)
        to_train = across(val.x, val.y, train.x, train.y, train.numbers)
        evidence |= {"held_out": held, "train_to_held_out": to_val, "held_out_to_train": to_train}
        yield from _splits_differ(lab, train, val, evidence)
    yield from _labels(lab, train, answers, evidence, base, inside, held)


def _shift(one: np.ndarray, two: np.ndarray) -> tuple[float, float]:
    """How far two tables of features are apart: the mean shift in spreads, and the ratio of their spreads."""
    spread = np.maximum(one.std(0), 1e-9)
    used = one.std(0) > 1e-9
    if not used.any():
        return 0.0, 1.0
    moved = float(np.median(np.abs(two.mean(0) - one.mean(0))[used] / spread[used]))
    ratio = float(np.median(np.maximum(two.std(0), 1e-9)[used] / spread[used]))
    return moved, ratio


def _splits_differ(lab: Lab, train: _Rows, val: _Rows, evidence: dict[str, Any]) -> Iterator[Finding]:
    assert train.x is not None and val.x is not None and train.y is not None and val.y is not None
    moved, ratio = _shift(train.x, val.x)
    to_val, inside, held = evidence["train_to_held_out"], evidence["train"], evidence["held_out"]
    evidence |= {"mean_shift": moved, "ratio_of_spreads": ratio}
    base = evidence["constant"]
    expected = min(inside, max(held, base))
    lost = (expected - to_val) / max(1e-6, 1 - base)
    gross = moved > 0.5 or ratio > 2 or ratio < 0.5
    if expected - base > 0.1 and lost > 0.15:
        if not train.numbers and not gross:
            permuted = _renamed(train, val)
            evidence["renamed_labels"] = permuted
            if permuted > to_val + 0.3 * max(1e-6, 1 - to_val):
                message = f"what is learned from training rows answers {to_val:.0%} of held-out rows, but {permuted:.0%} with their labels renamed"
                yield Finding(
                    "train-val-mismatch", "error", message, evidence, "number the classes once, for both splits"
                )
                return
        if gross or lost > 0.3:
            message = (
                f"training and held-out rows are prepared differently: what is learned from training rows answers {to_val:.0%} of held-out"
                f" rows (of training rows {inside:.0%}); features move by {moved:.2g} spreads, spreads by a factor {ratio:.2g}"
            )
            yield Finding(
                "train-val-mismatch", "error", message, evidence, "prepare both with the training rows' statistics"
            )


def _renamed(train: _Rows, val: _Rows) -> float:
    """The best share of held-out rows that are right when each class may get another's name."""
    from scipy.optimize import linear_sum_assignment

    assert train.x is not None and val.x is not None and train.y is not None and val.y is not None
    width = int(max(train.y.max(), val.y.max())) + 1
    best = 0.0
    for _, answers in across_answers(train.x, train.y, val.x, val.y, False):
        table = np.zeros((width, width))
        np.add.at(table, (answers.astype(int), val.y[: len(answers)]), 1)
        one, other = linear_sum_assignment(-table)
        best = max(best, float(table[one, other].sum() / len(answers)))
    return best


def _labels(
    lab: Lab, train: _Rows, answers: np.ndarray, evidence: dict[str, Any], base: float, inside: float, held: float
) -> Iterator[Finding]:
    assert train.x is not None and train.y is not None
    count = answers.shape[1]
    known = not math.isnan(held)
    room = max(1e-6, 1 - base)
    chance_like = inside - base < 0.05 + 2 * (base * (1 - base) / count) ** 0.5 if not train.numbers else inside < 0.05
    moved = _order_shift(lab, train)
    evidence["shifted_by_one"] = moved
    if moved > max(inside, base) + 0.2 * room:
        message = f"labels fit the rows beside theirs: {moved:.0%} with a shift of one, {inside:.0%} as they are"
        yield Finding("label-misaligned", "error", message, evidence, "keep each label with its row")
        return
    if known and held - base > 0.15 and chance_like:
        name, what = "label-misaligned", "no relation between training inputs and labels"
        varied = _augmented(lab)
        if varied:
            name, what = "augment-target", "no relation between training inputs, which are drawn at random, and labels"
        yield Finding(
            name,
            "error",
            f"{what}: controls reach {inside:.0%} there and {held:.0%} within the held-out rows",
            evidence,
            "shuffle inputs and labels together",
        )
        return
    if known and evidence.get("held_out_to_train") is not None and held - base > 0.15:
        drop = held - max(inside, evidence["held_out_to_train"])
        noise = (
            2.5
            * (
                2
                * max(held * (1 - held), 0.02)
                / min(
                    count, len(_rows(lab, "val").y or ()) if _rows(lab, "val").y is None else len(_rows(lab, "val").y)
                )
            )
            ** 0.5
        )
        if drop > max(0.06 * room, noise if not train.numbers else 0.1) and not _gross(evidence):
            if _augmented(lab):
                message = f"controls answer {max(inside, evidence['held_out_to_train']):.0%} of training rows, which are drawn at random, and {held:.0%} of held-out rows: targets may not follow what is done to inputs"
                yield Finding(
                    "augment-target",
                    "error",
                    message,
                    evidence,
                    "transform targets with their inputs, or leave that out",
                )
            else:
                message = f"labels of training rows are wrong more often than those of held-out rows: controls reach {inside:.0%} and {held:.0%}"
                yield Finding(
                    "label-noise",
                    "error",
                    message,
                    evidence,
                    "look at the rows that controls are sure are labelled wrong",
                )
            return
    if not train.numbers:
        yield from _flipped(train.y[:count], answers[:, :count], evidence)
    if chance_like and (not known or held - base < 0.05) and lab.own.finite and lab.own.learned() < 0.05:
        message = "neither controls nor the program's network find a relation between inputs and labels"
        yield Finding(
            "label-misaligned",
            "error",
            message,
            evidence,
            "keep each label with its row, whatever order they are put in",
        )


def _gross(evidence: dict[str, Any]) -> bool:
    return evidence.get("mean_shift", 0) > 0.5 or not 0.5 < evidence.get("ratio_of_spreads", 1) < 2


def _order_shift(lab: Lab, train: _Rows) -> float:
    """How well controls do when each label is given to a row beside its own, in the data set's own order."""
    dataset = getattr(lab.program.train, "dataset", None)
    if not isinstance(dataset, Dataset) or not hasattr(dataset, "__len__") or len(dataset) < 60:  # type: ignore[arg-type]
        return -math.inf
    try:
        with lab.program.kept(seed=0):
            rows = [dataset[i] for i in range(min(len(dataset), 1500))]  # type: ignore[arg-type]
        x = torch.stack([torch.as_tensor(row[0]) for row in rows])
        y = torch.stack([torch.as_tensor(row[1]).reshape(-1)[0] for row in rows])
    except Exception:  # noqa: BLE001 - the program's own data set, of which rows may be of any make
        return -math.inf
    table = features(x, len(x))
    if table is None or len(y) != len(table):
        return -math.inf
    labels = y.numpy().astype(np.float64 if train.numbers else np.int64)
    if not train.numbers and (labels.min() < 0 or len(np.unique(labels)) < 2):
        return -math.inf
    if _in_runs(labels, train.numbers):
        return -math.inf
    return max(
        out_of_fold(table[1:], labels[:-1], train.numbers)[0], out_of_fold(table[:-1], labels[1:], train.numbers)[0]
    )


def _in_runs(labels: np.ndarray, numbers: bool) -> bool:
    """Whether neighbours mostly have the same answer, so that a shift by one changes little."""
    if numbers:
        return abs(float(np.corrcoef(labels[1:], labels[:-1])[0, 1])) > 0.3
    return float((labels[1:] == labels[:-1]).mean()) > 2 * float((np.bincount(labels) / len(labels)).max())


def _augmented(lab: Lab) -> bool:
    """Whether a row is another one each time it is drawn."""
    dataset = getattr(lab.program.train, "dataset", None)
    if isinstance(dataset, Dataset) and hasattr(dataset, "__len__"):
        try:
            with lab.program.kept(seed=0):
                for row in range(min(8, len(dataset))):  # type: ignore[arg-type]
                    draws = [[t.clone() for _, t in leaves(dataset[row][0])] for _ in range(4)]
                    if any(not torch.equal(a, b) for other in draws[1:] for a, b in zip(draws[0], other, strict=True)):
                        return True
        except Exception:  # noqa: BLE001 - the program's own data set
            return False
    with lab.program.kept(seed=1):
        again = set()
        for inputs, _ in lab.program.batches(without_workers(lab.program.train)):
            again |= set(_row_list(inputs))
            if len(again) > len(lab.train):
                break
    first = set(_row_list(lab.train.inputs))
    return len(first & again) < 0.5 * min(len(first), len(again))


def _flipped(y: np.ndarray, answers: np.ndarray, evidence: dict[str, Any]) -> Iterator[Finding]:
    """Labels against which all controls agree, spread over all other classes alike: drawn at random, not confused.

    Rows that are hard are confused with their neighbours, and controls differ on them; a flipped label stands among
    rows that are easy, and names any class as often as any other.
    """
    classes = np.unique(y)
    agree = (answers == answers[0]).all(0)
    wrong = agree & (answers[0] != y)
    share = float(wrong.sum() / max(1, agree.sum()))
    if len(classes) < 3 or agree.sum() < 100 or wrong.sum() < 20:
        return
    table = np.zeros((len(classes), len(classes)))
    np.add.at(table, (np.searchsorted(classes, answers[0][wrong]), np.searchsorted(classes, y[wrong])), 1)
    # How evenly the labels of each decided class are spread over the others, beside an even spread of as many.
    random = np.random.default_rng(0)
    totals = table.sum(1).astype(int)
    dealt = [
        sum(_entropy(random.multinomial(n, np.full(len(classes) - 1, 1 / (len(classes) - 1)))) * n for n in totals if n)
        for _ in range(50)
    ]
    seen = sum(_entropy(np.delete(table[row], row)) * n for row, n in enumerate(totals) if n)
    even = float(seen / max(np.mean(dealt), 1e-12))
    evidence = {**evidence, "agreed_and_wrong": share, "evenness": even}
    explained = float((answers == y).mean(1).max()) > 1 - 1.6 * share  # most of what the best control gets wrong
    if share > 0.1 and even > 0.9 and explained:
        message = f"{share:.0%} of the labels on which all controls agree are another class, any class alike: labels are wrong at random"
        yield Finding(
            "label-noise", "error", message, evidence, "look at the rows on which controls agree against the label"
        )


def _entropy(counts: np.ndarray) -> float:
    shares = counts[counts > 0] / max(counts.sum(), 1)
    return float(-(shares * np.log(shares)).sum())


def worker_seeds(lab: Lab) -> Iterator[Finding]:
    """Random draws that repeat: the same in each worker, or in each epoch."""
    loader = lab.program.train
    if not isinstance(loader, DataLoader):
        return
    dataset = loader.dataset
    if not isinstance(dataset, Dataset) or not hasattr(dataset, "__getitem__") or loader.batch_sampler is None:
        return
    if loader.num_workers > 0:
        probe = DataLoader(
            _Probe(dataset),
            batch_size=None,
            sampler=list(range(min(8, len(dataset)))),
            num_workers=2,  # type: ignore[arg-type]
            worker_init_fn=loader.worker_init_fn,
            multiprocessing_context=loader.multiprocessing_context,
        )
        with lab.program.kept(seed=0):
            first = list(probe)
            second = list(probe)
        by_worker: dict[int, dict[str, int]] = {}
        for worker, used, states in first:
            for name in used:
                by_worker.setdefault(worker, {}).setdefault(name, states[name])
        shared = (
            set.intersection(*(set(found.items()) for found in by_worker.values())) if len(by_worker) > 1 else set()
        )
        again: dict[str, int] = {}
        for worker, used, states in second:
            if worker == 0:
                for name in used:
                    again.setdefault(name, states[name])
        frozen = set(by_worker.get(0, {}).items()) & set(again.items())
        if shared:
            names = sorted(name for name, _ in shared)
            message = f"each worker draws the same random numbers ({', '.join(names)}): rows are augmented alike"
            yield Finding(
                "worker-seeds",
                "error",
                message,
                {"generators": names},
                "seed each worker with torch.initial_seed() in worker_init_fn",
            )
        elif frozen:
            names = sorted(name for name, _ in frozen)
            message = f"every epoch draws the same random numbers ({', '.join(names)}): augmentation repeats itself"
            yield Finding(
                "worker-seeds",
                "error",
                message,
                {"generators": names},
                "seed from torch.initial_seed(), not from a constant",
            )


class _Probe(Dataset[Any]):
    """In place of a row: the worker's number, the generators that the row drew from, and their states before."""

    def __init__(self, dataset: Any) -> None:
        self.dataset = dataset

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, row: int) -> tuple[int, list[str], dict[str, int]]:
        info = torch.utils.data.get_worker_info()
        before = _states(self.dataset)
        self.dataset[row]
        after = _states(self.dataset)
        return (info.id if info is not None else 0), [name for name in before if before[name] != after[name]], before


def _states(dataset: Any) -> dict[str, int]:
    import random

    found = {
        "numpy.random": hash(np.random.get_state()[1].tobytes() + bytes(str(np.random.get_state()[2]), "ascii")),  # type: ignore[union-attr, index]
        "random": hash(random.getstate()),
        "torch": hash(torch.get_rng_state().numpy().tobytes()),
    }
    for holder, label in (
        (dataset, "dataset"),
        (getattr(dataset, "transform", None), "transform"),
        (getattr(dataset, "dataset", None), "dataset.dataset"),
    ):
        for name, value in getattr(holder, "__dict__", {}).items():
            if isinstance(value, np.random.Generator):
                found[f"{label}.{name}"] = hash(str(value.bit_generator.state))
            elif isinstance(value, np.random.RandomState):
                found[f"{label}.{name}"] = hash(str(value.get_state()[1].tobytes()) + str(value.get_state()[2]))  # type: ignore[union-attr, index]
            elif isinstance(value, random.Random):
                found[f"{label}.{name}"] = hash(value.getstate())
            elif isinstance(value, torch.Generator):
                found[f"{label}.{name}"] = hash(value.get_state().numpy().tobytes())
    return found


CHECKS = (constant_input, split_overlap, target_leak, worker_seeds, unshuffled, relation, class_imbalance, input_scale)
