"""Control learners: models of known health that say what can be learned from rows, whatever the program's network does.

N rows, D features of each.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from .nested import leaves

__all__ = ["MOST_ROWS", "across", "across_answers", "bag", "features", "out_of_fold"]

MOST_ROWS = 1200
MOST_FEATURES = 256
TOKENS = 4096  # slots of a bag of tokens: texts are told apart by words that few of them hold


def features(inputs: Any, count: int) -> np.ndarray | None:
    """(N, D) float32 of whatever the rows hold: numbers as they are, tokens as a bag; None where there is nothing."""
    parts = []
    for _, tensor in leaves(inputs):
        if tensor.dim() == 0 or len(tensor) != count or tensor.is_complex():
            continue
        if (
            not tensor.is_floating_point()
            and tensor.dtype != torch.bool
            and tensor.dim() == 2
            and int(tensor.max()) > 1
        ):
            parts.append(bag(tensor) if not _columns(tensor) else _marks(tensor))
        else:
            parts.append(_projected(tensor.detach().float().reshape(count, -1)))
    if not parts:
        return None
    found = np.concatenate(parts, 1)
    cleaned: np.ndarray = np.nan_to_num(found, nan=0.0, posinf=1e6, neginf=-1e6)
    return cleaned


def _columns(codes: Tensor) -> bool:
    """Whether columns (N, L) are kinds of their own, each with few codes, rather than words of one list."""
    if codes.shape[1] > 32 or int(codes.min()) < 0:
        return False
    return codes.shape[1] <= 4 or (len(set(codes.amax(0).tolist())) > codes.shape[1] // 2 + 1 and int(codes.max()) < 64)


def _marks(codes: Tensor) -> np.ndarray:
    """(N, D): a mark for the code of each column, of many codes by their remainder."""
    each = max(8, min(64, 512 // codes.shape[1]))
    return torch.nn.functional.one_hot(codes.long() % each, each).flatten(1).float().numpy()


def bag(tokens: Tensor) -> np.ndarray:
    """(N, D): which tokens (N, L) a row holds."""
    held = torch.zeros(len(tokens), TOKENS)
    slots = (
        (tokens.long().abs() * 2654435761 % 2**32) % TOKENS
        if int(tokens.max()) >= TOKENS
        else tokens.long().clamp(min=0)
    )
    held.scatter_(1, slots, 1.0)
    return held.numpy()


def _projected(values: Tensor) -> np.ndarray:
    """Many numbers as fewer: neighbours averaged, which keeps what a picture or a sound shows."""
    width = values.shape[1]
    if width > MOST_FEATURES:
        values = (
            torch.nn.functional.adaptive_avg_pool1d(values[:, None], MOST_FEATURES)[:, 0] if width > 4096 else values
        )
        if values.shape[1] > MOST_FEATURES:
            generator = torch.Generator().manual_seed(0)
            spread = torch.randn(values.shape[1], MOST_FEATURES, generator=generator) / values.shape[1] ** 0.5
            values = values @ spread
    return values.numpy().astype(np.float32)


def _models(numbers: bool, width: int) -> list[Any]:
    """Learners of unlike kinds; for bags of tokens those that take many slots of which a row fills few."""
    from sklearn.ensemble import ExtraTreesClassifier, ExtraTreesRegressor
    from sklearn.linear_model import LogisticRegression, Ridge, RidgeCV
    from sklearn.naive_bayes import BernoulliNB
    from sklearn.neighbors import KNeighborsClassifier, KNeighborsRegressor
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    if width >= TOKENS:
        if numbers:
            return [Ridge(), make_pipeline(StandardScaler(), KNeighborsRegressor(5))]
        neighbours = make_pipeline(StandardScaler(), KNeighborsClassifier(5))
        return [LogisticRegression(max_iter=50), BernoulliNB(), neighbours]
    if numbers:
        return [
            make_pipeline(StandardScaler(), RidgeCV()),
            ExtraTreesRegressor(40, random_state=0, n_jobs=1),
            make_pipeline(StandardScaler(), KNeighborsRegressor(5)),
        ]
    return [
        make_pipeline(StandardScaler(), LogisticRegression(max_iter=50)),
        ExtraTreesClassifier(60, random_state=0, n_jobs=1),
        make_pipeline(StandardScaler(), KNeighborsClassifier(5)),
    ]


def out_of_fold(x: np.ndarray, y: np.ndarray, numbers: bool, folds: int = 3) -> tuple[float, np.ndarray]:
    """The best control's score on rows it did not learn from, and every control's answers: (controls, N).

    Accuracy for classes, R squared for numbers.
    """
    import warnings

    from sklearn.model_selection import KFold, StratifiedKFold, cross_val_predict

    x, y = x[:MOST_ROWS], y[:MOST_ROWS]
    rare = not numbers and np.bincount(y).clip(0)[np.unique(y)].min() < folds
    split = (
        KFold(folds, shuffle=True, random_state=0)
        if numbers or rare
        else StratifiedKFold(folds, shuffle=True, random_state=0)
    )
    scores, answers = [], []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of a control that did not converge: it is one of three
        for model in _models(numbers, x.shape[1]):
            found = cross_val_predict(model, x, y, cv=split)
            scores.append(_score(found, y, numbers))
            answers.append(found)
    return max(scores), np.stack(answers)


def _score(found: np.ndarray, y: np.ndarray, numbers: bool) -> float:
    if numbers:
        return float(1 - ((found - y) ** 2).mean() / max(float(y.var()), 1e-12))
    return float((found == y).mean())


def across(x: np.ndarray, y: np.ndarray, other_x: np.ndarray, other_y: np.ndarray, numbers: bool) -> float:
    """The best control's score on other rows than it learned from.

    A class that the other rows hold more or less often counts as often as where it was learned: what is rare is
    answered rarely for good reasons.
    """
    y, other_y = y[:MOST_ROWS], other_y[:MOST_ROWS]
    answers = [found for _, found in across_answers(x, y, other_x, other_y, numbers)]
    if not numbers:
        width = int(max(y.max(), other_y.max())) + 1
        learned, met = np.bincount(y, minlength=width) / len(y), np.bincount(other_y, minlength=width) / len(other_y)
        weights = np.where(learned > 0, learned / np.maximum(met, 1e-12), 1.0)[other_y]
        return max(float(np.average(found == other_y, weights=weights)) for found in answers)
    return max(_score(found, other_y, numbers) for found in answers)


def across_answers(
    x: np.ndarray, y: np.ndarray, other_x: np.ndarray, other_y: np.ndarray, numbers: bool
) -> list[tuple[float, np.ndarray]]:
    """Each control's score and decided answers on other rows."""
    import warnings

    found = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of a control that did not converge: it is one of three
        for model in _models(numbers, x.shape[1]):
            model.fit(x[:MOST_ROWS], y[:MOST_ROWS])
            answers = model.predict(other_x[:MOST_ROWS])
            found.append((_score(answers, other_y[:MOST_ROWS], numbers), answers))
    return found
