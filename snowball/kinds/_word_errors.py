"""Word and character error rates: jiwer's, as shares of what was right, and their intervals over rows."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np
from rapidfuzz.distance import Levenshtein

__all__ = ["best_constant", "error_intervals", "error_rates", "words_wrong"]

DRAWS = 500
LOOKED_AT = 300  # training rows that candidates for the best constant answer are compared with


def error_rates(predicted: Sequence[str], answers: Sequence[str]) -> dict[str, float]:
    """`wer` and `cer`: insertions, deletions and substitutions over the words, or characters, of the answers.

    >>> error_rates(["the cat sad"], ["the cat sat"])["wer"].__round__(4)
    0.3333
    """
    import jiwer

    references, hypotheses = list(answers), list(predicted)
    return {"wer": float(jiwer.wer(references, hypotheses)), "cer": float(jiwer.cer(references, hypotheses))}


def error_intervals(predicted: Sequence[str], answers: Sequence[str]) -> dict[str, tuple[float, float]]:
    """95 % bootstrap intervals of both over rows, each row with its own errors and length."""
    draws = np.random.Generator(np.random.Philox(0)).integers(len(answers), size=(DRAWS, len(answers)))
    found = {}
    for name, parts in (("wer", str.split), ("cer", list)):
        pairs = [(parts(given), parts(right)) for given, right in zip(predicted, answers, strict=True)]
        errors = np.array([Levenshtein.distance(given, right) for given, right in pairs])
        lengths = np.array([len(right) for _, right in pairs])
        rates = errors[draws].sum(1) / np.maximum(1, lengths[draws].sum(1))
        low, high = np.quantile(rates, [0.025, 0.975]).tolist()
        found[name] = (float(low), float(high))
    return found


def words_wrong(predicted: str, answer: str) -> int:
    """The fewest words to insert, delete or replace.

    >>> words_wrong("no yes", "no no yes")
    1
    """
    return int(Levenshtein.distance(predicted.split(), answer.split()))


def best_constant(texts: Sequence[str]) -> str:
    """The one answer with the fewest word errors over all: among the most frequent texts, and frequent words repeated.

    >>> best_constant(["yes no", "yes yes", "no yes yes"])
    'yes yes'
    """
    rows = list(texts)[:: max(1, len(texts) // LOOKED_AT)]
    words = [word for word, _ in Counter(word for text in texts for word in text.split()).most_common(5)]
    usual = int(np.median([len(text.split()) for text in texts]))
    candidates = ["", *(text for text, _ in Counter(texts).most_common(50))]
    candidates += [" ".join([word] * num) for word in words for num in range(1, min(usual, 20) + 1)]
    return min(candidates, key=lambda one: sum(words_wrong(one, text) for text in rows))
