"""BLEU and chrF by sacrebleu, from 0 to 100, with the intervals it bootstraps over sentences."""

from __future__ import annotations

import logging
from collections.abc import Sequence

import numpy as np
from sacrebleu.metrics.bleu import BLEU
from sacrebleu.metrics.chrf import CHRF
from sacrebleu.significance import _bootstrap_resample

__all__ = ["sentence_fault", "signatures", "translation_intervals", "translation_scores"]

DRAWS = 500
logging.getLogger("sacrebleu").setLevel(logging.ERROR)  # it warns of tokenised text, which data sets may well be


def translation_scores(predicted: Sequence[str], answers: Sequence[str]) -> dict[str, float]:
    """`bleu` (Papineni et al., 2002; Post, 2018) and `chrf` (Popović, 2015).

    >>> translation_scores(["ein Hund rennt im Schnee"], ["ein Hund rennt im Schnee"])["chrf"]
    100.0
    """
    references = [list(answers)]
    return {
        "bleu": round(BLEU().corpus_score(predicted, references).score, 4),
        "chrf": round(CHRF().corpus_score(predicted, references).score, 4),
    }


def translation_intervals(predicted: Sequence[str], answers: Sequence[str]) -> dict[str, tuple[float, float]]:
    """95 % bootstrap intervals of both, on sacrebleu's own draws.

    Its own interval is not used: it fails where some draws score 0 (statistics.mean of float and float32).
    """
    found = {}
    for name, metric in (("bleu", BLEU()), ("chrf", CHRF())):
        counted = metric._extract_corpus_statistics(predicted, [list(answers)])
        drawn = [float(score.score) for score in _bootstrap_resample(counted, metric, DRAWS)[1]]
        low, high = np.quantile(drawn, [0.025, 0.975]).tolist()
        found[name] = (low, high)
    return found


def signatures() -> str:
    """How the two were computed, in sacrebleu's own words."""
    return "; ".join(f"{name} {_signature(metric)}" for name, metric in (("BLEU", BLEU()), ("chrF", CHRF())))


def _signature(metric: BLEU | CHRF) -> str:
    metric.corpus_score(["a"], [["a"]])
    return str(metric.get_signature())


def sentence_fault(predicted: str, answer: str) -> float:
    """0 for the very answer, 1 for nothing in common: 1 - chrF of the sentence."""
    if predicted == answer:
        return 0.0
    return 1.0 - float(CHRF().sentence_score(predicted, [answer]).score) / 100
