"""Archives: what they hold is read like a folder, and whatever should not be unpacked is not."""

from __future__ import annotations

import io
import os
import stat
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from snowball.collect.read.archive import Caps, extract
from snowball.finding import BadInput
from snowball.table import Table

Fill = Callable[..., Path]
Read = Callable[..., Table]
Refusal = Callable[..., str]


def _zip(path: Path, members: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return path


def _tar(path: Path, *members: tuple[str, bytes] | tarfile.TarInfo, mode: str = "w") -> Path:
    with tarfile.open(path, mode) as archive:
        for member in members:
            if isinstance(member, tarfile.TarInfo):
                archive.addfile(member)
                continue
            info = tarfile.TarInfo(member[0])
            info.size = len(member[1])
            archive.addfile(info, io.BytesIO(member[1]))
    return path


def _refused(path: Path, caps: Caps | None = None) -> str:
    """The reason an archive is refused; nothing of it may be left in the cache."""
    with pytest.raises(BadInput) as caught:
        extract(path, caps=caps or Caps())
    message = str(caught.value)
    assert path.name in message
    assert "\n" not in message
    assert os.listdir(Path(os.environ["SNOWBALL_CACHE"]) / "archives") == []
    return message


@pytest.mark.parametrize("suffix", ["zip", "tar", "tar.gz", "tgz", "tar.bz2", "tar.xz"])
def test_folders_of_classes(tmp_path: Path, png: Callable[[int], bytes], read: Read, suffix: str) -> None:
    members = {f"flowers/{name}/{n}.png": png(n) for n in range(3) for name in ("daisy", "rose")}
    path = tmp_path / f"Flowers.{suffix}"
    if suffix == "zip":
        _zip(path, members)
    else:
        _tar(path, *members.items(), mode={"tar": "w", "tgz": "w:gz"}.get(suffix, f"w:{suffix[4:]}"))
    table = read(path)
    assert table.name == path.name
    assert table.column("label").cells == ["daisy"] * 3 + ["rose"] * 3
    assert Path(table.column("image").cells[1]).read_bytes() == png(1)
    assert table.where(1) == str(path / "daisy/1.png")


@pytest.mark.parametrize(
    ("members", "labels"),
    [
        (["cat/1.png", "dog/2.png"], ["cat", "dog"]),
        (["data/cat/1.png", "data/dog/2.png", "__MACOSX/data/1.png"], ["cat", "dog"]),
        (["train/cat/1.png", "train/dog/2.png"], ["cat", "dog"]),
    ],
)
def test_a_single_top_folder_is_stepped_into(
    tmp_path: Path, png: Callable[[int], bytes], read: Read, members: list[str], labels: list[str]
) -> None:
    table = read(_zip(tmp_path / "a.zip", {name: png(1) for name in members}))
    assert table.column("label").cells == labels
    assert set(table.split) == ({"train"} if members[0].startswith("train") else {""})


def test_a_single_class_is_not_stepped_into(tmp_path: Path, png: Callable[[int], bytes], refusal: Refusal) -> None:
    assert "only one class ('cat')" in refusal(_zip(tmp_path / "a.zip", {"cat/1.png": png(1)}))


def test_a_table_in_an_archive(
    tmp_path: Path, png: Callable[[int], bytes], read: Read, refusal: Refusal, fill: Fill
) -> None:
    members = {"d/labels.csv": b"file,label\n1.png,a\n2.png,b\n", "d/1.png": png(1), "d/2.png": png(2)}
    table = read(_zip(tmp_path / "a.zip", members))
    assert table.column("label").cells == ["a", "b"]
    fill(tmp_path, "secret.png")
    members["d/labels.csv"] = f"file,label\n1.png,a\n{tmp_path}/secret.png,b\n".encode()
    message = refusal(_zip(tmp_path / "b.zip", members))
    assert "labels.csv, row 3" in message
    assert "leads out of the archive" in message


def test_idx_files_in_an_archive(tmp_path: Path, idx_folder: Path, read: Read) -> None:
    with tarfile.open(tmp_path / "a.tar.gz", "w:gz") as archive:
        archive.add(idx_folder, "raw")
    assert len(read(tmp_path / "a.tar.gz")) == 10


def test_an_archive_is_unpacked_once(tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = _zip(tmp_path / "a.zip", {"x.txt": b"x"})
    first = extract(path)
    assert (first / "x.txt").read_bytes() == b"x"
    monkeypatch.setattr(zipfile, "ZipFile", None)
    assert extract(path.rename(tmp_path / "renamed.zip")) == first
    assert first.parent == cache / "archives"


NAMES = ["../evil", "a/../../evil", "/etc/evil", "..\\evil", "C:\\evil", "C:evil", "a/..", "\\evil"]


@pytest.mark.parametrize("name", NAMES)
def test_names_that_lead_outside_are_refused(tmp_path: Path, name: str) -> None:
    for path in (
        _zip(tmp_path / "a.zip", {"ok": b"", name: b"x"}),
        _tar(tmp_path / "a.tar", ("ok", b""), (name, b"x")),
    ):
        message = _refused(path)
        assert f"member {name!r} leads out" in message
    assert not (tmp_path / "evil").exists()


@pytest.mark.parametrize("form", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.FIFOTYPE])
def test_links_and_devices_are_refused(tmp_path: Path, form: bytes) -> None:
    info = tarfile.TarInfo("cat/link")
    info.type = form
    info.linkname = "/etc/passwd"
    message = _refused(_tar(tmp_path / "a.tar", ("cat/1", b"x"), info))
    assert "'cat/link' is a link" in message


def test_zip_links_are_refused(tmp_path: Path) -> None:
    info = zipfile.ZipInfo("link")
    info.create_system = 3
    info.external_attr = (stat.S_IFLNK | 0o777) << 16
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr(info, "/etc/passwd")
    assert "'link' is a link" in _refused(tmp_path / "a.zip")


def test_encrypted_zips_are_refused(tmp_path: Path) -> None:
    path = _zip(tmp_path / "a.zip", {"secret.txt": b"x"})
    data = bytearray(path.read_bytes())
    for mark, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        data[data.index(mark) + offset] |= 1
    path.write_bytes(data)
    assert "member 'secret.txt' is encrypted" in _refused(path)


def test_sizes_and_counts_are_capped(tmp_path: Path) -> None:
    zeros = bytes(3 << 20)
    many = [(f"f{n}", b"") for n in range(12)]
    for path in (_zip(tmp_path / "big.zip", {"z": zeros}), _tar(tmp_path / "big.tgz", ("z", zeros), mode="w:gz")):
        assert "unpacks to more than 0.00195312 GiB" in _refused(path, Caps(total=2 << 20))
        assert "a decompression bomb?" in _refused(path, Caps(ratio_from=1 << 20, ratio=100))
        assert extract(path, caps=Caps(ratio_from=4 << 20, ratio=100)).is_dir()
        (extract(path) / "z").unlink()
        extract(path).rmdir()
    for path in (_zip(tmp_path / "many.zip", dict(many)), _tar(tmp_path / "many.tar", *many)):
        assert "more than 10 members" in _refused(path, Caps(members=10))


def test_zip_sizes_that_lie_are_found_out(tmp_path: Path) -> None:
    path = _zip(tmp_path / "a.zip", {"z": bytes(1 << 20)})
    data = bytearray(path.read_bytes())
    for mark, offset in ((b"PK\x03\x04", 22), (b"PK\x01\x02", 24)):
        at = data.index(mark) + offset
        data[at : at + 4] = (10).to_bytes(4, "little")
    path.write_bytes(data)
    assert "damaged or unsupported zip" in _refused(path)


@pytest.mark.parametrize(
    "name",
    ["x" * 256, "/".join(["d"] * 70), "d/" * 60 + "y" * 250 + "/" + "y" * 250 + "/" + "z" * 250 + "/" + "q" * 250],
)
def test_long_names_are_refused(tmp_path: Path, name: str) -> None:
    assert "a name of" in _refused(_zip(tmp_path / "a.zip", {name: b""}))
    assert "a name of" in _refused(_tar(tmp_path / "a.tar", (name, b"")))


def test_a_member_twice_is_refused(tmp_path: Path) -> None:
    assert "'a' stands in it twice" in _refused(_tar(tmp_path / "a.tar", ("a", b"1"), ("a", b"2")))
    assert "both as a file and as a folder" in _refused(_tar(tmp_path / "b.tar", ("a", b"1"), ("a/b", b"2")))


def test_empty_archives_and_wrong_names_are_refused(tmp_path: Path) -> None:
    assert "empty" in _refused(_zip(tmp_path / "a.zip", {}))
    assert "empty" in _refused(_tar(tmp_path / "a.tar"))
    _tar(tmp_path / "b.zip", ("x", b"1"))
    assert "disagree on whether it is a zip" in _refused(tmp_path / "b.zip")


def test_zips_inside_tars_stay_tars(tmp_path: Path, png: Callable[[int], bytes]) -> None:
    inner = _zip(tmp_path / "inner.zip", {"y": b"1"}).read_bytes()
    path = _tar(tmp_path / "a.tar", ("inner.zip", inner))
    assert os.listdir(extract(path)) == ["inner.zip"]


def test_a_full_disk_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = _zip(tmp_path / "a.zip", {"x": b"1"})

    def full(*args: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "rename", full)
    assert "No space left on device" in _refused(path)


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_no_bytes_lead_outside(tmp_path: Path, data: st.DataObject) -> None:
    """Archives with strange names, and archives with flipped bytes: BadInput, or plain files inside their folder."""
    part = st.sampled_from(["a", "b", "..", ".", "", "C:", "\\", "é", "x" * 300, "a\\b", " ", "\n", "../../up"])
    names = data.draw(st.lists(st.lists(part, min_size=1, max_size=4).map("/".join), min_size=1, max_size=4))
    zipped = data.draw(st.booleans())
    members = {name or "empty": b"content" for name in names}
    base = tmp_path / "sub" / "base"
    base.mkdir(parents=True, exist_ok=True)
    path = base / ("a.zip" if zipped else "a.tar")
    if zipped:
        _zip(path, members)
    else:
        _tar(path, *members.items())
    raw = bytearray(path.read_bytes())
    for _ in range(data.draw(st.integers(0, 3))):
        raw[data.draw(st.integers(0, min(len(raw), 1500) - 1))] = data.draw(st.integers(0, 255))
    path.write_bytes(raw)
    cache = Path(os.environ["SNOWBALL_CACHE"])
    try:
        folder = extract(path)
    except BadInput:
        folder = cache
    for found in folder.rglob("*"):
        assert not found.is_symlink()
        assert found.resolve().is_relative_to(cache.resolve())
    assert [entry.name for entry in cache.iterdir()] in (["archives"], [])
    assert {entry.name for entry in tmp_path.rglob("*")} <= {"sub", "base", "a.zip", "a.tar"}
