"""The tasks of text: nothing of a document is lost, streams hold whole characters, columns go where named."""

from __future__ import annotations

import itertools
import math
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from snowball.collect.audit import audit
from snowball.collect.prepare import Prepared, prepare
from snowball.display import Display
from snowball.finding import BadInput, Finding
from snowball.recipe import Recipe
from snowball.registry import tasks
from snowball.table import Column, Table
from snowball.task import Task

LANGUAGE, TRANSLATION = tasks()["language-modelling"], tasks()["translation"]


def table(columns: dict[str, list[str]], split: list[str] | None = None) -> Table:
    num = len(next(iter(columns.values())))
    made = {key: Column(key, "label" if key == "label" else "text", cells) for key, cells in columns.items()}
    return Table("made", made, split or [""] * num, lambda row: f"document {row}")


def arranged(texts: list[str], split: list[str] | None = None, **keys: Any) -> Table:
    source = table({"text": texts}, split)
    recipe = Recipe.build(LANGUAGE.name, LANGUAGE.section_types(), LANGUAGE.defaults(source, {}), keys)
    return LANGUAGE.arrange(source, recipe)


def documents(made: Table) -> dict[str, str]:
    """The pieces of each document, put together again: each begins with the last character of the one before."""
    whole: dict[str, str] = {}
    for row, piece in enumerate(made.columns["text"].cells):
        name = made.where(row).split(",")[0]
        if name in whole:
            assert piece[0] == whole[name][-1]
        whole[name] = whole.get(name, "") + (piece[1:] if name in whole else piece)
    return whole


@settings(deadline=None, max_examples=40)
@given(st.lists(st.integers(1, 9000), min_size=1, max_size=30), st.sampled_from([16, 100, 128, 5000]))
def test_no_character_of_a_document_is_lost(lengths: list[int], context: int) -> None:
    texts = ["".join(chr(97 + (7 * i + length) % 26) for i in range(length)) for length in lengths]
    made = arranged(texts, **{"language.context": context})
    assert documents(made) == {f"document {row}": text for row, text in enumerate(texts)}
    size = max(1, 2048 // context) * context
    assert all(len(piece) <= size + 1 for piece in made.columns["text"].cells)
    homes = [made.where(row).split(",")[0] for row in range(len(made))]
    if len(lengths) >= 20:
        assert all(
            len({split for split, home in zip(made.split, homes, strict=True) if home == name}) == 1 for name in homes
        )


def test_few_documents_are_cut_in_three_that_stand_together() -> None:
    made = arranged(["a" * 100_000, "b" * 60_000])
    for name in ("document 0", "document 1"):
        splits = [split for row, split in enumerate(made.split) if made.where(row).startswith(name)]
        assert [key for key, _ in itertools.groupby(splits)] == ["train", "val", "test"]
        assert 0.03 <= splits.count("test") / len(splits) <= 0.07
    assert made.where(1) == "document 0, characters 2,048 to 4,097"


def test_many_documents_are_shared_out_whole_and_the_sources_split_stays() -> None:
    made = arranged(["a" * 5000] * 100)
    assert {split: made.split.count(split) for split in set(made.split)} == {"train": 270, "val": 15, "test": 15}
    assert arranged(["a" * 5000] * 100).split == made.split
    assert arranged(["a" * 5000] * 100, seed=1).split != made.split
    stated = arranged(["a" * 5000] * 3, ["test", "train", "val"])
    assert stated.split == ["test"] * 3 + ["train"] * 3 + ["val"] * 3


def test_a_document_that_cannot_be_read_stays_a_row() -> None:
    made = arranged(["a" * 5000, "bad\0", "b"])
    assert list(made.columns["text"].cells)[3:] == ["bad\0", "b"]


def language(by: str = "char", texts: list[str] | None = None, **options: Any) -> Task:
    source = table({"text": texts or ["abc äöü €uro 한국 " * 30] * 4})
    small = {"network.width": 8, "network.layers": 1, "network.heads": 2, "network.hidden": 8, "language.context": 16}
    keys = {**small, "text.tokens": by}
    recipe = Recipe.build(LANGUAGE.name, LANGUAGE.section_types(), LANGUAGE.defaults(source, {}), keys)
    assert LANGUAGE.options_type is not None
    return LANGUAGE(recipe, LANGUAGE.fit(source, recipe, range(4)), source, LANGUAGE.options_type(**options))


def stream(task: Task, prompt: str) -> list[str]:
    torch.manual_seed(0)
    return list(task.stream(task.model().eval(), {"text": prompt}))


def test_the_same_seed_gives_the_same_text() -> None:
    assert stream(language(tokens=40), "abc") == stream(language(tokens=40), "abc")
    assert stream(language(tokens=40), "abc") != stream(language(tokens=40, seed=1), "abc")
    assert len("".join(stream(language(tokens=40), "abc" * 30))) == 40


class Dictating:
    """A network that writes down what it is told, whatever it reads."""

    def __init__(self, tokens: list[int], vocab: int) -> None:
        self.left, self.vocab = list(tokens), vocab

    def step(self, tokens: torch.Tensor, cache: torch.Tensor) -> dict[str, torch.Tensor]:
        logits = torch.zeros(1, tokens.shape[1], self.vocab)
        logits[0, -1, self.left.pop(0)] = 50.0
        return {"logits": logits, "cache": cache}


@pytest.mark.parametrize("tokens", ["byte", "bpe"])
def test_characters_of_many_bytes_are_never_broken(tokens: str) -> None:
    said = "ä€한\U0001f680 x€"
    num = len(language(tokens).kinds["text"].encode(said))
    for prompt in ("a", "ü", "\U0001f680"):
        task = language(tokens, tokens=num)
        kind: Any = task.kinds["text"]
        network = Dictating(kind.encode(said).tolist(), kind.num_outputs)
        pieces = list(task.stream(network, {"text": prompt}))
        assert "".join(pieces) == said
        assert all("\ufffd" not in piece and piece for piece in pieces)
    broken = language(tokens, tokens=num - 1)
    network = Dictating(broken.kinds["text"].encode(said).tolist(), broken.kinds["text"].num_outputs)
    assert said.startswith("".join(broken.stream(network, {"text": "a"})))


def test_words_are_streamed_with_their_blanks() -> None:
    task = language("word", ["the cat sat on the mat"] * 4, tokens=3)
    kind: Any = task.kinds["text"]
    network = Dictating(kind.encode("sat on mat").tolist(), kind.num_outputs)
    assert list(task.stream(network, {"text": "the cat"})) == [" sat", " on", " mat"]


def test_perplexity_of_a_text_is_of_its_windows() -> None:
    """Against a loop over windows of 16 tokens, each read anew, of which the first is not predicted."""
    task = language()
    torch.manual_seed(0)
    model = task.model().eval()
    text = task.encode_given({"text": "abc äöü €uro 한국 " * 3})["text"]
    batch = torch.stack([text, torch.cat([text[:20], torch.zeros(len(text) - 20).long()])])
    with torch.no_grad():
        found = task.decode({name: value.numpy() for name, value in task.predict(model, {"text": batch}).items()})
        for answer, row in zip(found, (text, text[:20]), strict=True):
            nll = 0.0
            for at in range(0, len(row) - 1, 16):
                window = row[at : at + 17]
                log_p = model(window[None, :-1])["logits"][0].double().log_softmax(1)
                nll -= float(sum(log_p[step, token] for step, token in enumerate(window[1:])))
            kind: Any = task.kinds["text"]
            assert answer["nll"] == pytest.approx(nll, rel=1e-4)
            assert answer["tokens"] == len(row) - 1
            assert answer["bytes"] == len(kind.text(row.tolist()).encode()) - 1
            assert answer["perplexity"] == pytest.approx(math.exp(nll / (len(row) - 1)), rel=1e-4)


def columns(names: list[str], **keys: Any) -> dict[str, str]:
    source = table({name: ["one", "two"] for name in names})
    recipe = Recipe.build(TRANSLATION.name, TRANSLATION.section_types(), keys)
    return {role: column.name for role, column in TRANSLATION.pick_columns(source, recipe).items()}


def test_source_and_target_go_where_they_are_named() -> None:
    assert columns(["en", "de"]) == {"source": "en", "target": "de"}
    assert columns(["en", "de"], given="de") == {"source": "de", "target": "en"}
    assert columns(["en", "de"], answer="en") == {"source": "de", "target": "en"}  # not from en to en
    assert columns(["en", "de", "fr"], given="fr", answer="en") == {"source": "fr", "target": "en"}
    for keys in ({}, {"given": "en"}, {"answer": "fr"}):
        with pytest.raises(BadInput, match=r"say from which to which, .* source=en target=de"):
            columns(["en", "de", "fr"], **keys)
    with pytest.raises(BadInput, match="no column of kind text"):
        columns(["en"])


def prepared(made_up: Table, monkeypatch: pytest.MonkeyPatch, **keys: Any) -> Prepared:
    monkeypatch.setattr("snowball.collect.prepare.read_table", lambda data, note=None: made_up)
    return prepare("made", keys, Display(quiet=True))


def test_short_words_reach_the_recipe(monkeypatch: pytest.MonkeyPatch) -> None:
    source = table({name: [f"{name} {i}" for i in range(40)] for name in ("en", "de", "fr")})
    made = prepared(source, monkeypatch, task="translation", source="fr", target="en")
    assert {role: column.column for role, column in made.task.schema.columns.items()} == {
        "source": "fr",
        "target": "en",
    }
    assert (made.task.recipe.data.given, made.task.recipe.data.answer) == ("fr", "en")


def sentences(num: int) -> list[str]:
    """Sentences of 20 words, of which no two share much."""
    generator = torch.Generator().manual_seed(0)
    letters = torch.randint(97, 123, (num, 20, 5), generator=generator).tolist()
    return [" ".join("".join(map(chr, word)) for word in row) for row in letters]


def found(texts: list[str], split: list[str], monkeypatch: pytest.MonkeyPatch) -> dict[str, Finding]:
    labels = ["x", "y"] * (len(texts) // 2)
    made = prepared(table({"text": texts, "label": labels}, split), monkeypatch)
    return {f.check: f for f in audit(made.task, made.table, made.encoded, made.task.rows_by_split)}


def test_near_copies_are_found_across_and_within_splits(monkeypatch: pytest.MonkeyPatch) -> None:
    texts, split = sentences(100), ["train"] * 60 + ["val"] * 20 + ["test"] * 20
    assert not found(texts, split, monkeypatch)
    texts[70] = texts[3][:-5] + "other"  # one word of twenty is another
    texts[95] = "But " + texts[4]
    texts[50] = texts[5].replace(" ", "  ").upper() + "!"
    texts[96] = texts[6]  # an exact copy is no near one
    findings = found(texts, split, monkeypatch)
    assert set(findings) == {"near-split-overlap", "near-duplicates", "split-overlap"}
    pairs = sorted(findings["near-split-overlap"].evidence["pairs"])
    assert pairs == [["document 3 (train)", "document 70 (val)"], ["document 4 (train)", "document 95 (test)"]]
    assert findings["near-duplicates"].evidence["pairs"] == [["document 5 (train)", "document 50 (train)"]]


def test_texts_that_share_half_their_words_are_no_near_copies(monkeypatch: pytest.MonkeyPatch) -> None:
    texts, split = sentences(100), ["train"] * 60 + ["val"] * 20 + ["test"] * 20
    for row in range(20):
        texts[60 + row] = " ".join(texts[row].split()[:13] + texts[60 + row].split()[13:])
    assert not found(texts, split, monkeypatch)
