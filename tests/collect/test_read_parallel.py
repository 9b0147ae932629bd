"""Parallel files and tables: a column a language, a row a line, splits by name, and every line without a partner."""

from __future__ import annotations

import gzip
import json
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from snowball.collect.read import read_table, text_file
from snowball.finding import Finding
from snowball.recipe import DataSection
from snowball.table import Table

Read = Callable[..., Table]
Refusal = Callable[..., str]

EN = ["A dog runs.", "Two men sit.", " A cat sleeps. "]
DE = ["Ein Hund rennt.", "Zwei M\xe4nner sitzen.", "Eine Katze schl\xe4ft."]


def _write(folder: Path, files: Mapping[str, list[str]], end: str = "\n") -> Path:
    for name, lines in files.items():
        data = "".join(line + end for line in lines).encode()
        (folder / name).write_bytes(gzip.compress(data) if name.endswith(".gz") else data)
    return folder


def _notes(source: Path) -> dict[str, Finding]:
    notes: list[Finding] = []
    read_table(DataSection(name=str(source)), notes.append)
    return {note.check: note for note in notes}


def test_a_column_a_language(tmp_path: Path, read: Read) -> None:
    _write(tmp_path, {"train.en": EN, "train.de.gz": DE, "README": ["about"], "val.en": EN[:1], "val.de": DE[:1]})
    table = read(tmp_path)
    assert {column.name: column.kind for column in table.columns.values()} == {"de": "text", "en": "text"}
    assert table.column("en").cells == [*EN, EN[0]]  # blanks within the line stay
    assert table.column("de").cells == [*DE, DE[0]]
    assert list(table.split) == ["train"] * 3 + ["val"]
    assert table.where(1) == "train.de.gz, line 2"
    assert table.where(3) == "val.de, line 1"
    assert _notes(tmp_path) == {}


def test_lines_end_where_editors_say(tmp_path: Path, read: Read) -> None:
    _write(tmp_path, {"a.en": ["one\u2028still one", "two\x85"], "a.pt-BR": ["um", "dois"]}, end="\r\n")
    table = read(tmp_path)
    assert table.column("en").cells == ["one\u2028still one", "two\x85"]
    assert set(table.split) == {""}


def test_other_files_are_passed_over(tmp_path: Path, read: Read) -> None:
    _write(tmp_path, {"a.src": EN, "a.tgt": DE, "vocab.txt": ["a"], "run.py": ["pass"], "run.sh": ["ls"]})
    assert list(read(tmp_path).columns) == ["src", "tgt"]
    assert _notes(tmp_path)["skipped-files"].evidence == {"suffixes": {".py": 1, ".sh": 1, ".txt": 1}}


def test_portuguese_is_no_checkpoint(tmp_path: Path, read: Read) -> None:
    assert list(read(_write(tmp_path, {"train.en": EN, "train.pt": DE})).columns) == ["en", "pt"]


def test_suffixes_of_programs_are_no_languages(tmp_path: Path, refusal: Refusal) -> None:
    _write(tmp_path, {"main.py": ["pass"], "main.md": ["about"]})
    assert "no file that can be read" in refusal(tmp_path)


def test_a_line_without_a_partner_is_named(tmp_path: Path, refusal: Refusal) -> None:
    _write(tmp_path, {"train.en": [*EN, "x" * 80], "train.de": DE})
    message = refusal(tmp_path)
    assert f"{tmp_path / 'train.en'} has 4 lines, train.de 3: line 4 of train.en has no partner: 'xxx" in message
    assert "x" * 60 + "...'" in message
    assert "x" * 61 not in message
    _write(tmp_path, {"train.en": EN, "train.de": [*DE, "", "noch"]})
    assert "train.de has 5 lines, train.en 3: line 4 of train.de has no partner: ''" in refusal(tmp_path)


def test_every_part_needs_the_same_languages(tmp_path: Path, refusal: Refusal) -> None:
    _write(tmp_path, {"train.en": EN, "train.de": DE, "train.fr": DE, "val.en": EN, "val.de": DE})
    message = refusal(tmp_path)
    assert "no val.fr beside val.de, but there is train.fr" in message
    assert "(de, en, fr)" in message
    _write(tmp_path, {"val.fr": DE, "val.en.gz": EN})
    assert "val.en and val.en.gz: keep one of the two" in refusal(tmp_path)


def test_the_part_left_over_is_the_test(tmp_path: Path, read: Read, refusal: Refusal) -> None:
    _write(tmp_path, {"train.en": EN, "train.de": DE, "newstest.en": EN[:2], "newstest.de": DE[:2]})
    assert Counter(read(tmp_path).split) == {"train": 3, "test": 2}
    assert _notes(tmp_path)["assumed-test"].evidence == {"file": "newstest"}
    _write(tmp_path, {"test_2016.en": EN, "test_2016.de": DE})
    assert "newstest: beside a file called train" in refusal(tmp_path)


def test_blank_lines_stay_and_are_told(tmp_path: Path, read: Read) -> None:
    _write(tmp_path, {"train.en": [*EN, " ", "x", ""], "train.de": [*DE, "y", "", ""]})
    table = read(tmp_path)
    assert len(table) == 6
    finding = _notes(tmp_path)["empty-rows"]
    assert finding.severity == "warning"
    assert finding.evidence == {
        "rows": [
            {"where": "train.de, line 4", "blank": ["en"]},
            {"where": "train.de, line 5", "blank": ["de"]},
            {"where": "train.de, line 6", "blank": ["de", "en"]},
        ],
        "count": 3,
    }


def test_damage_is_named(tmp_path: Path, read: Read, refusal: Refusal, monkeypatch: pytest.MonkeyPatch) -> None:
    _write(tmp_path, {"train.en": EN, "train.de": DE})
    (tmp_path / "train.de").write_bytes("\n".join(DE).encode("latin-1"))
    assert read(tmp_path).column("de").cells == DE
    assert _notes(tmp_path)["encoding"].evidence["files"] == [
        {"file": "train.de", "line": 2, "byte": "0xe4", "lines": 2}
    ]
    (tmp_path / "train.de").write_bytes(b"a\nb\nc\0\n")
    assert "train.de, line 3: a NUL byte" in refusal(tmp_path)
    (tmp_path / "train.de").write_bytes("a\nb\nc\n".encode("utf-16"))
    assert "train.de: UTF-16" in refusal(tmp_path)
    _write(tmp_path, {"train.de": [*DE[:2], "x" * 60]})
    monkeypatch.setattr(text_file, "MAX_LINE", 50)
    assert "train.de, line 3: longer than" in refusal(tmp_path)


@pytest.mark.parametrize("columns", [("en", "de"), ("question", "reply")])
@pytest.mark.parametrize("name", ["pairs.tsv", "pairs.jsonl", "pairs.csv"])
def test_tables_of_two_texts_have_no_label(tmp_path: Path, read: Read, name: str, columns: tuple[str, str]) -> None:
    """Each English sentence comes with three translations: few values for many rows, as a label has."""
    rows = [(f"Where is house {n // 3}?", f"Wo ist Haus Nummer {n}, bitte?") for n in range(60)]
    if name.endswith(".jsonl"):
        text = "\n".join(json.dumps(dict(zip(columns, row, strict=True))) for row in rows)
    else:
        tab = "\t" if name.endswith(".tsv") else ";"
        text = "\n".join(tab.join(row) for row in [columns, *rows])
    (tmp_path / name).write_text(text)
    table = read(tmp_path / name)
    assert {column.name: column.kind for column in table.columns.values()} == dict.fromkeys(columns, "text")


def test_words_in_two_languages_have_no_label(tmp_path: Path, read: Read) -> None:
    (tmp_path / "words.csv").write_text("en,de\n" + "dog,Hund\ncat,Katze\n" * 20)
    assert [column.kind for column in read(tmp_path / "words.csv").columns.values()] == ["text", "text"]
    (tmp_path / "words.csv").write_text("en,kind\n" + "dog,noun\nrun,verb\nsit,verb\n" * 20)
    assert "each of en, kind could be the answer" in _refused(tmp_path / "words.csv")


def _refused(path: Path) -> str:
    from snowball.finding import BadInput

    with pytest.raises(BadInput) as caught:
        read_table(DataSection(name=str(path)))
    return str(caught.value)


def test_multi30k(shared: Callable[[str], Path], read: Read) -> None:
    table = read(shared("multi30k"))
    assert Counter(table.split) == {"train": 29_000, "val": 1014, "test": 1000}
    first = table.split.index("train")
    assert list(table.columns) == ["de", "en", "fr"]
    assert table.column("en").cells[first] == "Two young, White males are outside near many bushes."
    assert table.column("de").cells[first].startswith("Zwei junge wei\xdfe M\xe4nner")
    assert "encoding" not in _notes(shared("multi30k"))
