"""How far confidences are from how often they are right: bins of confidence, and the error over them."""

from __future__ import annotations

import numpy as np

__all__ = ["calibration_bins", "expected_calibration_error"]

NUM_BINS = 15  # as in Guo et al., 2017, "On Calibration of Modern Neural Networks"


def calibration_bins(confidence: np.ndarray, correct: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Rows, mean confidence and accuracy in NUM_BINS equal bins of confidence; 0 where a bin is empty."""
    bins = np.clip((confidence * NUM_BINS).astype(int), 0, NUM_BINS - 1)
    counts = np.bincount(bins, minlength=NUM_BINS)
    divisor = np.maximum(counts, 1)
    mean_confidence = np.bincount(bins, weights=confidence, minlength=NUM_BINS) / divisor
    return counts, mean_confidence, np.bincount(bins, weights=correct, minlength=NUM_BINS) / divisor


def expected_calibration_error(confidence: np.ndarray, correct: np.ndarray) -> float:
    """ECE over 15 equal bins (Guo et al., 2017, equation 3), from 0 to 1.

    >>> expected_calibration_error(np.array([0.9, 0.9]), np.array([True, False]))
    0.4
    """
    counts, mean_confidence, accuracy = calibration_bins(confidence, correct)
    return round(float((counts * np.abs(mean_confidence - accuracy)).sum() / max(len(confidence), 1)), 12)
