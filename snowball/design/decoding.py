"""Token by token: beam search and sampling, over anything that has the parts `encode` and `step`.

Shapes: B rows, K beams, V vocabulary, T tokens so far.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

from ..rng import mix

__all__ = ["beam_search", "sample"]


@torch.no_grad()
def beam_search(
    model: Any, source: Tensor, *, begin: int, end: int, beams: int, limits: Tensor, length_penalty: float
) -> Tensor:
    """(B, S) sources -> (B, T) tokens, `begin` left out, padded with 0 after `end`; at most `limits` (B,) of each row.

    Hypotheses are ranked by their log probability over length ** `length_penalty` (Wu et al., 2016, without the
    constants). A row is done, and leaves the batch, once its best finished hypothesis ranks above its best live one.
    """
    encoded = model.encode(source=source)
    device, longest = source.device, int(limits.max())
    best = torch.zeros((len(source), longest), dtype=torch.int64, device=device)
    best_score = torch.full((len(source),), -torch.inf, device=device)
    live = torch.arange(len(source), device=device)  # (N,) rows still searched
    repeat = live.repeat_interleave(beams)
    memory, mask, cache = (encoded[name].index_select(0, repeat) for name in ("memory", "mask", "cache"))
    tokens = torch.full((len(repeat), 1), begin, device=device)
    scores = torch.full((len(source), beams), -torch.inf, device=device)
    scores[:, 0] = 0.0  # all beams begin alike: only the first counts
    for length in range(1, longest + 1):
        stepped = model.step(tokens=tokens[:, -1:], cache=cache, memory=memory, mask=mask)
        log_p = stepped["logits"][:, -1].float().log_softmax(1).view(len(live), beams, -1)  # (N, K, V)
        log_p[:, :, :end] = -torch.inf  # padding, unknown and begin are no answer
        log_p[limits[live] == length, :, end + 1 :] = -torch.inf
        total = (scores[:, :, None] + log_p).flatten(1)  # (N, K V)
        top, flat = total.topk(2 * beams, dim=1)
        word, origin = flat % log_p.shape[2], flat // log_p.shape[2]
        is_end = word == end
        # An end counts where it is among the K best, and is then set against the best that ended before.
        ended_score, ended_at = (top / length**length_penalty).masked_fill(~is_end, -torch.inf)[:, :beams].max(1)
        better = ended_score > best_score[live]
        found = live[better]
        best_score[found] = ended_score[better]
        history = tokens.view(len(live), beams, -1)[better, origin[better, ended_at[better]], 1:]
        best[found] = 0
        best[found, : length - 1] = history
        best[found, length - 1] = end
        order = is_end.to(torch.int64).argsort(dim=1, stable=True)[:, :beams]  # the K best that go on
        scores, word, origin = top.gather(1, order), word.gather(1, order), origin.gather(1, order)
        on = (best_score[live] < scores.max(1).values / length**length_penalty) & (limits[live] > length)
        picked = (origin + torch.arange(len(live), device=device)[:, None] * beams)[on].flatten()
        tokens = torch.cat([tokens.index_select(0, picked), word[on].view(-1, 1)], 1)
        cache = stepped["cache"].index_select(0, picked)
        if not bool(on.all()):
            live, scores = live[on], scores[on]
            if not len(live):
                break
            memory, mask = memory.index_select(0, picked), mask.index_select(0, picked)
    return best[:, : int((best != 0).sum(1).max())]


@torch.no_grad()
def sample(
    model: Any,
    tokens: Tensor,
    cache: Tensor,
    *,
    context: int | None,
    num: int,
    temperature: float,
    top_k: int,
    top_p: float,
    seed: int,
) -> Iterator[int]:
    """`num` tokens that continue `tokens` (T,), one by one. Token n depends on the seed, n and the logits alone.

    `cache` is the empty one. Where the network sees `context` tokens at most, the older half is forgotten when they are
    full, and the rest read again.
    """
    seen = tokens[None, -context:] if context else tokens[None]
    empty, read = cache, seen
    generator = torch.Generator()
    for number in range(num):
        stepped = model.step(tokens=read, cache=cache)
        cache = stepped["cache"]
        chosen = _choose(
            stepped["logits"][0, -1].float().cpu(), temperature, top_k, top_p, generator.manual_seed(mix(seed, number))
        )
        yield chosen
        read = torch.tensor([[chosen]], device=tokens.device)
        seen = torch.cat([seen, read], 1)
        if context and seen.shape[1] > context:
            seen = seen[:, -max(1, context // 2) :]
            read, cache = seen, empty


def _choose(logits: Tensor, temperature: float, top_k: int, top_p: float, generator: torch.Generator) -> int:
    """One token of (V,) logits: the likeliest at temperature 0, else drawn among the top k and the top p."""
    logits = logits.clone()
    logits[:4] = -torch.inf  # padding, unknown, begin and end are no text
    if temperature == 0:
        return int(logits.argmax())
    order = torch.argsort(logits, descending=True, stable=True)
    shares = (logits[order] / temperature).softmax(0)
    kept = torch.arange(len(order)) < (top_k or len(order))
    kept &= shares.cumsum(0) - shares < top_p
    shares = shares * kept
    at = torch.rand((), generator=generator) * shares.sum()
    return int(order[int((shares.cumsum(0) <= at).sum().clamp(max=int(kept.sum()) - 1))])
