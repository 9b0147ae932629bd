"""Networks for text: padding changes nothing, nothing sees ahead, and steps with a cache equal all at once."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from snowball.design.recurrent import TwoWay, reverse_rows
from snowball.design.text import (
    RecurrentLanguageModel,
    RecurrentTranslator,
    TextClassifier,
    TransformerLanguageModel,
    TransformerTranslator,
    classifier_body,
)

VOCAB = 11


def classifier(name: str) -> nn.Module:
    body = classifier_body(name, 8, 2, 2, 6, 0.1, 40)
    return TextClassifier(VOCAB, 8, body, body.num_features, 3, 0.1)


LANGUAGE: dict[str, Callable[[], nn.Module]] = {
    "gpt": lambda: TransformerLanguageModel(VOCAB, 12, 2, 8, 2, 16, 0.1),
    "rnn": lambda: RecurrentLanguageModel("rnn", VOCAB, 2, 8, 0.1),
    "lstm": lambda: RecurrentLanguageModel("lstm", VOCAB, 2, 8, 0.1),
    "gru": lambda: RecurrentLanguageModel("gru", VOCAB, 1, 8, 0.1),
}
TRANSLATORS: dict[str, Callable[[], nn.Module]] = {
    "transformer": lambda: TransformerTranslator(VOCAB, VOCAB, 40, 2, 8, 2, 16, 0.1),
    "lstm": lambda: RecurrentTranslator("lstm", VOCAB, VOCAB, 2, 8, 0.1),
    "gru": lambda: RecurrentTranslator("gru", VOCAB, VOCAB, 1, 8, 0.1),
}


@pytest.fixture(autouse=True)
def seeded() -> None:
    torch.manual_seed(0)


def tokens(rows: int, length: int) -> Tensor:
    return torch.randint(4, VOCAB, (rows, length))


def padded(*lengths: int, more: int = 0) -> Tensor:
    rows = [torch.cat([tokens(1, length)[0], torch.zeros(max(lengths) + more - length).long()]) for length in lengths]
    return torch.stack(rows)


def close(one: Tensor, other: Tensor) -> bool:
    return torch.allclose(one, other, atol=1e-5)


@pytest.mark.parametrize("name", ["cnn", "lstm", "gru", "transformer"])
def test_a_classifier_answers_alone_as_within_a_batch(name: str) -> None:
    model = classifier(name).eval()
    lengths = (1, 2, 3, 4, 7, 12)
    text = padded(*lengths, more=9)
    within = model(text)["logits"]
    for row, length in enumerate(lengths):
        assert close(model(text[row : row + 1, :length])["logits"][0], within[row]), length
    assert not close(within[0], within[1])
    assert bool(model(torch.zeros(2, 5).long())["logits"].isfinite().all())
    flipped = text.clone()
    flipped[5, :12] = text[5, :12].flip(0)
    assert not close(model(flipped)["logits"][5], within[5])  # order counts


@pytest.mark.parametrize("name", LANGUAGE)
def test_a_language_model_never_sees_ahead(name: str) -> None:
    model = LANGUAGE[name]().eval()
    text = tokens(2, 9)
    whole = model(text)["logits"]
    assert whole.shape == (2, 9, VOCAB)
    for at in range(1, 9):
        changed = text.clone()
        changed[:, at:] = (changed[:, at:] - 4 + 3) % (VOCAB - 4) + 4
        after = model(changed)["logits"]
        assert close(after[:, :at], whole[:, :at])
        assert not close(after[:, at:], whole[:, at:])
    first = text.clone()
    first[:, 0] = (first[:, 0] - 3) % (VOCAB - 4) + 4
    assert not close(model(first)["logits"][:, -1], whole[:, -1])  # but it does look back


@pytest.mark.parametrize("name", LANGUAGE)
@pytest.mark.parametrize("parts", [(1,) * 9, (4, 5), (3, 1, 1, 4), (9,)])
def test_steps_with_a_cache_equal_all_at_once(name: str, parts: tuple[int, ...]) -> None:
    model = LANGUAGE[name]().eval()
    text = tokens(2, 9)
    cache, found = model.empty_cache(text), []
    for part in text.split(parts, 1):
        stepped = model.step(part, cache)
        cache = stepped["cache"]
        assert cache.shape[0] == 2  # rows first: beams reorder it
        found.append(stepped["logits"])
    assert close(torch.cat(found, 1), model(text)["logits"])


@pytest.mark.parametrize("name", TRANSLATORS)
def test_a_translator_ignores_padding_and_never_sees_ahead(name: str) -> None:
    model = TRANSLATORS[name]().eval()
    lengths = (1, 2, 5, 8)
    source, target = padded(*lengths, more=4), tokens(4, 6)
    whole = model(source, target)["logits"]
    assert whole.shape == (4, 6, VOCAB)
    for row, length in enumerate(lengths):
        alone = model(source[row : row + 1, :length], target[row : row + 1])["logits"]
        assert close(alone[0], whole[row])
    changed = target.clone()
    changed[:, 3:] = (changed[:, 3:] - 3) % (VOCAB - 4) + 4
    after = model(source, changed)["logits"]
    assert close(after[:, :3], whole[:, :3])
    assert not close(after[:, 3:], whole[:, 3:])
    assert not close(model(source.roll(1, 0), target)["logits"], whole)
    assert bool(model(torch.zeros(2, 3).long(), target[:2])["logits"].isfinite().all())


@pytest.mark.parametrize("name", TRANSLATORS)
def test_a_translators_steps_equal_all_at_once(name: str) -> None:
    model = TRANSLATORS[name]().eval()
    source, target = padded(3, 6), tokens(2, 5)
    encoded = model.encode(source)
    cache, found = encoded["cache"], []
    for part in target.split(1, 1):
        stepped = model.step(part, cache, encoded["memory"], encoded["mask"])
        cache = stepped["cache"]
        found.append(stepped["logits"])
    assert close(torch.cat(found, 1), model(source, target)["logits"])


def test_rows_are_reversed_within_their_length() -> None:
    x = torch.tensor([[1, 2, 3, 0], [4, 5, 6, 7], [8, 0, 0, 0]]).float()[:, :, None]
    found = reverse_rows(x, torch.tensor([3, 4, 1])).squeeze(2)
    assert found.tolist() == [[3, 2, 1, 0], [7, 6, 5, 4], [8, 0, 0, 0]]


def test_reading_backwards_is_pytorchs() -> None:
    """One two-way layer against torch's own bidirectional LSTM on packed rows."""
    ours = TwoWay("lstm", 4, 3, 1, 0.0)
    theirs = nn.LSTM(4, 3, batch_first=True, bidirectional=True)
    for suffix, cells in (("", ours.forwards[0].cells), ("_reverse", ours.backwards[0].cells)):
        for name, value in cells.named_parameters():
            getattr(theirs, name + suffix).data.copy_(value.data)
    x, lengths = torch.randn(3, 6, 4), torch.tensor([6, 2, 4])
    packed = nn.utils.rnn.pack_padded_sequence(x, lengths, batch_first=True, enforce_sorted=False)
    expected, _ = nn.utils.rnn.pad_packed_sequence(theirs(packed)[0], batch_first=True)
    found = ours(x, lengths)
    for row, length in enumerate(lengths.tolist()):
        assert close(found[row, :length], expected[row, :length])


@pytest.mark.parametrize("family", ["classifier", "language", "translator"])
def test_a_gradient_reaches_every_parameter(family: str) -> None:
    text = padded(12, 9, 8, 6)
    made: dict[str, Callable[[], tuple[nn.Module, Tensor]]] = {}
    if family == "classifier":
        made = {name: lambda n=name: _run(classifier(n), text) for name in ("cnn", "lstm", "gru", "transformer")}
    elif family == "language":
        made = {name: lambda n=name: _run(LANGUAGE[n](), text) for name in LANGUAGE}
    else:
        made = {name: lambda n=name: _run(TRANSLATORS[n](), text, tokens(4, 6)) for name in TRANSLATORS}
    for name, build in made.items():
        model, logits = build()
        (logits * torch.randn_like(logits)).sum().backward()
        without = [key for key, p in model.named_parameters() if p.grad is None or not bool(p.grad.any())]
        assert not without, (name, without)


def _run(model: nn.Module, *inputs: Tensor) -> tuple[nn.Module, Tensor]:
    return model, model.eval()(*inputs)["logits"]
