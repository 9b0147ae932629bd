"""Folders of classes: splits, what is passed over, links, and what is refused."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from snowball.collect.read import read_table
from snowball.finding import Finding
from snowball.recipe import DataSection
from snowball.table import Table

Fill = Callable[..., Path]
Read = Callable[..., Table]
Refusal = Callable[..., str]


def _rows(table: Table) -> list[tuple[str, str, str]]:
    cells = [Path(cell).name for cell in table.column("image").cells]
    return list(zip(cells, table.column("label").cells, table.split, strict=True))


def _notes(source: Path) -> dict[str, Finding]:
    notes: list[Finding] = []
    read_table(DataSection(name=str(source)), notes.append)
    return {note.check: note for note in notes}


def test_the_first_folder_is_the_class(tmp_path: Path, fill: Fill, read: Read) -> None:
    fill(tmp_path, "dog/b.png", "dog/a.PNG", "cat/deep/er/c.png", "cat/d.png")
    table = read(tmp_path)
    assert _rows(table) == [("d.png", "cat", ""), ("c.png", "cat", ""), ("a.PNG", "dog", ""), ("b.png", "dog", "")]
    assert table.where(1) == str(tmp_path / "cat/deep/er/c.png") == table.column("image").cells[1]
    assert [column.kind for column in table.columns.values()] == ["image", "label"]


def test_split_folders_in_any_case(tmp_path: Path, fill: Fill, read: Read) -> None:
    fill(tmp_path, "Train/cat/1.png", "Train/dog/2.png", "VALID/cat/3.png", "test/dog/4.png")
    assert _rows(read(tmp_path)) == [
        ("1.png", "cat", "train"),
        ("2.png", "dog", "train"),
        ("3.png", "cat", "val"),
        ("4.png", "dog", "test"),
    ]


def test_a_class_may_be_called_train(tmp_path: Path, fill: Fill, read: Read) -> None:
    fill(tmp_path, "train/1.png", "boat/2.png")
    assert [label for _, label, _ in _rows(read(tmp_path))] == ["boat", "train"]


def test_other_folders_beside_splits_are_refused(tmp_path: Path, fill: Fill, refusal: Refusal) -> None:
    fill(tmp_path, "train/cat/1.png", "train/dog/2.png", "test/cat/3.png", "extra/cat/4.png")
    assert "folder 'extra' stands beside" in refusal(tmp_path)


def test_two_folders_of_one_split_are_refused(tmp_path: Path, fill: Fill, refusal: Refusal) -> None:
    fill(tmp_path, "train/cat/1.png", "train/dog/2.png", "val/cat/3.png", "validation/cat/4.png")
    assert "two of them name the same split" in refusal(tmp_path)


def test_what_is_passed_over_is_counted(tmp_path: Path, fill: Fill, read: Read) -> None:
    fill(tmp_path, "cat/1.png", "dog/2.png", "cat/notes.txt", "cat/.hidden.png", ".git/3.png", "__MACOSX/cat/4.png")
    fill(tmp_path, "loose.png", "cat/ReadMe")
    (tmp_path / "bird").mkdir()
    assert len(read(tmp_path)) == 2
    notes = _notes(tmp_path)
    assert notes["skipped-files"].evidence == {"suffixes": {".txt": 1, "no suffix": 1}}
    assert notes["files-without-class"].evidence == {"paths": ["loose.png"]}
    assert notes["empty-classes"].evidence == {"folders": ["bird"]}


def test_links_out_of_the_folder_are_not_followed(tmp_path: Path, fill: Fill, read: Read, refusal: Refusal) -> None:
    root = fill(tmp_path / "data", "cat/1.png", "dog/2.png")
    outside = fill(tmp_path / "outside", "secret.png", "more/3.png")
    (root / "cat" / "secret.png").symlink_to(outside / "secret.png")
    (root / "cat" / "more").symlink_to(outside / "more")
    (root / "cat" / "again.png").symlink_to(root / "cat" / "1.png")
    (root / "cat" / "loop").symlink_to(root)
    assert [name for name, _, _ in _rows(read(root))] == ["1.png", "again.png", "2.png"]
    assert _notes(root)["skipped-links"].evidence == {"paths": ["cat/loop", "cat/more", "cat/secret.png"]}
    only = tmp_path / "only"
    only.mkdir()
    (only / "cat").symlink_to(outside)
    assert "links that lead out of it, e.g. cat" in refusal(only)


def test_names_that_are_not_utf8_are_passed_over(tmp_path: Path, fill: Fill, png: Callable[[int], bytes]) -> None:
    fill(tmp_path, "cat/1.png", "dog/2.png", "dog/\u202fscreen.png")
    with open(str(tmp_path).encode() + b"/cat/caf\xe9.png", "wb") as file:
        file.write(png(1))
    assert _notes(tmp_path)["skipped-files"].evidence == {"suffixes": {".png": 1}}
    assert len(read_table(DataSection(name=str(tmp_path)))) == 3


def test_empty_folders_are_refused(tmp_path: Path, refusal: Refusal) -> None:
    assert "an empty folder" in refusal(tmp_path)


def test_folders_without_pictures_are_refused(tmp_path: Path, fill: Fill, refusal: Refusal) -> None:
    message = refusal(fill(tmp_path, "cat/1.xyz", "cat/2.xyz", "dog/3.doc"))
    assert "2 x .xyz" in message
    assert ".png" in message


def test_one_class_is_refused(tmp_path: Path, fill: Fill, refusal: Refusal) -> None:
    assert "only one class ('cat')" in refusal(fill(tmp_path / "a", "cat/1.png", "cat/2.png"))
    assert "no folders of classes" in refusal(fill(tmp_path / "b", "1.png", "2.png"))
    message = refusal(fill(tmp_path / "c", "inner/cat/1.png", "inner/dog/2.png"))
    assert message.endswith(f"give {tmp_path / 'c' / 'inner'}")


def test_a_folder_that_cannot_be_opened_is_named(
    tmp_path: Path, fill: Fill, refusal: Refusal, monkeypatch: pytest.MonkeyPatch
) -> None:
    import os

    fill(tmp_path, "cat/1.png", "dog/2.png")
    scandir = os.scandir

    def denied(path: object) -> object:
        if str(path).rstrip("/").endswith("dog"):
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", denied)
    message = refusal(tmp_path)
    assert "Permission denied" in message
    assert "dog" in message


def test_idx_files_in_a_folder(idx_folder: Path, read: Read) -> None:
    table = read(idx_folder)
    assert list(table.split) == ["test"] * 4 + [""] * 6
    assert table.column("label").cells[:4] == ["0", "1", "2", "0"]
    assert table.column("image").cells[5].ravel().tolist() == list(range(15, 30))
    assert table.where(5) == "train-images-idx3-ubyte.gz, picture 1"


def test_a_table_in_a_folder_goes_before_the_folders(tmp_path: Path, fill: Fill, read: Read) -> None:
    fill(tmp_path, "cat/1.png", "dog/2.png")
    (tmp_path / "labels.csv").write_text("file,label\ncat/1.png,tabby\ndog/2.png,collie\n")
    assert read(tmp_path).column("label").cells == ["tabby", "collie"]


def test_a_table_that_names_no_file_does_not_hide_the_classes(tmp_path: Path, fill: Fill, read: Read) -> None:
    fill(tmp_path, "cat/1.png", "dog/2.png")
    (tmp_path / "notes.csv").write_text("who,label\nann,x\nbob,y\n")
    assert read(tmp_path).column("label").cells == ["cat", "dog"]


def test_metadata_csv_goes_before_other_tables(tmp_path: Path, fill: Fill, read: Read) -> None:
    fill(tmp_path, "1.png", "2.png")
    (tmp_path / "metadata.csv").write_text("file,label\n1.png,a\n2.png,b\n")
    (tmp_path / "other.csv").write_text("file,label\n1.png,c\n2.png,d\n")
    assert read(tmp_path).column("label").cells == ["a", "b"]


def test_tables_called_like_splits_are_read_together(tmp_path: Path, fill: Fill, read: Read, refusal: Refusal) -> None:
    fill(tmp_path, "1.png", "2.png", "3.png")
    (tmp_path / "train.csv").write_text("file,label\n1.png,a\n2.png,b\n")
    (tmp_path / "test.csv").write_text("file,label\n3.png,a\n")
    table = read(tmp_path)
    assert list(table.split) == ["train", "train", "test"]
    assert table.where(2) == "test.csv, row 2"
    assert table.column("file").kind == "image"
    (tmp_path / "test.csv").write_text("file\n3.png\n")
    assert "test.csv: no column 'label'" in refusal(tmp_path)
    (tmp_path / "more.csv").write_text("file\n3.png\n")
    assert "several tables: more.csv, test.csv, train.csv" in refusal(tmp_path)
