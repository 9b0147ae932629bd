"""Files of labelled lines: their three forms, coarse and fine labels, splits by name, and prose that is none."""

from __future__ import annotations

import gzip
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from snowball.collect.read import read_table, text_file
from snowball.collect.read.label_form import find_form
from snowball.finding import Finding
from snowball.recipe import DataSection
from snowball.table import Table

Read = Callable[..., Table]
Refusal = Callable[..., str]

REVIEWS = ["a fine film , truly\tgood", "it never ends\tbad", "what a cast\tgood", "dull , and long\tbad"]
QUESTIONS = [
    "NUM:dist How far is it ?",
    "LOC:city Where does it end ?",
    "NUM:date When was it ?",
    "LOC:city And where ?",
]


def _notes(source: Path, **keys: object) -> dict[str, Finding]:
    notes: list[Finding] = []
    read_table(DataSection.model_validate({"name": str(source), **keys}), notes.append)
    return {note.check: note for note in notes}


def _write(path: Path, lines: list[str], encoding: str = "utf-8", end: str = "\n") -> Path:
    data = (end.join(lines) + end).encode(encoding)
    path.write_bytes(gzip.compress(data) if path.suffix == ".gz" else data)
    return path


@pytest.mark.parametrize("name", ["reviews", "reviews.label", "reviews.txt", "reviews.txt.gz", "reviews.gz"])
def test_text_tab_label(tmp_path: Path, read: Read, name: str) -> None:
    table = read(_write(tmp_path / name, REVIEWS))
    assert {column.name: column.kind for column in table.columns.values()} == {"text": "text", "label": "label"}
    assert table.column("text").cells[0] == "a fine film , truly"
    assert table.column("label").cells == ["good", "bad", "good", "bad"]
    assert table.where(2) == f"{name}, line 3"
    assert set(table.split) == {""}
    note = _notes(tmp_path / name)["labelled-lines"]
    assert note.evidence == {"files": [name], "form": "text<TAB>label", "labels": {"label": 2}}


def test_label_tab_text(tmp_path: Path, read: Read) -> None:
    lines = ["\t".join(reversed(line.split("\t"))) for line in REVIEWS]
    table = read(_write(tmp_path / "sms", lines, end="\r\n"))
    assert table.column("text").cells[1] == "it never ends"
    assert table.column("label").cells == ["good", "bad", "good", "bad"]


def test_long_sorted_files(tmp_path: Path, read: Read) -> None:
    """Only some lines of a long file are looked at: they come from all over it, and all of it is read."""
    lines = [f"{label} review number {row}" for label in ("bad", "fair", "good") for row in range(15_000)]
    table = read(_write(tmp_path / "reviews.txt", lines))
    assert Counter(table.column("label").cells) == {"bad": 15_000, "fair": 15_000, "good": 15_000}
    numbered = [f"{row % 50 + 1} And it came to pass" for row in range(45_000)]
    assert list(read(_write(tmp_path / "verses.txt", numbered)).columns) == ["text"]


def test_coarse_and_fine_labels(tmp_path: Path, read: Read) -> None:
    path = _write(tmp_path / "questions", QUESTIONS)
    table = read(path, answer="fine")
    assert list(table.columns) == ["text", "label", "fine"]
    assert table.column("label").cells == ["NUM", "LOC", "NUM", "LOC"]
    assert table.column("fine").cells == ["NUM:dist", "LOC:city", "NUM:date", "LOC:city"]
    assert table.column("text").cells[0] == "How far is it ?"
    note = _notes(path)["labelled-lines"]
    assert "data.answer=fine" in note.fix
    assert note.evidence["labels"] == {"label": 2, "fine": 3}


def test_one_coarse_label_is_no_label(tmp_path: Path, read: Read) -> None:
    table = read(_write(tmp_path / "questions", [line.replace("LOC", "NUM") for line in QUESTIONS * 2]))
    assert list(table.columns) == ["text", "label"]
    assert table.column("label").cells[:2] == ["NUM:dist", "NUM:city"]


@pytest.mark.parametrize(
    "lines",
    [
        ["pos I liked it", "neg i did not", "pos Very good"] * 10,
        ["POS i liked it", "NEG i did not"] * 10,
        ["1 i liked it", "0 i did not", "1 good"] * 10,
        ["__label__pos i liked it", "__label__neg i did not"] * 2,
    ],
)
def test_first_words_that_are_labels(tmp_path: Path, read: Read, lines: list[str]) -> None:
    table = read(_write(tmp_path / "lines.txt", lines))
    assert list(table.columns) == ["text", "label"]
    assert not any(label.startswith("__") for label in table.column("label").cells)


@pytest.mark.parametrize(
    "lines",
    [
        ["The cat sat.", "A dog ran.", "The dog sat.", "A cat ran."],
        ["The cat sat on the mat.", "We saw it."] * 20,
        ["I went there again.", "Then came home to rest."] * 20,
        ["A man in a hat.", "Two men at work.", "People on a street."] * 20,
        ["emma", "olivia", "ava"] * 20,
        ["First Citizen:", "Before we proceed, hear me speak.", "", "All:", "Speak, speak.", ""] * 20,
        [f"{number} And it came to pass" for number in [*range(1, 20), *range(1, 20), *range(1, 20)]],
        ["780\t1.0\t8.46", "780\t2.0\t9.57", "790\t1.0\t10.1", "790\t2.0\t8.9"] * 5,
        ["1.5\t2", "2.5\t3", "1.5\t2", "2.5\t3"] * 5,
        ["12:30 we met", "12:31 we left"] * 20,
        ["ROMEO: what light is this", "JULIET: who is there"] * 20,
        ["- one thing", "- another thing", "* a third"] * 20,
        [f"Guten Tag Nummer {n}\tgood day number {n}" for n in range(20)],
        ["pos I liked it", "", "neg I did not", ""] * 20,
        ["the cat sat on it", "a dog saw that"] * 20,
        [*["some of them ran"] * 60, *["many of them sat"] * 35, *(f"{word} it was" for word in ("so", "then", "yet"))],
        ["same text\tgood", "other\tgood", "third\tgood"],
    ],
)
def test_prose_and_numbers_are_no_labels(tmp_path: Path, read: Read, lines: list[str]) -> None:
    table = read(_write(tmp_path / "lines.txt", lines))
    assert list(table.columns) == ["text"]
    assert len(table) == 1


@given(st.lists(st.text(st.sampled_from("ab\t :\n\r0A_"), max_size=12), max_size=30))
def test_every_form_takes_every_line(lines: list[str]) -> None:
    """Whatever the lines, a form that was found splits all of them, and loses no character that is not a blank."""
    form = find_form(lines)
    for line in lines:
        if form and line.strip():
            label, text = form.split(line)
            assert Counter("".join((label or "") + text).replace(" ", "")) <= Counter(line)


def test_a_folder_of_splits(tmp_path: Path, read: Read) -> None:
    for name in ("train", "dev", "test"):
        _write(tmp_path / f"sentiment-{name}", REVIEWS if name != "dev" else ["all of\tbad", "one class\tbad"])
    (tmp_path / "README.md").write_text("pos about it\n" * 30)
    (tmp_path / "README").write_text("about")
    (tmp_path / ".hidden").write_text("x")
    (tmp_path / "load.py").write_text("pass")
    (tmp_path / "model.bin").write_bytes(bytes(range(256)))
    (tmp_path / "classes.txt").write_text("good\nbad\n")
    table = read(tmp_path)
    assert Counter(table.split) == {"train": 4, "val": 2, "test": 4}
    places = {table.where(row): table.split[row] for row in range(len(table))}
    assert places["sentiment-dev, line 2"] == "val"
    notes = _notes(tmp_path)
    assert notes["skipped-files"].evidence == {"suffixes": {".bin": 1, ".py": 1, ".txt": 1}}
    assert "assumed-test" not in notes


def test_the_one_file_left_over_is_the_test(tmp_path: Path, read: Read, refusal: Refusal) -> None:
    _write(tmp_path / "train_5500.label", QUESTIONS)
    _write(tmp_path / "TREC_10.label", QUESTIONS[:2])
    assert Counter(read(tmp_path).split) == {"train": 4, "test": 2}
    assert _notes(tmp_path)["assumed-test"].evidence == {"file": "TREC_10.label"}
    _write(tmp_path / "more.label", QUESTIONS[:2])
    assert "TREC_10.label, more.label: beside a file called train" in refusal(tmp_path)
    (tmp_path / "more.label").rename(tmp_path / "test.label")
    assert "TREC_10.label: beside a file called train" in refusal(tmp_path)


def test_files_without_split_words_are_rows_of_no_split(tmp_path: Path, read: Read) -> None:
    _write(tmp_path / "amazon_labelled", REVIEWS)
    _write(tmp_path / "yelp_labelled", REVIEWS)
    assert list(read(tmp_path).split) == [""] * 8


def test_files_that_disagree_are_refused(tmp_path: Path, refusal: Refusal) -> None:
    _write(tmp_path / "train.label", REVIEWS)
    _write(tmp_path / "test.label", ["no label here", "none here"])
    assert "test.label: not lines of" in refusal(tmp_path)
    _write(tmp_path / "test.label", QUESTIONS)
    assert "different forms (test.label: LABEL text; train.label: text<TAB>label)" in refusal(tmp_path)


def test_one_labelled_file_among_documents_is_a_document(tmp_path: Path, read: Read) -> None:
    _write(tmp_path / "a.txt", REVIEWS)
    for name in ("b", "c", "d"):
        _write(tmp_path / f"{name}.txt", ["Once upon a time.", "It ended."])
    assert list(read(tmp_path).columns) == ["text"]
    assert len(read(tmp_path)) == 4


def test_rows_without_a_label_stay_and_are_named_later(tmp_path: Path, read: Read) -> None:
    lines = [*(REVIEWS * 10), "", "no label", "none\t", "\tgood", ""]
    table = read(_write(tmp_path / "reviews", lines))
    assert table.column("label").cells[40:] == [None, None, "good"]
    assert table.column("text").cells[40:] == ["no label", "none", ""]
    assert table.where(42) == "reviews, line 44"


def test_latin_1_is_read_and_told(tmp_path: Path, read: Read) -> None:
    path = _write(tmp_path / "a.label", [*QUESTIONS, "LOC:city Who was Jos\xe9 ? \x93"], "latin-1")
    assert read(path).column("text").cells[4] == "Who was Jos\xe9 ? \u201c"
    finding = _notes(path)["encoding"]
    assert finding.severity == "warning"
    assert finding.evidence["files"] == [{"file": "a.label", "line": 5, "byte": "0xe9", "lines": 1}]
    assert "a.label, line 5: byte 0xe9 is not UTF-8" in finding.message


def test_damage_in_labelled_files(tmp_path: Path, refusal: Refusal, monkeypatch: pytest.MonkeyPatch) -> None:
    path = _write(tmp_path / "a.label", [*QUESTIONS * 9, "LOC:city a \0 NUL"])
    assert "a.label, line 37: a NUL byte" in refusal(path)
    _write(tmp_path / "b.label", QUESTIONS, "utf-16")
    assert "b.label: UTF-16 text" in refusal(tmp_path / "b.label")
    packed = _write(tmp_path / "c.label.gz", QUESTIONS * 99)
    packed.write_bytes(packed.read_bytes()[:-20])
    assert "c.label.gz: truncated" in refusal(packed)
    packed.write_bytes(b"LOC:city not gzip")
    assert "c.label.gz: damaged gzip file" in refusal(packed)
    monkeypatch.setattr(text_file, "MAX_LINE", 50)
    _write(path, ["x" * 60, *QUESTIONS])
    assert "a.label, line 1: longer than" in refusal(path)


def test_trec(shared: Callable[[str], Path], read: Read) -> None:
    folder = shared("trec")
    table = read(folder)
    assert Counter(table.split) == {"train": 5452, "test": 500}
    train = [label for label, split in zip(table.column("label").cells, table.split, strict=True) if split == "train"]
    # The counts that the data set's own README gives.
    assert Counter(train) == {"ENTY": 1250, "HUM": 1223, "DESC": 1162, "NUM": 896, "LOC": 835, "ABBR": 86}
    assert len(set(table.column("fine").cells)) == 50
    notes = _notes(folder)
    assert notes["encoding"].evidence["files"][0] == {
        "file": "train_5500.label",
        "line": 66,
        "byte": "0xf0",
        "lines": 1,
    }
    assert notes["assumed-test"].evidence == {"file": "TREC_10.label"}


def test_sst2(shared: Callable[[str], Path], read: Read) -> None:
    table = read(shared("sst2"))
    assert Counter(table.split) == {"train": 67_349, "val": 872, "test": 1821}
    assert set(table.column("label").cells) == {"0", "1"}
    assert "encoding" not in _notes(shared("sst2"))


@pytest.mark.parametrize("name", ["tinyshakespeare/input.txt", "names/names.txt", "imagenet-sample/synset.txt"])
def test_real_prose_is_a_document(shared: Callable[[str], Path], read: Read, name: str) -> None:
    assert list(read(shared(name)).columns) == ["text"]


@pytest.mark.parametrize("language", ["en", "de", "fr"])
def test_real_captions_are_no_labels(shared: Callable[[str], Path], read: Read, tmp_path: Path, language: str) -> None:
    """29,000 sentences, one a line, of which few words begin most."""
    for part in ("train", "val"):
        path = tmp_path / f"{part}-{language}.txt.gz"
        path.symlink_to(shared("multi30k") / f"{part}.{language}.gz")
        assert list(read(path).columns) == ["text"]
