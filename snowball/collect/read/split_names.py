"""The split that the name of a file states: `sentiment-dev` is val, `train_5500.label` is train."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from ...finding import BadInput, Finding
from .columns import SPLIT_WORDS

__all__ = ["assign_splits", "split_of_name"]


def split_of_name(name: str) -> str:
    """The one split whose word stands in a name, or `""` where there is none, or more than one.

    >>> split_of_name("sentiment-dev"), split_of_name("test_2016_flickr.en"), split_of_name("training wheels.txt")
    ('val', 'test', 'train')
    >>> split_of_name("trainset.txt"), split_of_name("train-test.txt")
    ('', '')
    """
    words = re.split(r"[\W\d_]+", name.lower())
    found = {SPLIT_WORDS[word] for word in words if word in SPLIT_WORDS}
    return found.pop() if len(found) == 1 else ""


def assign_splits(folder: Path, names: Sequence[str]) -> tuple[list[str], list[Finding]]:
    """The split of each of several files that belong together: all `""` unless one of them is called train.

    Beside train and without a test, one file whose name says nothing is the test; a note tells. Several raise BadInput.

    >>> assign_splits(Path("."), ["wiki.train", "wiki.valid"])[0], assign_splits(Path("."), ["a", "test"])[0]
    (['train', 'val'], ['', ''])
    """
    splits = [split_of_name(name) for name in names]
    if "train" not in splits:
        return [""] * len(names), []
    others = [name for name, split in zip(names, splits, strict=True) if not split]
    if not others:
        return splits, []
    if len(others) > 1 or "test" in splits:
        shown = ", ".join(others[:10])
        raise BadInput(
            f"{folder}: {shown}: beside a file called train, a name should say train, val or test; rename or move it"
        )
    message = f"{others[0]}: taken for the test split: it stands beside a train file, and no file is called test"
    note = Finding("assumed-test", "note", message, {"file": others[0]}, f"call it test_{others[0]} to say so")
    return [split or "test" for split in splits], [note]
