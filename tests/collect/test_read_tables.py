"""CSV, TSV and JSONL: what each column is taken for, how rows are named, and every way they can be wrong."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from snowball.collect.read import delimited, lines
from snowball.table import Table

Fill = Callable[..., Path]
Read = Callable[..., Table]
Refusal = Callable[..., str]


@pytest.fixture
def folder(tmp_path: Path, fill: Fill) -> Path:
    """Six pictures, img/0.png to img/5.png."""
    return fill(tmp_path, *(f"img/{number}.png" for number in range(6)))


def _csv(folder: Path, *rows: str, name: str = "labels.csv") -> Path:
    path = folder / name
    path.write_text("\n".join(rows) + "\n", encoding="utf-8")
    return path


def _kinds(table: Table) -> dict[str, str]:
    return {name: column.kind for name, column in table.columns.items()}


PICTURES = [f"img/{number}.png,{'cat' if number < 3 else 'dog'}" for number in range(6)]


def test_csv_of_pictures(folder: Path, read: Read) -> None:
    table = read(_csv(folder, "file,label", *PICTURES))
    assert _kinds(table) == {"file": "image", "label": "label"}
    assert table.column("file").cells[3] == str(folder / "img/3.png")
    assert table.column("label").cells == ["cat"] * 3 + ["dog"] * 3
    assert table.where(0) == "labels.csv, row 2"
    assert set(table.split) == {""}


def test_rows_are_numbered_as_an_editor_shows_them(folder: Path, read: Read, refusal: Refusal) -> None:
    rows = ["file,label,note", 'img/0.png,cat,"two', 'lines"', "", "img/1.png,dog,x", "img/2.png,dog,y"]
    table = read(_csv(folder, *rows))
    assert [table.where(row) for row in range(3)] == [f"labels.csv, row {line}" for line in (2, 5, 6)]
    assert "row 7: 2 fields" in refusal(_csv(folder, *rows, "img/3.png,dog"))


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_the_header_shows_the_delimiter(folder: Path, read: Read, delimiter: str) -> None:
    table = read(_csv(folder, *(row.replace(",", delimiter) for row in ("file,label", *PICTURES))))
    assert _kinds(table) == {"file": "image", "label": "label"}


def test_tsv_quotes_only_where_the_header_does(folder: Path, read: Read) -> None:
    table = read(_csv(folder, "text\tlabel", '"so\t0', 'say "x"\t1', "c\t0", "d\t1", name="a.tsv"))
    assert table.column("text").cells == ['"so', 'say "x"', "c", "d"]
    table = read(_csv(folder, '"text"\t"label"', '"a\tb"\t"0"', '"c"\t"1"', name="a.tsv"))
    assert table.column("text").cells == ["a\tb", "c"]


def test_a_byte_order_mark_is_dropped(folder: Path, read: Read) -> None:
    path = _csv(folder, "file,label", *PICTURES)
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())
    assert list(read(path).columns) == ["file", "label"]


def test_the_split_column(folder: Path, read: Read, refusal: Refusal) -> None:
    words = ["train", "Training", "val", "validation", "TEST", ""]
    rows = [f"{row},{word}" for row, word in zip(PICTURES, words, strict=True)]
    table = read(_csv(folder, "file,label,Split", *rows))
    assert list(table.split) == ["train", "train", "val", "val", "test", ""]
    assert "Split" not in table.columns
    message = refusal(_csv(folder, "file,label,split", *rows[:5], "img/5.png,dog,tset"))
    assert "labels.csv, row 7" in message
    assert "'tset' is not one of train, val, test (nearest: test)" in message


def test_numbered_folds_are_an_ordinary_column(folder: Path, read: Read) -> None:
    table = read(_csv(folder, "file,label,fold", *(f"{row},{n % 2}" for n, row in enumerate(PICTURES))))
    assert _kinds(table)["fold"] == "number"
    assert set(table.split) == {""}


def test_groups_and_answers_by_name(folder: Path, read: Read) -> None:
    rows = ["file,patient,finding,dose"]
    rows += [f"img/{n}.png,p{n // 2},{'ill' if n % 2 else 'well'},{n / 7}" for n in range(6)]
    assert _kinds(read(_csv(folder, *rows), group="patient")) == {
        "file": "image",
        "patient": "text",
        "finding": "label",
        "dose": "number",
    }
    assert _kinds(read(_csv(folder, *rows), answer="patient"))["patient"] == "label"
    assert _kinds(read(_csv(folder, *rows), answer="patient"))["finding"] == "text"


def test_an_unclear_answer_is_asked_for(folder: Path, refusal: Refusal) -> None:
    rows = [f"img/{n}.png,o{n // 2},{'ill' if n % 2 else 'well'}" for n in range(6)]
    message = refusal(_csv(folder, "file,organ,finding", *rows))
    assert "each of organ, finding could be the answer" in message
    assert "data.answer=" in message


def test_whose_a_row_is_is_not_taken_for_the_answer(folder: Path, read: Read) -> None:
    rows = [f"img/{n}.png,p{n // 2},{'ill' if n % 2 else 'well'}" for n in range(6)]
    kinds = _kinds(read(_csv(folder, "file,patient,finding", *rows)))
    assert kinds["finding"] == "label" and kinds["patient"] != "label"


@pytest.mark.parametrize("name", ["Label", "class", "category", "target", "y"])
def test_usual_names_of_the_answer(folder: Path, read: Read, name: str) -> None:
    rows = [f"img/{n}.png,p{n // 2},{'ill' if n % 2 else 'well'}" for n in range(6)]
    assert _kinds(read(_csv(folder, f"file,patient,{name}", *rows))) == {
        "file": "image",
        "patient": "text",
        name: "label",
    }


def test_text_goes_before_numbers_as_the_answer(folder: Path, read: Read) -> None:
    rows = [f"img/{n}.png,{n % 2},{'ill' if n % 2 else 'well'}" for n in range(6)]
    assert _kinds(read(_csv(folder, "file,age,finding", *rows))) == {
        "file": "image",
        "age": "number",
        "finding": "label",
    }


def test_whole_numbers_are_labels_and_many_fractions_are_not(folder: Path, read: Read) -> None:
    rows = [f"a much longer line of text, numbered {n}|{n % 7}|{n / 7}" for n in range(50)]
    table = read(_csv(folder, "text|digit|angle", *rows))
    assert _kinds(table) == {"text": "text", "digit": "label", "angle": "number"}
    assert _kinds(read(_csv(folder, "text|digit|angle", *rows), answer="angle"))["angle"] == "number"
    assert _kinds(read(_csv(folder, "text|digit|target", *rows)))["target"] == "number"


@pytest.mark.parametrize("key", ["given", "answer", "group"])
def test_named_columns_must_exist(folder: Path, refusal: Refusal, key: str) -> None:
    message = refusal(_csv(folder, "file,label", *PICTURES), **{key: "labels"})
    assert f"labels.csv: data.{key}=labels: no such column; its columns are file, label (nearest: label)" in message


def test_a_few_missing_files_are_left_for_later(folder: Path, read: Read) -> None:
    table = read(_csv(folder, "file,label", *PICTURES, "img/gone.png,dog", ",dog"))
    assert _kinds(table)["file"] == "image"
    assert table.column("file").cells[6:] == [str(folder / "img/gone.png"), None]


def test_mostly_missing_files_are_refused(folder: Path, refusal: Refusal) -> None:
    message = refusal(_csv(folder, "file,label", "img/0.png,cat", "x/1.png,cat", "x/2.png,dog"))
    assert "labels.csv, row 3" in message
    assert "'x/1.png' is not a file under" in message
    assert "2 of 3" in message


def test_a_second_column_of_missing_files_is_text(folder: Path, read: Read, refusal: Refusal) -> None:
    path = _csv(folder, "file,original,label", *(row.replace(",", f",/old/{row[4]}.png,") for row in PICTURES))
    assert _kinds(read(path)) == {"file": "image", "original": "text", "label": "label"}
    assert "is not a file" in refusal(path, given="original")


def test_root_says_where_files_stand(folder: Path, read: Read, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    path = _csv(tmp_path / "elsewhere", "file,label", *PICTURES)
    table = read(path, root=str(folder))
    assert table.column("file").cells[0] == str(folder / "img/0.png")


def test_two_labels_for_one_file(folder: Path, read: Read, refusal: Refusal) -> None:
    path = _csv(folder, "file,label", *PICTURES, "./img/0.png,dog")
    message = refusal(path)
    assert "labels.csv, row 8: './img/0.png' has the label 'dog', but 'cat' in labels.csv, row 2" in message
    assert len(read(_csv(folder, "file,label", *PICTURES, "img/0.png,cat"))) == 7


def test_a_missing_header_is_seen(folder: Path, refusal: Refusal) -> None:
    assert "first row holds the file 'img/0.png'" in refusal(_csv(folder, *PICTURES))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b"", "labels.csv: empty"),
        (b"\nfile,label\n", "first row is blank"),
        (b"file,label\n", "no rows below the header file, label"),
        (b"file,file\na,b\n", "row 1: column 'file' stands in the header twice"),
        (b"file,label\na,b,c\n", "row 2: 3 fields, but the header names 2: file, label"),
        (b"file,label\na,b\na\n", "row 3: 1 fields"),
        (b"file,label\na,caf\xe9\n", "row 2: byte 0xe9 at byte 6 of the line is not UTF-8"),
        (b"file,label\na,b\na,\0\n", "row 3: a NUL byte"),
        ("file,label\na,b\n".encode("utf-16"), "UTF-16 text"),
        (b'file,label\na,b\na,"b\nc,d\n', "row 3: unexpected end of data"),
        (b'file,label\na,"b"c\n', "row 2: ',' expected after '\"'"),
        (b"file,label\ra,b\rc,d\r", "row 1"),
        (b",".join(b"c%d" % n for n in range(1001)) + b"\n", "1,001 columns"),
    ],
)
def test_what_is_wrong_in_a_csv_is_named(tmp_path: Path, refusal: Refusal, text: bytes, message: str) -> None:
    (tmp_path / "labels.csv").write_bytes(text)
    assert message in refusal(tmp_path / "labels.csv")


def test_fields_and_lines_are_bounded(tmp_path: Path, refusal: Refusal, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(delimited, "MAX_FIELD", 100)
    path = _csv(tmp_path, "a,b", '1,"' + "x\n" * 99, '"')
    assert "row 2: field larger than field limit (100)" in refusal(path)
    monkeypatch.setattr(lines, "MAX_LINE", 50)
    assert "row 2: longer than" in refusal(_csv(tmp_path, "a,b", "1," + "x" * 60))


def _jsonl(folder: Path, *rows: object) -> Path:
    path = folder / "rows.jsonl"
    path.write_text("\n".join(row if isinstance(row, str) else json.dumps(row) for row in rows))
    return path


def test_jsonl(folder: Path, read: Read) -> None:
    rows = [{"file": f"img/{n}.png", "label": n % 2, "meta": {"n": n}} for n in range(4)]
    table = read(_jsonl(folder, *rows[:2], "", {"file": "img/2.png", "label": 0.0, "late": "x"}, {"file": "img/3.png"}))
    assert _kinds(table) == {"file": "image", "label": "label", "meta": "nested", "late": "text"}
    assert list(table.columns) == ["file", "label", "meta", "late"]
    assert table.column("label").cells == ["0", "1", "0", None]
    assert table.column("late").cells == [None, None, "x", None]
    assert [table.where(row) for row in range(4)] == [f"rows.jsonl, row {line}" for line in (1, 2, 4, 5)]


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("[1, 2]", "row 2: a JSON array, but each line should be an object"),
        ("3", "row 2: a JSON number"),
        ("null", "row 2: a JSON null"),
        ("{'a': 1}", "row 2: not JSON"),
        ("[" * 200_000, "row 2: not JSON"),
        ('{"a": ' + "9" * 5000 + "}", "row 2: not JSON"),
        ({f"k{n}": 1 for n in range(1001)}, "row 2: more than 1,000 different keys"),
    ],
)
def test_what_is_wrong_in_a_jsonl_is_named(tmp_path: Path, refusal: Refusal, row: object, message: str) -> None:
    assert message in refusal(_jsonl(tmp_path, {"a": 1}, row))


def test_an_empty_jsonl_is_refused(tmp_path: Path, refusal: Refusal) -> None:
    assert "empty" in refusal(_jsonl(tmp_path, ""))


def test_a_real_csv(shared: Callable[[str], Path], unpacked: Callable[[str], Path], read: Read) -> None:
    """100 photographs, one a class: every label is there once, so nothing but the user can say that it is one."""
    path = shared("imagenet-sample") / "labels.csv"
    table = read(path, root=str(unpacked("imagenet-sample/images.tar") / "images"), answer="wordnet_id")
    assert _kinds(table) == {"file": "image", "class_index": "number", "wordnet_id": "label"}
    assert (len(table), table.column("wordnet_id").cells[0]) == (100, "n01440764")
    assert Path(table.column("file").cells[0]).is_file()


def test_boxes_are_not_labels(shared: Callable[[str], Path], unpacked: Callable[[str], Path], refusal: Refusal) -> None:
    """A real detection file: many cells a picture, so one picture has many labels."""
    (folder,) = {found.parent for found in unpacked("bccd/BCCD.tar").rglob("BloodImage_00000.jpg")}
    message = refusal(shared("bccd") / "test.csv", root=str(folder))
    assert "test.csv, row 3: 'BloodImage_00000.jpg' has the cell_type 'RBC', but 'WBC' in test.csv, row 2" in message
