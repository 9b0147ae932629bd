"""Documentation is executed: the tutorial's commands and code, the README's Python, the generated reference."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from snowball.cli import main

ROOT = Path(__file__).resolve().parents[1]
BLOCK = re.compile(r"^```(sh|python)\n(.*?)^```$", re.DOTALL | re.MULTILINE)


def blocks(name: str) -> list[tuple[str, str]]:
    return [(match[1], match[2]) for match in BLOCK.finditer((ROOT / name).read_text(encoding="utf-8"))]


TUTORIALS = {
    "docs/tutorial.md": "own.onnx",
    "docs/text.md": "numbers.step.onnx",
    "docs/video.md": "motion.onnx",
    "docs/detection.md": "boxes.onnx",
    "docs/steering.md": "drive.mp4",
    "docs/transfer.md": "runs/finetuned/manifest.json",
    "docs/trajectories.md": "crossing.onnx",
    "docs/lips.md": "lips.onnx",
    "docs/audio.md": "tones.onnx",
    "docs/caffe.md": "net.onnx",
    "docs/keras.md": "net.onnx",
    "docs/audit.md": ".",
    "docs/checks.md": "training.py",
    "docs/onnx.md": "net.onnx",
}
"""Each, and a file that is there when its commands and code have run."""


@pytest.mark.parametrize("name", [pytest.param(name, id=f"all@{name}") for name in TUTORIALS])
def test_a_tutorial_runs_as_written(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    names: dict[str, object] = {}
    for language, text in blocks(name):
        if language == "python":
            exec(compile(text, name, "exec"), names)  # noqa: S102 (our own documentation)
            continue
        for line in text.splitlines():
            program, *words = shlex.split(line)
            assert program == "snowball"
            assert main(words) == 0, line
    assert (tmp_path / TUTORIALS[name]).exists()


def test_the_readmes_python_runs_and_prints_what_it_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (code,) = [text for language, text in blocks("README.md") if language == "python"]
    exec(compile(code, "README.md", "exec"), {})  # noqa: S102
    assert (tmp_path / "digits.onnx").is_file()


def test_every_snowball_command_in_the_readme_names_a_verb_that_exists() -> None:
    from snowball.cli import VERBS

    text = (ROOT / "README.md").read_text(encoding="utf-8")
    verbs = re.findall(r"snowball (\w+) (?:digits|RUN|DATA|runs)", text)
    assert verbs and set(verbs) <= set(VERBS)


def test_the_recipe_reference_is_what_the_code_says() -> None:
    done = subprocess.run([sys.executable, str(ROOT / "docs" / "generate.py"), "--check"], capture_output=True)
    assert done.returncode == 0, "run python docs/generate.py"


def test_no_document_names_a_place_on_one_machine() -> None:
    for path in [*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), ROOT / "pyproject.toml", ROOT / "constraints.txt"]:
        assert not re.search(r"(^|[\s(`'\"])/(root|home|work)/", path.read_text(encoding="utf-8")), path
