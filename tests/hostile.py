"""What is asked of every reader of hostile files: each is refused with one line, soon, and without much memory."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

from snowball.finding import BadInput

SCRIPT = """
import json, resource, sys, time
from pathlib import Path
from snowball.design.caffe import load_caffe
from snowball.design.formats.onnx import Onnx
from snowball.design.keras.load import load_keras
from snowball.finding import BadInput
from snowball.imported import ImportSection
def used():  # getrusage tells the parent's too
    return int(Path("/proc/self/status").read_text().split("VmHWM:")[1].split()[0]) / 1024
for files in json.loads(sys.argv[1]):
    before, started = used(), time.perf_counter()
    try:
        {read}
        print("read")
    except BadInput as error:
        print(error)
    apart = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    print(time.perf_counter() - started, used() - before, apart)
"""


def refused(read: Callable[[], object], wanted: str, most: int = 600) -> None:
    """That reading is refused with one line, of at most so many letters."""
    with pytest.raises(BadInput, match=wanted) as caught:
        read()
    assert "\n" not in str(caught.value) and len(str(caught.value)) < most


def read_or_refused(read: Callable[[], object]) -> None:
    """That what a fuzzer made is read, or refused with one line."""
    try:
        read()
    except BadInput as error:
        assert "\n" not in str(error)


def cheaply_refused(read: str, *cases: Sequence[object]) -> None:
    """That `read`, a line of Python, refuses the `files` of each case within 5 seconds and 500 MB.

    In a process of its own, beside torch, whose import alone takes that. A process that it forks is compared with what
    its parent held, which is torch's.
    """
    words = [
        sys.executable,
        "-c",
        SCRIPT.format(read=read),
        json.dumps([[str(file) for file in case] for case in cases]),
    ]
    done = subprocess.run(words, capture_output=True, text=True, check=True).stdout.splitlines()
    assert len(done) == 2 * len(cases), done
    for said, figures in zip(done[::2], done[1::2], strict=True):
        seconds, here, apart = map(float, figures.split())
        assert said != "read" and seconds < 5 and here < 500 and apart < 1000, done


def fuzzed(count: int) -> settings:
    return settings(max_examples=count, deadline=None, suppress_health_check=list(HealthCheck))


def damaged(data: st.DataObject, sound: bytes, piece: st.SearchStrategy[bytes]) -> bytes:
    """A good file, changed in a few places; `piece` is put into some."""
    content = bytearray(sound)
    for _ in range(data.draw(st.integers(1, 5))):
        at = data.draw(st.integers(0, len(content) - 1))
        how = data.draw(st.sampled_from(["flip", "byte", "cut", "insert", "piece", "over"]))
        if how == "flip":
            content[at] ^= 1 << data.draw(st.integers(0, 7))
        elif how == "byte":
            content[at] = data.draw(st.integers(0, 255))
        elif how == "cut" and at:
            del content[at:]
        else:
            made: Any = data.draw(st.binary(max_size=8) if how == "insert" else piece)
            content[at : at + (len(made) if how == "over" else 0)] = made
    return bytes(content)
