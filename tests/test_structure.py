"""The house rules: imports point one way, verbs are frozen, help and import are light, nothing unpickles."""

from __future__ import annotations

import ast
import subprocess
import sys
import time
from pathlib import Path

import pytest

import snowball
from snowball.cli import VERBS

ROOT = Path(snowball.__file__).parent
NOUNS = (
    "finding",
    "table",
    "rng",
    "storage",
    "recipe",
    "answer",
    "comparison",
    "kind",
    "task",
    "run",
    "display",
    "imported",
)
# Folder or noun -> what its modules may import at the top of a file; run's verbs import lazily, inside functions.
ALLOWED = {
    "nouns": {"nouns"},
    "kinds": {"nouns", "kinds"},
    "design": {"nouns", "design"},
    "tasks": {"nouns", "kinds", "design", "tasks"},
    "collect": {"nouns", "kinds", "collect"},
    "training": {"nouns", "checks", "collect", "training"},
    "evaluate": {"nouns", "collect", "training", "evaluate"},
    "deploy": {"nouns", "collect", "evaluate", "deploy"},
    "drive": {"nouns", "evaluate", "drive"},
    "checks": {"nouns", "checks"},
    "importing": {"nouns", "design", "collect", "training", "importing"},
}


def place(parts: tuple[str, ...]) -> str:
    return parts[0] if parts[0] in ALLOWED else "nouns"


def imported(path: Path) -> list[tuple[str, ...]]:
    """Snowball modules that a file imports at its top level, as path parts below the package."""
    package = path.relative_to(ROOT).parent.parts
    found = []
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.ImportFrom) and node.level:
            base = package[: len(package) - node.level + 1]
            names = [node.module] if node.module else [alias.name for alias in node.names]
            found += [(*base, *name.split(".")) for name in names]
    return found


def modules() -> list[Path]:
    inside = [path for path in sorted(ROOT.rglob("*.py")) if path.relative_to(ROOT).parts[0] in ALLOWED]
    return inside + [ROOT / f"{name}.py" for name in NOUNS]


@pytest.mark.parametrize("path", modules(), ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_point_one_way(path: Path) -> None:
    here = place(path.relative_to(ROOT).parts)
    for target in imported(path):
        assert place(target) in ALLOWED[here], f"{path.relative_to(ROOT)} ({here}) imports {'.'.join(target)}"


def test_shared_code_names_no_task() -> None:
    from snowball.registry import tasks

    names = {name for task in tasks().values() for name in (task.name, task.__name__)}
    for path in ROOT.rglob("*.py"):
        if path.relative_to(ROOT).parts[0] == "tasks" or path.name == "testing.py":
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Constant) and isinstance(node.value, str) and "\n" not in node.value:
                assert node.value not in names, f"{path.relative_to(ROOT)} names the task {node.value}"


def test_nothing_unpickles_or_evaluates() -> None:
    forbidden = {"pickle", "cPickle", "dill", "joblib", "cloudpickle", "shelve", "marshal"}
    for path in ROOT.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import | ast.ImportFrom):
                names = {alias.name.split(".")[0] for alias in node.names} | {
                    str(getattr(node, "module", "")).split(".")[0]
                }
                assert not names & forbidden, path
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
                assert node.func.id not in ("eval", "exec", "__import__"), path
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
                named = node.value.id, node.attr
                assert named not in {("torch", "save"), ("yaml", "load")}, path
                assert named != ("torch", "load") or path.name == "torch_file.py", path


def test_the_one_place_that_unpickles_does_it_by_an_allow_list() -> None:
    """PyTorch's own files are read in a process of their own, and torch is told to take plain tensors alone."""
    tree = ast.parse((ROOT / "design" / "torch_file.py").read_text(encoding="utf-8"))
    loads = [n for n in ast.walk(tree) if isinstance(n, ast.Call) and ast.unparse(n.func) == "torch.load"]
    assert len(loads) == 1
    (only,) = [keyword.value for keyword in loads[0].keywords if keyword.arg == "weights_only"]
    assert isinstance(only, ast.Constant) and only.value is True


def test_the_verbs_are_frozen() -> None:
    """The command line grows no verb or flag by accident: a new verb is added here with its issue."""
    assert list(VERBS) == [
        "train",
        "audit",
        "check",
        "evaluate",
        "predict",
        "explain",
        "shrink",
        "export",
        "serve",
        "import",
        "drive",
        "data",
        "models",
    ]


@pytest.mark.parametrize(
    "code", ["import snowball", "import snowball.pytest_plugin", "from snowball.cli import main; main(['--help'])"]
)
def test_import_and_help_load_nothing_heavy(code: str) -> None:
    heavy = ("torch", "numpy", "pydantic", "rich", "PIL", "yaml", "matplotlib", "fastapi", "onnxruntime", "pyarrow")
    script = f"{code}\nimport sys\nprint([name for name in {heavy!r} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


def test_help_answers_at_once() -> None:
    """0.1 s is the promise; the limit here is ten times that, so that a loaded machine does not fail it."""
    seconds = []
    for _ in range(3):
        started = time.perf_counter()
        subprocess.run([sys.executable, "-m", "snowball", "--help"], capture_output=True, check=True)
        seconds.append(time.perf_counter() - started)
    assert min(seconds) < 1.0


def test_all_is_true() -> None:
    """Every name in an `__all__` exists, and the public names are there."""
    import importlib

    for path in ROOT.rglob("*.py"):
        parts = path.relative_to(ROOT).with_suffix("").parts
        if parts[-1] in ("__main__",) or "templates" in parts:
            continue
        name = ".".join(("snowball", *(part for part in parts if part != "__init__")))
        module = importlib.import_module(name)
        for public in getattr(module, "__all__", []):
            assert hasattr(module, public), f"{name}.{public}"
