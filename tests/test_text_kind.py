"""Text: round trips of every tokenizer, measures against numbers by hand, the audit, and what is refused."""

from __future__ import annotations

import json
import math
import unicodedata
from pathlib import Path
from typing import Any

import pytest
import sacrebleu
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer, models

from snowball.finding import BadInput
from snowball.kind import Unreadable
from snowball.kinds._tokenizer import MAX_FILE, MAX_PATTERN, fit_tokenizer, read_tokenizer, token_bytes
from snowball.kinds._translation_scores import sentence_fault, translation_intervals, translation_scores
from snowball.kinds.text import BEGIN, END, PAD, TextKind
from snowball.recipe import Recipe
from snowball.registry import tasks

TEXTS = ["the cat sat on the mat", "the dog sat on the log", "a dog and a cat", "naïve café"]


def kind(texts: list[str] = TEXTS, **keys: Any) -> TextKind:
    types = tasks()["translation"].section_types()
    recipe = Recipe.build("translation", types, {f"text.{key}": value for key, value in keys.items()})
    return TextKind(recipe, json.loads(json.dumps(TextKind.fit(texts, recipe))))


BYTE, BPE, CHAR = kind(tokens="byte"), kind(tokens="bpe", vocab=300), kind(tokens="char")
anything = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1, max_size=40)


@pytest.mark.parametrize("made", [BYTE, BPE], ids=["byte", "bpe"])
@settings(deadline=None, max_examples=150)
@given(text=anything)
@example(text="[PAD][UNK][BEGIN][END]")
@example(text="e\u0301 \ud55c\uae00 \U0001f469\u200d\U0001f680  two  blanks\n\ttab ")
def test_bytes_and_merges_give_any_text_back(made: TextKind, text: str) -> None:
    normal = unicodedata.normalize("NFC", text)
    tokens = made.encode(text)
    assert made.text(tokens.tolist()) == normal
    assert int(tokens.min()) > END  # nothing of a text is padding, begin or end
    assert int(made.bytes_of_tokens[tokens].sum()) == len(normal.encode())


@settings(deadline=None, max_examples=50)
@given(st.text(st.sampled_from(sorted(set("".join(TEXTS)))), min_size=1, max_size=30))
def test_known_characters_come_back(text: str) -> None:
    assert CHAR.text(CHAR.encode(text).tolist()) == text
    assert CHAR.notes(text) == []


def test_bytes_are_numbered_one_a_byte() -> None:
    assert len(BYTE.encode("é€")) == 5
    assert BYTE.num_outputs == 256 + 4


def test_words_come_back_with_single_blanks() -> None:
    words = kind(["it's a state-of-the-art cat, no?"])
    assert words.text(words.encode("it's  a cat?").tolist()) == "it's a cat ?"
    assert len(words.encode("state-of-the-art")) == 1


def test_the_text_ends_at_the_first_end() -> None:
    cat, dog = CHAR.encode("cat").tolist(), CHAR.encode("dog").tolist()
    assert CHAR.text([BEGIN, *cat, END, *dog, PAD]) == "cat"


def test_unknown_tokens_are_named() -> None:
    (note,) = CHAR.notes("cat§µ§")
    assert note == "3 of 6 tokens are unknown to this network: '§', 'µ'"
    assert kind().notes("a zebra sat") == ["1 of 3 tokens are unknown to this network: 'zebra'"]
    assert BYTE.notes("§µ") == []


def test_the_vocabulary_keeps_what_is_frequent() -> None:
    assert kind().num_outputs == 4 + len({word for text in TEXTS for word in text.split()})
    assert kind(min_count=3).num_outputs == 4 + 1  # `the` stands four times, others twice at most
    assert kind(vocab=6).num_outputs == 6
    assert kind(["Ab aB"], lowercase=True).encode("AB").tolist() == kind(["ab"]).encode("ab").tolist()
    assert kind(["Ab aB"]).encode("AB").tolist() == [1]


def test_longer_rows_are_cut_and_counted() -> None:
    cut = kind(max_tokens=5)
    assert len(cut.encode(TEXTS[0])) == 6
    assert cut.encode_cut(TEXTS[0]).tolist() == cut.encode(TEXTS[0])[:5].tolist()
    (finding,) = cut.audit([cut.facts(text) for text in TEXTS])
    assert (finding.check, finding.evidence) == ("cut-rows", {"rows": 2, "max_tokens": 5})
    assert not kind().audit([kind().facts(text) for text in TEXTS])


def test_loss_and_measures_agree_with_a_loop() -> None:
    target = torch.tensor([[BEGIN, 10, 200, END], [BEGIN, 77, END, PAD]])
    logits = torch.randn(2, 3, BYTE.num_outputs, generator=torch.Generator().manual_seed(0))
    nll = []
    for row in range(2):
        for step in range(3):
            wanted = int(target[row, step + 1])
            if wanted != PAD:
                scores = logits[row, step].double()
                nll.append(float(scores.exp().sum().log() - scores[wanted]))
    outputs = {"logits": logits}
    assert int(BYTE.count(target)) == len(nll) == 5
    assert float(BYTE.loss(outputs, target)) == pytest.approx(sum(nll) / 5, rel=1e-5)
    measured = BYTE.measure(outputs, target)
    assert float(measured["nll"][0]) == pytest.approx(sum(nll), rel=1e-5)
    assert int(measured["nll"][1]) == 5
    bits, num_bytes = measured["bits_per_byte"]
    assert (float(bits), int(num_bytes)) == (pytest.approx(sum(nll) / math.log(2), rel=1e-5), 3)  # ends have no bytes


def test_perplexity_by_hand() -> None:
    """Two tokens of probability 1/2 and 1/8: mean surprise 2 bits, perplexity 4."""
    assert CHAR.derive({"nll": 2 * math.log(2)})["perplexity"] == pytest.approx(4.0)
    logits = torch.full((1, 2, CHAR.num_outputs), -torch.inf)
    logits[0, 0, [4, 5]] = 0.0
    logits[0, 1, 4:12] = 0.0
    value, count = CHAR.measure({"logits": logits}, torch.tensor([[BEGIN, 4, 6]]))["nll"]
    assert float(value) / int(count) == pytest.approx(2 * math.log(2))


def test_smoothing_is_for_training_only() -> None:
    smooth = kind(smoothing=0.2)
    logits = torch.randn(1, 2, smooth.num_outputs)
    target = torch.tensor([[BEGIN, 5, 6]])
    with torch.no_grad():
        assert torch.equal(smooth.loss({"logits": logits}, target), kind().loss({"logits": logits}, target))
    log_p = logits.log_softmax(2)[0]
    chosen = torch.stack([log_p[0, 5], log_p[1, 6]])
    expected = -(0.8 * chosen + 0.2 * log_p.mean(1)).mean()
    assert torch.allclose(smooth.loss({"logits": logits}, target), expected)


def test_unigram_is_the_entropy_of_the_training_tokens() -> None:
    made = kind(["aab", "b"], tokens="char")
    assert made.state["unigram"] == {"nll": pytest.approx(4 * math.log(2)), "tokens": 4, "bytes": 4}


def test_sketches_of_near_copies_agree_and_of_others_do_not() -> None:
    long = " ".join(f"sentence number {number} says something of its own" for number in range(20))
    near, other = (
        CHAR.sketch(long.replace("number 7 says", "number seven told")),
        CHAR.sketch("lorem ipsum " * 9),
    )
    mine = CHAR.sketch(long)
    assert mine is not None and near is not None and other is not None
    assert float((mine == near).mean()) >= 0.75
    assert float((mine == other).mean()) <= 0.1
    assert CHAR.sketch("too short to tell") is None
    again = CHAR.sketch(long.upper().replace(" ", "  "))
    assert again is not None and (again == mine).all()


def test_a_sketch_estimates_the_share_of_shingles() -> None:
    """MinHash against the Jaccard index by sets; 32 hashes have a standard error of 0.09 at most."""
    texts = ["abcdefgh" * 3 + tail for tail in ("ijklmnopqrstuvwxyz", "ijklmnopqrst012345", "6789!?%&()=+#*'-.,;:_")]
    shingles = [{text[i : i + 6] for i in range(len(text) - 5)} for text in texts]
    for one in range(3):
        for two in range(3):
            exact = len(shingles[one] & shingles[two]) / len(shingles[one] | shingles[two])
            first, second = CHAR.sketch(texts[one]), CHAR.sketch(texts[two])
            assert first is not None and second is not None
            assert float((first == second).mean()) == pytest.approx(exact, abs=0.3)


def test_the_audit_finds_wrong_encodings_and_outliers() -> None:
    texts = ["a text of usual length"] * 30 + ["cafÃ© is UTF-8 read as Latin-1", "lost \ufffd byte", "x" * 9000]
    found = {finding.check: finding for finding in CHAR.audit([CHAR.facts(text) for text in texts])}
    assert set(found) == {"encoding"}
    assert found["encoding"].evidence["rows"] == 2
    assert not CHAR.audit([CHAR.facts("façade “quoted”")] * 30)


def test_what_cannot_be_read_says_why(tmp_path: Path) -> None:
    (tmp_path / "bad.txt").write_bytes(b"caf\xe9")
    refusals = [
        ("a\0b", "a NUL character at position 2"),
        (" \n", "empty text"),
        (None, "no text in this row"),
        (math.nan, "no text in this row"),
        (b"caf\xe9 noir", "byte 0xe9 at byte 4 is not UTF-8"),
        (tmp_path / "bad.txt", "byte 0xe9 at byte 4 is not UTF-8"),
        (tmp_path / "none.txt", "No such file"),
    ]
    for cell, reason in refusals:
        with pytest.raises(Unreadable, match=reason):
            TextKind.read(cell)
    (tmp_path / "good.txt").write_bytes(b"\xef\xbb\xbfcaf\xc3\xa9")
    assert TextKind.read(tmp_path / "good.txt") == "café"
    assert TextKind.read("lone \ud800 surrogate") == "lone ? surrogate"
    assert TextKind.expand(str(tmp_path)) == [tmp_path / "bad.txt", tmp_path / "good.txt"]
    assert TextKind.expand("no path: \0" + "x" * 9000) == ["no path: \0" + "x" * 9000]


def _file(folder: Path, content: Any) -> Path:
    path = folder / "tokenizer.json"
    path.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
    return path


def _model(**changes: Any) -> dict[str, Any]:
    about = json.loads(Tokenizer(models.WordLevel({"<unk>": 0, "a": 1}, unk_token="<unk>")).to_str())
    return {**about, **changes}


DEEP = {"type": "Sequence", "normalizers": []}
for _ in range(300):
    DEEP = {"type": "Sequence", "normalizers": [DEEP]}


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("not JSON", "not a tokenizer.json"),
        (json.dumps(_model())[:-40], "not a tokenizer.json"),
        ("[" * 100_000, "not a tokenizer.json"),
        ({"a": 1}, "not a tokenizer.json"),
        ([1], "not a tokenizer.json"),
        ({"model": {"type": "BPE", "vocab": 5}}, "not a tokenizer.json"),
        ({"model": {"type": "Python", "vocab": {}}}, "a tokenizer of type 'Python'"),
        ({"model": {"type": ["BPE"], "vocab": {}}}, "a tokenizer of type"),
        ({"model": {"type": "BPE", "vocab": {"a": 0}}}, "not a whole tokenizer"),
        (
            _model(normalizer={"type": "Replace", "pattern": {"Regex": "a" * (MAX_PATTERN + 1)}, "content": ""}),
            "a pattern",
        ),
        (_model(normalizer=DEEP), "not a"),
        (_model(model={"type": "WordLevel", "vocab": {"a": 2_000_000}, "unk_token": "a"}), "numbers up to 2,000,000"),
    ],
)
def test_a_hostile_tokenizer_is_one_clear_line(tmp_path: Path, content: Any, said: str) -> None:
    with pytest.raises(BadInput, match=said) as caught:
        read_tokenizer(_file(tmp_path, content))
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 500


def test_files_that_are_no_text_or_too_large_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "tokenizer.json"
    with pytest.raises(BadInput, match="No such file"):
        read_tokenizer(path)
    path.write_bytes(b"\xff\xfe" * 9000)
    with pytest.raises(BadInput, match=r"not a tokenizer\.json") as caught:
        read_tokenizer(path)
    assert len(str(caught.value)) < 500
    with path.open("wb") as file:
        file.truncate(MAX_FILE + 1)
    with pytest.raises(BadInput, match="are more than"):
        read_tokenizer(path)


def test_a_foreign_tokenizer_is_numbered_behind_ours(tmp_path: Path) -> None:
    """Its unknown is number 0, and it leaves numbers out: neither may shift or break anything."""
    words = {"<unk>": 0, "the": 1, "cat": 7}
    path = _file(tmp_path, _model(model={"type": "WordLevel", "vocab": words, "unk_token": "<unk>"}))
    made = kind(["the", "cat"], tokenizer=str(path))
    assert made.num_outputs == 4 + 8
    assert made.encode("cat").tolist() == [11]
    assert made.text([11, END, 5]) == "cat"
    assert made.notes("zebra") == ["1 of 1 tokens are unknown to this network: 'zebra'"]
    assert len(made.bytes_of_tokens) == 12


def test_token_bytes_of_merges_add_up() -> None:
    tokenizer = fit_tokenizer(TEXTS, "bpe", 290, 1, False)
    sizes = token_bytes(tokenizer)
    assert sizes[:4] == [0, 0, 0, 0]
    assert tokenizer.get_vocab_size() > 270  # merges were learned
    assert sum(sizes[token] for token in tokenizer.encode("the café sat").ids) == len("the café sat".encode())


SAID = ["the cat sat on the mat", "a dog runs in the park today", "hello there my old friend"]
RIGHT = ["the cat sat on a mat", "a dog runs in the park", "good bye my old friend"]


def test_scores_are_sacrebleus() -> None:
    scores = translation_scores(SAID, RIGHT)
    assert scores["bleu"] == pytest.approx(sacrebleu.corpus_bleu(SAID, [RIGHT]).score, abs=1e-4)
    assert scores["chrf"] == pytest.approx(sacrebleu.corpus_chrf(SAID, [RIGHT]).score, abs=1e-4)
    assert translation_scores(RIGHT, RIGHT) == {"bleu": 100.0, "chrf": 100.0}
    assert translation_scores([""] * 3, RIGHT) == {"bleu": 0.0, "chrf": 0.0}
    assert sentence_fault(SAID[0], RIGHT[0]) == pytest.approx(
        1 - sacrebleu.sentence_chrf(SAID[0], [RIGHT[0]]).score / 100
    )
    assert sentence_fault(RIGHT[0], RIGHT[0]) == 0.0


def test_intervals_hold_the_score_and_narrow_with_rows() -> None:
    few, many = translation_intervals(SAID * 3, RIGHT * 3), translation_intervals(SAID * 40, RIGHT * 40)
    scores = translation_scores(SAID, RIGHT)
    for name, (low, high) in many.items():
        assert 0 <= low < scores[name] < high <= 100
        assert high - low < few[name][1] - few[name][0]


def test_intervals_where_some_draws_score_nothing() -> None:
    said = ["one two three four five"] + ["x"] * 4
    low, high = translation_intervals(said, ["one two three four five"] + ["y z"] * 4)["bleu"]
    assert low == 0.0 < high <= 100.0
