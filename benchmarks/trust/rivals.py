"""What do other packages that look for silent bugs in PyTorch programs say of the same programs?

    pip install torchtest torchtest2 guardtower torch-audit preflight-ml     # beside Snowball
    python benchmarks/trust/rivals.py [--only NAME ...] [--seconds 300] [-o FILE]

Each package is handed what it asks for of a program's `setup()` and `fixed()`, with every check of its own that needs
no more. It flags a program where it reports what its documents call a failure; warnings are counted beside. What ends
in an exception of the package, or of a program called in a way it was not made for, is neither.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib.metadata
import io
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

from harm import load  # the folder is on the path by now
from run import HERE, programs, rate

Parts = dict[str, Any]
Said = tuple[list[str], list[str]]  # failures and warnings, by the names of checks


def first_batch(parts: Parts) -> tuple[Any, Any]:
    return next(iter(parts["train"]))


def optimiser(parts: Parts) -> Any:
    import torch

    return parts.get("optimizer") or torch.optim.Adam([p for p in parts["model"].parameters() if p.requires_grad])


def called(model: Any, inputs: Any) -> Any:
    if isinstance(inputs, dict):
        return model(**inputs)
    return model(*inputs) if isinstance(inputs, tuple | list) else model(inputs)


def torchtest(parts: Parts) -> Said:
    """Its suite stops at the first test that fails, so that each is asked by itself."""
    from torchtest import test_suite

    failed = []
    for test in ("test_vars_change", "test_nan_vals", "test_inf_vals"):
        try:
            test_suite(parts["model"], parts["loss"], optimiser(parts), list(first_batch(parts)), **{test: True})
        except AssertionError:
            failed.append(test)
        except Exception as error:
            if type(error).__module__.partition(".")[0] != "torchtest":  # its failures are exceptions of its own
                raise
            failed.append(test)
    return failed, []


def torchtest2(parts: Parts) -> Said:
    from torchtest2 import check_model

    inputs, targets = first_batch(parts)
    report = check_model(parts["model"], inputs, targets, loss_fn=parts["loss"], optimizer=optimiser(parts))
    return [found.name for found in report.failures], [found.name for found in report.warnings]


def guardtower(parts: Parts) -> Said:
    from guardtower import audit

    model, (inputs, targets) = parts["model"], first_batch(parts)
    given = inputs if hasattr(inputs, "shape") else None
    report = audit(
        model, lambda: parts["loss"](called(model, inputs), targets), optimizer=optimiser(parts), inputs=given
    )
    return [found.check for found in report.errors], [found.check for found in report.warnings]


def torch_audit(parts: Parts) -> Said:
    """Its patch of the model and the optimiser, over twenty steps of the usual loop."""
    from torch_audit import autopatch

    model, optimizer = parts["model"], optimiser(parts)
    auditor = autopatch(model, optimizer=optimizer, every_n_steps=1, run_static=True, run_init=True, reporters=[])
    for inputs, targets in islice(parts["train"], 20):
        optimizer.zero_grad(set_to_none=True)
        parts["loss"](called(model, inputs), targets).backward()
        optimizer.step()
    found = auditor.finish(report=False).findings
    by_severity: dict[str, list[str]] = {}
    for one in found:
        by_severity.setdefault(one.severity.name, []).append(one.rule_id)
    failures = [*by_severity.get("FATAL", ()), *by_severity.get("ERROR", ())]
    return sorted(set(failures)), sorted(set(by_severity.get("WARN", ())))


def preflight_ml(parts: Parts) -> Said:
    from preflight.registry import Severity
    from preflight.runner import run_checks

    found = run_checks(parts["train"], parts["model"], parts["loss"], {"val_dataloader": parts.get("val")})
    failed = [one for one in found if not one.passed]
    return [one.name for one in failed if one.severity is Severity.FATAL], [
        one.name for one in failed if one.severity is Severity.WARN
    ]


TOOLS: dict[str, Callable[[Parts], Said]] = {
    "torchtest": torchtest,
    "torchtest2": torchtest2,
    "guardtower": guardtower,
    "torch-audit": torch_audit,
    "preflight-ml": preflight_ml,
}


def look(path: Path, function: str) -> dict[str, Any]:
    """What each package says of one program, each of parts that are made anew."""
    import torch

    found = {}
    for name, tool in TOOLS.items():
        parts = getattr(load(path), function)()
        torch.manual_seed(0)
        began = time.monotonic()
        try:
            with contextlib.redirect_stdout(io.StringIO()):
                failures, warnings = tool(parts)
            found[name] = {"failures": failures, "warnings": warnings}
        except Exception as error:  # whatever a package or a program raises
            found[name] = {
                "crashed": f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}"[:200]
            }
        found[name]["seconds"] = time.monotonic() - began
    return found


def asked(path: Path, function: str, seconds: float) -> dict[str, Any]:
    """`look` in a process of its own."""
    words = [sys.executable, str(HERE / "rivals.py"), "--look", str(path), function]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    try:
        done = subprocess.run(words, capture_output=True, text=True, timeout=seconds, cwd=HERE, env=environment)
        return json.loads(done.stdout.splitlines()[-1])
    except (subprocess.TimeoutExpired, IndexError, json.JSONDecodeError):
        return {name: {"crashed": "no answer", "seconds": seconds} for name in TOOLS}


def table(rows: Sequence[dict[str, Any]]) -> str:
    lines = [
        "| package | detected | false alarms | with warnings: detected | false alarms | crashed | seconds, median |"
    ]
    lines.append("| --- | --- | --- | --- | --- | --- | --- |")
    buggy, clean = ([row for row in rows if (row["group"] == "buggy") is wanted] for wanted in (True, False))
    for name in TOOLS:

        def cell(part: Sequence[dict[str, Any]], *keys: str, name: str = name) -> str:
            found = rate([any(row["said"][name].get(key) for key in keys) for row in part])
            low, high = found["interval"]
            return f"{found['hits']} of {found['of']}, {found['share']:.1%} ({low:.1%} to {high:.1%})"

        said = [row["said"][name] for row in rows]
        crashed = sum("crashed" in one for one in said)
        middle = statistics.median(one["seconds"] for one in said)
        both = [cell(part, *keys) for keys in (("failures",), ("failures", "warnings")) for part in (buggy, clean)]
        version = importlib.metadata.version(name)
        lines.append(f"| {name} {version} | {' | '.join(both)} | {crashed} of {len(rows)} | {middle:.1f} |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", default=(), metavar="NAME")
    parser.add_argument("--seconds", type=float, default=300.0)
    parser.add_argument("--look", nargs=2, metavar=("FILE", "FUNCTION"), help=argparse.SUPPRESS)
    parser.add_argument("-o", "--output", type=Path)
    given = parser.parse_args()
    if given.look:
        print(json.dumps(look(Path(given.look[0]), given.look[1])))
        return
    rows = []
    for path, function, group in programs(False, given.only):
        rows.append({"name": path.stem, "group": group, "said": asked(path, function, given.seconds)})
        flagged = [name for name, one in rows[-1]["said"].items() if one.get("failures")]
        print(f"{group:8} {path.stem:32} {' '.join(flagged)}", flush=True)
    print(table(rows))
    if given.output:
        given.output.write_text(json.dumps(rows, indent=1))


if __name__ == "__main__":
    main()
