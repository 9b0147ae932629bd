"""What does `snowball check` find in programs with one seeded bug each, and what does it say of healthy ones?

    python benchmarks/trust/run.py [--held] [--only NAME ...] [--names] [--seconds 300] [--jobs 1] [-o FILE]

Every program is checked as a user checks it, `python -m snowball check FILE.py:setup --json` in its own process, and
its fixed twin by `:fixed`; healthy programs near the thresholds have `:fixed` alone.

- detected: the verdict on the buggy program is `fail`. Only programs whose bug does harm by harm.json are counted.
- localised: the first finding that is an error is the bug's check, or one that points at the same place.
- false alarms: the verdict on a fixed twin or a healthy program is `fail`.
- abstained: the verdict is `abstain`. A check that gave no verdict at all is a crash; it detects nothing.

`--held` takes the programs that were set aside. It counts them and names none, nor their checks, unless `--names` is
given: whoever writes the checks must not learn what is in there.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from harm import FOLDERS, PROGRAMS, load

from snowball.evaluate import wilson_interval

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
FAMILIES = {
    "data": "label-noise label-misaligned input-scale train-val-mismatch split-overlap target-leak class-imbalance "
    "unshuffled augment-target worker-seeds constant-input",
    "model": "loss-input no-nonlinearity dead-units constant-init init-scale batch-mixing time-leak padding-leak "
    "unregistered-parameters frozen-parameters gradient-cut shape-broadcast eval-mode wrong-loss input-ignored "
    "output-bias",
    "optimisation": "stale-gradients optimizer-missing-parameters lr-too-high lr-too-low schedule loss-clipped "
    "loss-sign accumulation-scale weight-decay-too-high non-finite",
    "evaluation": "metric-on-train metric-wrong metric-averaging dropped-rows",
}
FAMILY = {check: family for family, checks in FAMILIES.items() for check in checks.split()}


@dataclass(frozen=True)
class Outcome:
    """One check of one program."""

    name: str
    group: str
    """`buggy`, `fixed` or `healthy`."""
    bug: str
    """The seeded bug; of a healthy program the first check that it is close to."""
    right: tuple[str, ...]
    """The checks that point at the bug."""
    counts: bool
    """A buggy program whose bug does harm."""
    verdict: str
    """`fail`, `pass`, `abstain`; `crash` where there was none."""
    errors: tuple[str, ...]
    """The checks of its findings of severity error, worst first."""
    seconds: float
    says: str = ""
    """The last words of a check that crashed."""

    @property
    def localised(self) -> bool:
        return self.verdict == "fail" and self.errors[:1] != () and self.errors[0] in self.right


def verdict(program: Path, function: str, seconds: float) -> tuple[str, tuple[str, ...], str]:
    """The verdict of one command, its errors, and why there is none."""
    command = [sys.executable, "-m", "snowball", "check", f"{program}:{function}", "--json"]
    path = os.pathsep.join([str(ROOT), str(HERE), *filter(None, [os.environ.get("PYTHONPATH")])])
    env = {"OMP_NUM_THREADS": "1"} | os.environ | {"PYTHONPATH": path}
    try:
        done = subprocess.run(command, capture_output=True, text=True, env=env, cwd=ROOT, timeout=seconds)
    except subprocess.TimeoutExpired:
        return "crash", (), f"no answer in {seconds:.0f} s"
    try:
        said = json.loads(done.stdout.splitlines()[-1])
        errors = tuple(row["check"] for row in said["findings"] if row["severity"] == "error")
        return str(said["verdict"]), errors, ""
    except (IndexError, KeyError, TypeError, ValueError):
        words = (done.stderr or done.stdout).strip().splitlines()[-1:]
        return "crash", (), words[0] if words else f"exit code {done.returncode}, no words"


def programs(held: bool, only: Sequence[str]) -> Iterator[tuple[Path, str, str]]:
    """(file, function, group) of all that is to be checked."""
    for folder in ("held", "healthy_held") if held else (".", "healthy"):
        for path in sorted((PROGRAMS / folder).glob("*.py")):
            if not only or path.stem in only:
                if not folder.startswith("healthy"):
                    yield path, "setup", "buggy"
                    yield path, "fixed", "fixed"
                else:
                    yield path, "fixed", "healthy"


def outcome(path: Path, function: str, group: str, harmful: dict[str, Any], seconds: float) -> Outcome:
    module = load(path)
    begun = time.perf_counter()
    said, errors, words = verdict(path, function, seconds)
    taken = round(time.perf_counter() - begun, 1)
    bug = module.BUG or module.NEAR[0]
    right = (module.BUG, *module.ALSO) if group == "buggy" else ()
    counts = group == "buggy" and bool(harmful.get(path.stem, {}).get("counts"))
    return Outcome(path.stem, group, bug, right, counts, said, errors, taken, words)


def rate(hits: Sequence[bool]) -> dict[str, Any]:
    """
    >>> rate([True, True, True, False])
    {'hits': 3, 'of': 4, 'share': 0.75, 'interval': [0.301, 0.954]}
    """
    if not hits:
        return {"hits": 0, "of": 0, "share": None, "interval": None}
    share = sum(hits) / len(hits)
    interval = [round(bound, 3) for bound in wilson_interval(share, len(hits))]
    return {"hits": sum(hits), "of": len(hits), "share": round(share, 4), "interval": interval}


def rates(outcomes: Sequence[Outcome]) -> dict[str, dict[str, Any]]:
    buggy = [one for one in outcomes if one.group == "buggy" and one.counts]
    clean = [one for one in outcomes if one.group != "buggy"]
    return {
        "detected": rate([one.verdict == "fail" for one in buggy]),
        "localised": rate([one.localised for one in buggy]),
        "false alarms": rate([one.verdict == "fail" for one in clean]),
        "false alarms, fixed twins": rate([one.verdict == "fail" for one in clean if one.group == "fixed"]),
        "false alarms, healthy": rate([one.verdict == "fail" for one in clean if one.group == "healthy"]),
        "abstained, buggy": rate([one.verdict == "abstain" for one in buggy]),
        "abstained, clean": rate([one.verdict == "abstain" for one in clean]),
        "crashed": rate([one.verdict == "crash" for one in buggy + clean]),
    }


def summary(outcomes: Sequence[Outcome], named: bool) -> dict[str, Any]:
    """All figures; per check, and one program after the other, only where they may be named."""
    by_family, by_check = defaultdict(list), defaultdict(list)
    for one in outcomes:
        by_family[FAMILY[one.bug]].append(one)
        by_check[one.bug].append(one)
    seconds = [one.seconds for one in outcomes]
    found: dict[str, Any] = {
        "rates": rates(outcomes),
        "families": {family: rates(by_family[family]) for family in FAMILIES if by_family[family]},
        "harmless": sum(one.group == "buggy" and not one.counts for one in outcomes),
        "seconds": {"median": statistics.median(seconds), "most": max(seconds), "all": round(sum(seconds), 1)},
    }
    if named:
        found["checks"] = {check: rates(by_check[check]) for check in FAMILY if by_check[check]}
        found["programs"] = [asdict(one) for one in outcomes]
    return found


def shown(found: dict[str, Any]) -> str:
    """The summary as a table."""

    def cell(rate: dict[str, Any]) -> str:
        return f"{rate['hits']}/{rate['of']}" if rate["of"] else "-"

    lines = []
    for name, figures in found["rates"].items():
        text = f"{name:27} {cell(figures):>8}"
        if figures["of"]:
            low, high = figures["interval"]
            text += f" {figures['share']:7.1%}   95 % interval {low:.1%} to {high:.1%}"
        lines.append(text)
    times = found["seconds"]
    lines.append(
        f"time                        median {times['median']} s, most {times['most']} s, all {times['all']} s"
    )
    if found["harmless"]:
        lines.append(f"{found['harmless']} buggy programs are left out: harm.json has no harm of them")
    columns = ("detected", "localised", "false alarms", "abstained, buggy", "abstained, clean")
    for title in ("families", "checks"):
        if title in found:
            lines += ["", f"{title:30}" + "".join(f"{column:>18}" for column in columns)]
            for name, figures in found[title].items():
                lines.append(f"{name:30}" + "".join(f"{cell(figures[column]):>18}" for column in columns))
    return "\n".join(lines)


def line(one: Outcome) -> str:
    text = f"{one.group:8} {one.name:32} {one.bug:28} {one.verdict:8} {one.seconds:6.1f} s  {' '.join(one.errors[:3])}"
    if one.group == "buggy":
        text += "  LOCALISED" if one.localised else "  MISSED" if one.verdict != "fail" else "  ELSEWHERE"
        text += "" if one.counts else " (does not count)"
    elif one.verdict == "fail":
        text += "  FALSE ALARM"
    return f"{text}  {one.says}".rstrip()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--held", action="store_true", help="the programs that were set aside")
    parser.add_argument("--only", nargs="+", default=[], metavar="NAME", help="programs by name")
    parser.add_argument("--names", action="store_true", help="name held programs as well")
    parser.add_argument("--seconds", type=float, default=300, help="the most that one check may take")
    parser.add_argument("--jobs", type=int, default=1, help="checks that run at once, each on one core")
    parser.add_argument("-o", "--output", type=Path, metavar="FILE", help="benchmarks/results/trust[-held].json")
    asked = parser.parse_args()
    named = asked.names or not asked.held
    output = asked.output or ROOT / "benchmarks" / "results" / f"trust{'-held' if asked.held else ''}.json"
    file = FOLDERS["held" if asked.held else "."] / "harm.json"
    harmful = json.loads(file.read_text()) if file.exists() else {}
    outcomes: list[Outcome] = []
    with ThreadPoolExecutor(asked.jobs) as pool:
        for one in pool.map(lambda job: outcome(*job, harmful, asked.seconds), list(programs(asked.held, asked.only))):
            outcomes.append(one)
            print(line(one) if named else f"{len(outcomes)} checked", flush=True)
    if not outcomes:
        parser.error("no program is named so" if asked.only else "there are no programs")
    found = summary(outcomes, named)
    output.parent.mkdir(parents=True, exist_ok=True)
    output.write_text(json.dumps(found, indent=1) + "\n")
    print(f"\n{shown(found)}\n\n{output}")


if __name__ == "__main__":
    main()
