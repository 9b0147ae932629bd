"""Documents: one a row, splits by name and by folder, what is empty, damaged or too large, and folders of classes."""

from __future__ import annotations

import gzip
import tarfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from snowball.collect.read import gunzip, read_table, text_file
from snowball.collect.read.text_file import TextFile, read_text_file
from snowball.finding import Finding
from snowball.recipe import DataSection
from snowball.registry import kinds
from snowball.table import Table

Read = Callable[..., Table]
Refusal = Callable[..., str]
Fill = Callable[..., Path]

needs_kind = pytest.mark.skipif("text" not in kinds(), reason="no kind text, whose files stand in class folders")


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., Path]:
    """write(name, text): a file below tmp_path, gzipped where its name says so."""

    def make(name: str, text: str | bytes = "Once upon a time.\n") -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        data = text.encode() if isinstance(text, str) else text
        path.write_bytes(gzip.compress(data) if path.suffix == ".gz" else data)
        return path

    return make


def _notes(source: Path) -> list[Finding]:
    notes: list[Finding] = []
    read_table(DataSection(name=str(source)), notes.append)
    return notes


def _rows(table: Table) -> dict[str, str]:
    return {table.where(row): table.split[row] for row in range(len(table))}


@pytest.mark.parametrize("name", ["book.txt", "BOOK.TXT", "book.txt.gz"])
def test_one_document(write: Callable[..., Path], read: Read, name: str) -> None:
    text = "\ufeffIt was.\r\n\r\nIt is no more \u2028 here.\x85\n"
    table = read(write(name, text))
    assert table.column("text").kind == "text"
    assert table.column("text").cells == [text[1:]]  # without the byte order mark; every line end is kept
    assert _rows(table) == {name: ""}
    assert _notes(Path(write(name, text))) == []


def test_a_folder_of_documents(tmp_path: Path, write: Callable[..., Path], read: Read) -> None:
    for name in (
        "b.txt",
        "a.txt",
        "c.txt.gz",
        "README.txt",
        "LICENSE",
        ".hidden.txt",
        "words.dat",
        "cover.png",
        "x.zip",
    ):
        write(name)
    with open(str(tmp_path).encode() + b"/caf\xe9.txt", "wb") as file:
        file.write(b"a name that no report could hold")
    assert _rows(read(tmp_path)) == {"a.txt": "", "b.txt": "", "c.txt.gz": ""}
    (note,) = _notes(tmp_path)
    assert note.check == "skipped-files"
    assert note.evidence == {"suffixes": {".png": 1, ".zip": 1, ".dat": 1, ".txt": 1}}


@pytest.mark.parametrize(
    ("names", "splits"),
    [
        (["train.txt", "valid.txt", "test.txt"], ["train", "val", "test"]),
        (["wiki.train.txt", "wiki.dev.txt"], ["train", "val"]),
        (["train.txt", "other.txt"], ["train", ""]),
        (["test drive.txt", "train ride.txt", "walk.txt"], ["", "", ""]),
        (["a.txt", "test.txt"], ["", ""]),
        (["train/1.txt", "train/2.txt", "test/1.txt"], ["train", "train", "test"]),
    ],
)
def test_splits(tmp_path: Path, write: Callable[..., Path], read: Read, names: list[str], splits: list[str]) -> None:
    for name in names:
        write(name)
    table = read(tmp_path)
    assert _rows(table) == dict(zip(names, splits, strict=True))
    assert list(table.columns) == ["text"]


def test_an_archive_of_documents(tmp_path: Path, write: Callable[..., Path], read: Read) -> None:
    write("in/corpus/a.txt")
    write("in/corpus/b.txt")
    with tarfile.open(tmp_path / "corpus.tar.gz", "w:gz") as archive:
        archive.add(tmp_path / "in", ".")
    assert _rows(read(tmp_path / "corpus.tar.gz")) == {"a.txt": "", "b.txt": ""}


def test_empty_documents_are_set_aside_and_named(
    tmp_path: Path, write: Callable[..., Path], read: Read, refusal: Refusal
) -> None:
    write("a.txt", "")
    write("b.txt", " \n\t\n")
    assert "2 documents are empty, e.g. a.txt, b.txt" in refusal(tmp_path)
    assert "a.txt is empty" in refusal(tmp_path / "a.txt")
    write("c.txt")
    assert _rows(read(tmp_path)) == {"c.txt": ""}
    (note,) = _notes(tmp_path)
    assert (note.check, note.severity) == ("empty-documents", "warning")
    assert note.evidence == {"files": ["a.txt", "b.txt"], "count": 2}


def test_an_empty_train_file_does_not_hand_its_split_on(tmp_path: Path, write: Callable[..., Path], read: Read) -> None:
    write("train.txt", "")
    write("val.txt")
    assert _rows(read(tmp_path)) == {"val.txt": "val"}


def test_what_is_not_utf8_is_windows_1252(tmp_path: Path, write: Callable[..., Path], read: Read) -> None:
    write("a.txt", "plain\ncaf\xe9 \x80 \x81\nna\xefve\n".encode("latin-1"))
    write("b.txt", "caf\xe9\n".encode())
    table = read(tmp_path)
    assert table.column("text").cells == ["plain\ncaf\xe9 \u20ac \x81\nna\xefve\n", "caf\xe9\n"]
    (note,) = _notes(tmp_path)
    assert (note.check, note.severity) == ("encoding", "warning")
    assert "a.txt, line 2: byte 0xe9 is not UTF-8; read as Windows-1252 instead, which changes 2 lines" in note.message
    assert note.evidence["files"] == [{"file": "a.txt", "line": 2, "byte": "0xe9", "lines": 2}]


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("one\nM\xc3\xbcller and \xc3\xa9t\xc3\xa9", 3),
        ("one\nthey\xe2\u20ac\u2122re \xe2\u20ac\u0153so", 2),
        ("one\nlost \ufffd\ufffd", 2),
        ("S\xc3O Jo\xe3o, ch\xe2teau, \xc2ge, \xabna\xefve\xbb, M\xfcller", 0),
    ],
)
def test_damaged_text_is_told(write: Callable[..., Path], text: str, count: int) -> None:
    notes = _notes(write("a.txt", text))
    assert [note.check for note in notes] == ["encoding"] * bool(count)
    if notes:
        assert notes[0].evidence["count"] == count
        assert "a.txt, line 2: " in notes[0].message


@pytest.mark.parametrize(
    ("name", "data", "message"),
    [
        ("a.txt", b"one\ntwo\nth\0ree\n", "a.txt, line 3: a NUL byte"),
        ("a.txt.gz", b"one\ntwo\nth\0ree\n", "a.txt.gz, line 3: a NUL byte"),
        ("a.txt", "words".encode("utf-16"), "a.txt: UTF-16 text; save the file as UTF-8"),
        ("a.xyz", b"just some prose\nand more of it\n", "a.xyz: not a format that can be read"),
    ],
)
def test_what_is_wrong_is_named(
    write: Callable[..., Path], refusal: Refusal, name: str, data: bytes, message: str
) -> None:
    assert message in refusal(write(name, data))


def test_gzip_is_bounded_and_checked(
    write: Callable[..., Path], read: Read, refusal: Refusal, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write("a.txt.gz", b"word " * 100_000)
    assert len(read(path).column("text").cells[0]) == 500_000
    packed = path.read_bytes()
    path.write_bytes(packed[:-9])
    assert "a.txt.gz: truncated: the gzip stream ends early" in refusal(path)
    path.write_bytes(packed[:100] + bytes([packed[100] ^ 255]) + packed[101:])
    assert "a.txt.gz: damaged gzip file" in refusal(path)
    path.write_bytes(b"not gzip at all")
    assert "a.txt.gz: damaged gzip file" in refusal(path)
    path.write_bytes(packed)
    monkeypatch.setattr(gunzip, "RATIO_FROM", 1000)
    assert "unpacks to more than 200 times" in refusal(path)


def test_documents_together_are_bounded(
    tmp_path: Path, write: Callable[..., Path], read: Read, refusal: Refusal, monkeypatch: pytest.MonkeyPatch
) -> None:
    write("a.txt", "x" * 600)
    write("b.txt", "y" * 600)
    monkeypatch.setattr(text_file, "MAX_TEXT", 1000)
    assert len(read(tmp_path / "a.txt")) == 1
    assert "b.txt: with it, more than 1,000 bytes of text" in refusal(tmp_path)
    assert "c.txt.gz: with it, more than 1,000 bytes" in refusal(write("c.txt.gz", "z" * 5000))


def test_a_document_may_be_one_long_line(
    write: Callable[..., Path], read: Read, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(text_file, "MAX_LINE", 50)
    assert len(read(write("a.txt", "word " * 100)).column("text").cells[0]) == 500


@given(st.binary(max_size=60))
def test_no_byte_is_lost(tmp_path_factory: pytest.TempPathFactory, data: bytes) -> None:
    """Whatever the bytes, they can be written back: UTF-8 as UTF-8, all else byte for byte as Windows-1252."""
    path = tmp_path_factory.mktemp("bytes") / "a.txt"
    path.write_bytes(data)
    if b"\0" in data or data[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return
    file = read_text_file(path)
    data = data.removeprefix(b"\xef\xbb\xbf")
    if file.fallback is None:
        assert file.text.encode() == data
    else:
        back = {character: byte for byte, character in text_file._HIGH.items()}
        assert bytes(back.get(character, ord(character) & 255) for character in file.text) == data
        assert file.fallback.line <= data.count(b"\n") + 1


@given(st.lists(st.text(st.characters(exclude_characters="\n\r")), min_size=1))
def test_lines_come_back(lines: list[str]) -> None:
    assert TextFile(Path("a"), "".join(f"{line}\r\n" for line in lines)).lines() == lines
    assert TextFile(Path("a"), "".join(f"{line}\n" for line in lines)).lines() == lines


def _labels(table: Table) -> list[tuple[str, str, str]]:
    cells: list[Any] = list(table.column("text").cells)
    assert all(isinstance(cell, Path) for cell in cells)  # a str would be the text itself
    return list(zip([cell.name for cell in cells], table.column("label").cells, table.split, strict=True))


@needs_kind
def test_folders_of_classes(tmp_path: Path, write: Callable[..., Path], read: Read) -> None:
    for name in ("pos/1.txt", "neg/2.txt", "README.txt", "pos/readme.txt"):
        write(name)
    assert _labels(read(tmp_path)) == [("2.txt", "neg", ""), ("1.txt", "pos", "")]
    assert _notes(tmp_path) == []


@needs_kind
def test_folders_of_classes_by_split(tmp_path: Path, write: Callable[..., Path], read: Read) -> None:
    for name in ("train/pos/1.txt", "train/neg/2.txt", "test/pos/3.txt", "imdb.vocab"):
        write(name)
    assert _labels(read(tmp_path)) == [("3.txt", "pos", "test"), ("2.txt", "neg", "train"), ("1.txt", "pos", "train")]


@needs_kind
def test_a_loose_document_in_a_split_leaves_the_classes(tmp_path: Path, write: Callable[..., Path], read: Read) -> None:
    for name in ("train/pos/1.txt", "train/neg/2.txt", "train/urls.txt", "test/pos/3.txt", "test/urls.txt"):
        write(name)
    assert [label for _, label, _ in _labels(read(tmp_path))] == ["pos", "neg", "pos"]
    assert [note.check for note in _notes(tmp_path)] == ["files-without-class"]


@needs_kind
def test_one_folder_of_documents_is_pointed_to(tmp_path: Path, write: Callable[..., Path], refusal: Refusal) -> None:
    write("corpus/a.txt")
    assert refusal(tmp_path).endswith(f"as documents without labels: give {tmp_path / 'corpus'}")


def test_text_beside_pictures_leaves_them_pictures(tmp_path: Path, fill: Fill, read: Read, refusal: Refusal) -> None:
    fill(tmp_path / "a", "cat/1.png", "cat/1.txt", "dog/2.png", "dog/2.txt", "classes.txt", "train.label")
    assert list(read(tmp_path / "a").columns) == ["image", "label"]
    fill(tmp_path / "b", "1.png", "1.txt", "2.png", "2.txt")
    assert "image files, but no folders of classes" in refusal(tmp_path / "b")


@needs_kind
def test_a_table_may_name_documents(tmp_path: Path, write: Callable[..., Path], read: Read, refusal: Refusal) -> None:
    for number in range(6):
        write(f"docs/{number}.txt")
    rows = [f"docs/{number}.txt,{'spam' if number % 2 else 'ham'}" for number in range(6)]
    table = read(write("labels.csv", "\n".join(["file,label", *rows])))
    assert table.column("file").kind == "text"
    assert table.column("file").cells[0] == tmp_path / "docs/0.txt"
    gone = [row.replace("docs", "gone") for row in rows]
    assert "'gone/0.txt' is not a file" in refusal(write("labels.csv", "\n".join(["file,label", *gone])))
    told = [f"{row},some longer words of text number {row[5]}" for row in gone]
    table = read(write("labels.csv", "\n".join(["origin,label,body", *told])))
    assert [column.kind for column in table.columns.values()] == ["text", "label", "text"]


@needs_kind
def test_notes_in_folders_do_not_hide_tables(tmp_path: Path, write: Callable[..., Path], read: Read) -> None:
    for name in ("docs/notes.txt", "code/requirements.txt"):
        write(name)
    write("train.csv", "text,label\na b c,x\nd e f,y\n")
    write("test.csv", "text,label\na b c,x\n")
    assert list(read(tmp_path).split) == ["train", "train", "test"]


@pytest.mark.parametrize("name", ["a.csv", "a.tsv", "a.jsonl"])
def test_a_table_of_text_alone(write: Callable[..., Path], read: Read, name: str) -> None:
    """However often its lines come back, a lone column is what there is to learn, and no label."""
    words = ["yes", "no"] * 20
    lines = [f'{{"text": "{word}"}}' for word in words] if name == "a.jsonl" else ["text", *words]
    table = read(write(name, "\n".join(lines)))
    assert {column.name: column.kind for column in table.columns.values()} == {"text": "text"}
    assert table.column("text").cells == words


def test_a_lone_column_with_a_split(write: Callable[..., Path], read: Read) -> None:
    table = read(write("a.csv", "body,split\n" + "yes,train\nno,test\n" * 20))
    assert Counter(table.split) == {"train": 20, "test": 20}
    assert table.column("body").kind == "text"


def test_tinyshakespeare(shared: Callable[[str], Path], read: Read) -> None:
    for source in (shared("tinyshakespeare"), shared("tinyshakespeare") / "input.txt"):
        (text,) = read(source).column("text").cells
        assert len(text) == 1_115_394  # as the data set's own README counts
        assert _notes(source) == []
