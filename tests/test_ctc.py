"""CTC against brute force over all alignments, and the search and the alignment that stand on it."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import torch

from snowball.kinds._ctc import align, beam_tokens, ctc_nll, frames_needed, greedy_tokens
from snowball.kinds._word_errors import error_intervals, error_rates

T, V = 5, 3


def collapsed(path: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(token for token, _ in itertools.groupby(path) if token)


def by_hand(log_probs: np.ndarray) -> dict[tuple[int, ...], float]:
    """Every text's probability, summed over all V ** T alignments."""
    found: dict[tuple[int, ...], float] = {}
    for path in itertools.product(range(V), repeat=len(log_probs)):
        text = collapsed(path)
        found[text] = found.get(text, 0.0) + math.exp(sum(log_probs[t, token] for t, token in enumerate(path)))
    return found


@pytest.mark.parametrize("seed", range(5))
def test_loss_and_search_equal_the_sum_over_all_alignments(seed: int) -> None:
    logits = torch.randn(1, T, V, generator=torch.Generator().manual_seed(seed))
    log_probs = logits[0].double().log_softmax(1).numpy()
    texts = by_hand(log_probs)
    for text, probability in texts.items():
        if text:
            nll = float(ctc_nll(logits, torch.tensor([T]), torch.tensor([text])))
            assert nll == pytest.approx(-math.log(probability), rel=1e-4)
    assert tuple(beam_tokens(log_probs, 200)) == max(texts, key=texts.__getitem__)


def test_padding_and_frames_of_other_rows_change_nothing() -> None:
    logits = torch.randn(2, 9, V, generator=torch.Generator().manual_seed(0))
    both = ctc_nll(logits, torch.tensor([9, 5]), torch.tensor([[1, 2, 1], [2, 0, 0]]))
    alone = ctc_nll(logits[1:, :5], torch.tensor([5]), torch.tensor([[2]]))
    assert float(both[1]) == pytest.approx(float(alone[0]), rel=1e-5)
    assert greedy_tokens(logits, torch.tensor([9, 5]))[1] == greedy_tokens(logits[1:, :5], torch.tensor([5]))[0]


@pytest.mark.parametrize("seed", range(5))
def test_the_alignment_is_the_likeliest_path(seed: int) -> None:
    log_probs = torch.randn(T, V, generator=torch.Generator().manual_seed(seed)).double().log_softmax(1).numpy()
    for text in [(1,), (1, 2), (1, 1), (2, 1, 2)]:
        paths = [p for p in itertools.product(range(V), repeat=T) if collapsed(p) == text]
        best = max(paths, key=lambda path: sum(log_probs[t, token] for t, token in enumerate(path)))
        spans = align(log_probs, text)
        assert [best[first] for first, _ in spans] == list(text)
        assert all(set(best[first:last]) == {token} for token, (first, last) in zip(text, spans, strict=True))
    assert align(log_probs, (1, 1, 1, 1)) == [] and frames_needed((1, 1, 1, 1)) == 7


def test_a_prior_turns_the_search() -> None:
    log_probs = np.log(np.array([[0.1, 0.5, 0.4]] * 2 + [[0.9, 0.05, 0.05]]))
    assert beam_tokens(log_probs, 8) == [1]
    assert beam_tokens(log_probs, 8, lambda prefixes: [-5.0 * prefix.count(1) for prefix in prefixes]) == [2]


def test_error_rates_and_their_intervals() -> None:
    right, said = ["the cat sat", "a dog"], ["the cat sad here", "a dog"]
    assert error_rates(said, right) == {"wer": pytest.approx(2 / 5), "cer": pytest.approx(6 / 16)}
    low, high = error_intervals(said, right)["wer"]
    assert low == 0.0 and high == pytest.approx(2 / 3)
