"""The verbs: each takes its command line apart, imports what it needs, and gives the object that --json prints."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .finding import BadInput, verdict
from .words import Words

if TYPE_CHECKING:
    from .display import Display

__all__ = ["VERBS", "json_findings"]

SHOWN_PIECES = 3  # of an explanation; --json gives all
SHOWN = 30  # counts shown on one line of an audit; --json gives all


def _train(words: Words, display: Display) -> dict[str, Any]:
    from .recipe import parse_overrides
    from .training.train import train

    asked = parse_overrides(words.pairs)
    resume = asked.pop("resume", None)
    data = words.one("DATA") if resume is None or words.words else None
    run = train(data, asked, output=words.output, resume=Path(resume) if resume else None, display=display)
    for line in _next_commands(run):
        display.line(line)
    files = sorted(str(p) for p in run.path.iterdir() if not p.name.startswith("."))
    return {
        "run": str(run.path),
        "metrics": run.metrics,
        "findings": json_findings(run.findings()),
        "waived": run.waived,
        "verdict": run.verdict,
        "files": files,
    }


def _next_commands(run: Any) -> list[str]:
    task = run.task()
    kind = task.kinds[next(iter(task.given))]
    return [
        f"  open      {run.path}/report.html",
        f"  predict   snowball predict {run.path} {'FILE' if kind.reads_paths else 'TEXT'}",
        f"  explain   snowball explain {run.path}",
        f"  shrink    snowball shrink {run.path}",
        f"  export    snowball export {run.path} -o model.onnx",
        f"  serve     snowball serve {run.path}",
    ]


def _audit(words: Words, display: Display) -> dict[str, Any]:
    from .collect.audit import summary
    from .recipe import parse_overrides
    from .training.audit import audit_data

    prepared, found = audit_data(words.one("DATA"), parse_overrides(words.pairs), display)
    there = summary(prepared.task, prepared.encoded)
    splits = {name: len(rows) for name, rows in prepared.splits.items()}
    for what, counts in {
        "splits": splits,
        **{key: value for part in there.values() for key, value in part.items()},
    }.items():
        shown = ", ".join(f"{name}: {count:,}" for name, count in list(counts.items())[:SHOWN])
        display.line(f"{what}: {shown}{f' and {len(counts) - SHOWN:,} more' if len(counts) > SHOWN else ''}")
    display.findings("audit", found)
    result = {"summary": {**there, "splits": splits}, "findings": json_findings(found), "verdict": verdict(found)}
    if words.output is not None:
        from .storage import write_json

        write_json(words.output, result)
        result["files"] = [str(words.output)]
    return result


def _check(words: Words, display: Display) -> dict[str, Any]:
    from .checks.source import is_program
    from .recipe import parse_overrides
    from .training.train import check_data

    if is_program(words.one("DATA or FILE.py:setup")):
        return _check_program(words, display)
    found = check_data(words.one("DATA"), parse_overrides(words.pairs), display)
    display.findings("check", found)
    return {"findings": json_findings(found), "verdict": verdict(found)}


def _check_program(words: Words, display: Display) -> dict[str, Any]:
    from .checks import check_program
    from .checks.source import load_program

    if words.pairs:
        raise BadInput(f"a program has no key {words.pairs[0]!r}: {words.usage}")
    result = check_program(load_program(words.words[0]))
    display.findings("check", result.findings)
    for check, why in result.untested.items():
        display.line(f"not tested: {check}: {why}")
    display.line(f"verdict: {result.verdict}")
    return {"findings": json_findings(result.findings), "verdict": result.verdict, "untested": result.untested}


def _evaluate(words: Words, display: Display) -> dict[str, Any]:
    from .evaluate import evaluate_run
    from .evaluate.repeat import RepeatSection
    from .recipe import Recipe, parse_overrides

    run = words.run(most=2)
    data = words.words[1] if len(words.words) > 1 else None
    repeats = Recipe.build("", (RepeatSection,), parse_overrides(words.pairs))[RepeatSection]
    evaluation = evaluate_run(run, data, display, repeats)
    display.line(f"  open      {run.path}/report.html")
    metrics = {name: score.value for name, score in evaluation.metrics.items()}
    files = [str(run.path / name) for name in ("evaluation.json", "report.html", "card.md")]
    found = {"findings": json_findings(run.findings()), "waived": run.waived, "verdict": run.verdict}
    return {"run": str(run.path), "metrics": metrics, **found, "files": files}


def _predict(words: Words, display: Display) -> dict[str, Any]:
    from .evaluate.predict import predict_each
    from .recipe import parse_overrides

    run = words.run(most=math.inf)
    if len(words.words) < 2:
        raise BadInput(f"predict what? {words.usage}")
    options = parse_overrides(words.pairs)
    task = run.task(options)
    shown = sys.stderr if words.as_json else sys.stdout

    def stream(piece: str) -> None:
        print(piece, end="", file=shown, flush=True)

    pictures = words.output if words.output and words.output.suffix not in (".jsonl", ".json") else None
    answers: list[dict[str, Any]] = []
    try:
        for answer in predict_each(run, words.words[1:], options, stream, pictures):
            answers.append(answer)
            if task.streams:
                display.line()
            else:
                _show_answer(display, task, answer)
    except KeyboardInterrupt:  # the way to end a camera
        if not answers:
            raise
    for answer in answers if task.streams else ():
        _show_answer(display, task, answer)
    if pictures is not None:
        display.line(f"  pictures  {pictures}")
    elif words.output is not None:
        from .storage import write_bytes

        write_bytes(words.output, "".join(json.dumps(answer) + "\n" for answer in answers).encode())
    return {"run": str(run.path), "predictions": answers}


def _show_answer(display: Display, task: Any, answer: dict[str, Any]) -> None:
    display.line(f"{answer['input']}: {task.caption(answer)}")
    for note in answer.get("notes", ()):
        display.line(f"  note: {note}")


def _explain(words: Words, display: Display) -> dict[str, Any]:
    from .evaluate.explain import PAGE, ExplainSection, explain_run
    from .recipe import Recipe, parse_overrides

    run = words.run(most=math.inf)
    section = Recipe.build("", (ExplainSection,), parse_overrides(words.pairs))[ExplainSection]
    path = words.output or run.path / PAGE
    explained, findings = explain_run(run, words.words[1:], section.rows, path, display)
    for one in explained:
        heaviest = ", ".join(f"{piece['piece'].strip()} ({piece['weight']:.3g})" for piece in one.pieces[:SHOWN_PIECES])
        display.line(f"{one.input}: {one.answer}" + (f" (right: {one.right})" if one.right is not None else ""))
        display.line(f"  hangs on {heaviest}")
    display.findings("explanation", findings)
    display.line(f"  open      {path}")
    return {
        "run": str(run.path),
        "explanations": [one.to_json() for one in explained],
        "findings": json_findings(findings),
        "verdict": verdict(findings),
        "files": [str(path)],
    }


def _shrink(words: Words, display: Display) -> dict[str, Any]:
    from .deploy.shrink import ShrinkSection, shrink_run
    from .recipe import Recipe, parse_overrides

    run = words.run()
    section = Recipe.build("", (ShrinkSection,), parse_overrides(words.pairs))[ShrinkSection]
    made, about = shrink_run(run, section, words.output, display)
    findings = made.findings("shrink")
    files = sorted(str(path) for path in made.path.iterdir() if path.is_file())
    return {
        **about.to_json(),
        "findings": json_findings(findings),
        "verdict": verdict(findings),
        "files": files,
    }


def _export(words: Words, display: Display) -> dict[str, Any]:
    from .deploy.export import export_run

    run = words.run()
    path = words.output or run.path / "model.onnx"
    made = export_run(run, path, words.pair("data"), display)
    return {
        "run": str(run.path),
        "metrics": made.metrics_onnx,
        "findings": [],
        "verdict": "pass",
        "files": made.files,
        "export": made.to_json(),
    }


def _serve(words: Words, display: Display) -> dict[str, Any]:
    from .deploy.serve import ServeSection, serve_run
    from .recipe import Recipe, parse_overrides

    run = words.run()
    serve_run(run, Recipe.build("", (ServeSection,), parse_overrides(words.pairs))[ServeSection], display)
    return {"run": str(run.path)}


def _import(words: Words, display: Display) -> dict[str, Any]:
    from .importing import import_run
    from .recipe import parse_overrides

    run, about = import_run(words.words, parse_overrides(words.pairs), words.output, display)
    files = sorted(str(path) for path in run.path.iterdir() if not path.name.startswith("."))
    return {
        "run": str(run.path),
        **about,
        "findings": json_findings(run.findings()),
        "verdict": run.verdict,
        "files": files,
    }


def _drive(words: Words, display: Display) -> dict[str, Any]:
    from .drive.closed_loop import DriveSection, drive_expert, drive_run
    from .recipe import Recipe, parse_overrides

    section = Recipe.build("", (DriveSection,), parse_overrides(words.pairs))[DriveSection]
    if words.one("RUN") == "expert":
        return drive_expert(section, words.output, display)
    return drive_run(words.run(), section, words.output, display)


def _data(words: Words, display: Display) -> dict[str, Any]:
    from .collect.read import list_sources

    if words.words[:1] == ["highway"]:
        return _highway(words, display)
    if words.words:
        return _convert(words, display)

    sources = list_sources()
    for name, about, origin in sources:
        display.line(f"{name:15} {about}; {origin}")
    return {"data": {name: {"about": about, "origin": origin} for name, about, origin in sources}}


def _highway(words: Words, display: Display) -> dict[str, Any]:
    from .drive.traffic import TrafficSection, record_traffic
    from .recipe import Recipe, parse_overrides

    words.one("SOURCE")
    if words.output is None:
        raise BadInput(f"where to? {words.usage}")
    section = Recipe.build("", (TrafficSection,), parse_overrides(words.pairs))[TrafficSection]
    return record_traffic(section, words.output, display)


def _convert(words: Words, display: Display) -> dict[str, Any]:
    from .collect.convert import convert_boxes
    from .collect.read import read_table
    from .recipe import DataSection, parse_overrides

    if words.words[0] != "convert" or len(words.words) != 2:
        raise BadInput(f"snowball data {' '.join(words.words)}: not known: {words.usage}")
    if words.output is None:
        raise BadInput(f"where to? {words.usage}")
    form = str(parse_overrides(words.pairs).get("form", ""))
    notes: list[Any] = []
    table = read_table(DataSection(name=words.words[1]), notes.append)
    found = [*notes, *convert_boxes(table, form, words.output, display)]
    display.findings("convert", found)
    left_out = sum(finding.evidence["count"] for finding in found if finding.check == "unreadable-rows")
    display.line(f"{words.output}: {len(table) - left_out:,} pictures as {form}")
    return {"findings": json_findings(found), "verdict": verdict(found), "files": [str(words.output)]}


def _models(words: Words, display: Display) -> dict[str, Any]:
    from .registry import tasks

    about = {name: task.networks() for name, task in tasks().items()}
    for task, networks in about.items():
        display.line(task)
        for name, line in networks.items():
            display.line(f"  {name:12} {line}")
    return {"models": about}


def json_findings(findings: Sequence[Any]) -> list[dict[str, Any]]:
    """Findings as --json prints them."""
    return [finding.to_json() for finding in findings]


VERBS: dict[str, tuple[Callable[[Words, Display], dict[str, Any]], str, str]] = {
    "train": (
        _train,
        "snowball train DATA [key=value ...] [-o RUN] | snowball train resume=RUN",
        "data to a run folder",
    ),
    "audit": (
        _audit,
        "snowball audit DATA [audit.labels=true] [key=value ...] [-o FINDINGS.json]",
        "what is wrong with the data",
    ),
    "check": (
        _check,
        "snowball check DATA [key=value ...] | snowball check FILE.py:setup",
        "what would go wrong, without training",
    ),
    "evaluate": (_evaluate, "snowball evaluate RUN [DATA] [seeds=3] [shuffled=1]", "metrics and a report"),
    "predict": (
        _predict,
        "snowball predict RUN INPUT... [key=value ...] [-o ANSWERS.jsonl | -o PICTURES/]",
        "answers for files, folders or texts",
    ),
    "explain": (
        _explain,
        "snowball explain RUN [INPUT...] [rows=12] [-o PAGE.html]",
        "what answers hang on, and a page",
    ),
    "shrink": (_shrink, "snowball shrink RUN [quantize=int8|float16] [data=DATA] [-o RUN]", "a smaller run, compared"),
    "export": (_export, "snowball export RUN [-o model.onnx] [data=DATA]", "an ONNX file, proven equal"),
    "serve": (_serve, "snowball serve RUN [port=8000] [host=127.0.0.1]", "answers over HTTP, and a page"),
    "import": (
        _import,
        "snowball import FILE... [labels=NAMES.txt] [mean=104,117,123] [check=opencv] [key=value ...] [-o RUN]",
        "a network of Caffe, Keras, ONNX or timm as a run",
    ),
    "drive": (
        _drive,
        "snowball drive RUN [episodes=10] [seed=0] [-o FILM.mp4] | snowball drive expert [-o FOLDER]",
        "a network steers a simulated car",
    ),
    "data": (
        _data,
        "snowball data | snowball data convert DATA -o FOLDER form=coco|voc|yolo | snowball data highway -o FOLDER",
        "the data sets there are, boxes in another form, or recorded traffic",
    ),
    "models": (_models, "snowball models", "the networks there are"),
}
