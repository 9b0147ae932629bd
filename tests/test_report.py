"""The report: everything that was measured stands in it, nothing in it acts, and nothing is fetched."""

from __future__ import annotations

import base64
import io
import json
import math
import re
import shlex
from collections.abc import Sequence
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from markdown_it import MarkdownIt
from PIL import Image

from snowball.evaluate import Evaluation, Mistake, Score
from snowball.evaluate.page import pictured
from snowball.evaluate.report import write_report
from snowball.finding import Finding
from snowball.kind import Block
from snowball.recipe import Recipe, parse_overrides
from snowball.registry import tasks
from snowball.run import Run
from snowball.schema import ColumnSchema, Schema

HOSTILE = [
    "<script>alert(1)</script>",
    '"|`*',
    "' onerror=alert(2) '",
    "](javascript:alert(3))",
    "{{ 7*7 }} {% raw %}",
    "$\\frac$ _nolegend_",
    "\u202egnp.tac\u202c",
    "名前\udcff",
    "```\n# heading\n| a | b |",
]
SOURCE = "it's <b>here</b>\n```\n# heading"
SPLITS = {name: {"rows": rows, "sha256": name[0] * 64} for name, rows in [("train", 1298), ("val", 229), ("test", 270)]}
VOID = {"meta", "img", "link", "br", "hr", "input", "base"}


class Page(HTMLParser):
    """What a browser would see: tags with their attributes, and the text outside of styles."""

    def __init__(self, path: Path) -> None:
        super().__init__(convert_charrefs=True)
        self.source = path.read_text(encoding="utf-8")
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self.open: list[str] = []
        self.feed(self.source)
        self.close()
        assert not self.open, f"never closed: {self.open}"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert len(dict(attrs)) == len(attrs), f"an attribute twice: {tag} {attrs}"
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open and self.open[-1] == tag, f"</{tag}> closes {self.open[-3:]}"
        self.open.pop()

    def handle_data(self, data: str) -> None:
        if "style" not in self.open:
            self.words.append(data)

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attrs for name, attrs in self.tags if name == tag]

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())


def make_run(folder: Path, *, log: bool = True, epochs: int = 4, **waive: str) -> Run:
    kind = tasks()["image-classification"]
    asked = {"data.name": SOURCE, "train.channels_last": "no", "image.size": [8, 8]}
    waivers = {f"waive.{check}": why for check, why in waive.items()}
    recipe = Recipe.build(kind.name, kind.section_types(), asked, waivers)
    image = {"height": 8, "width": 8, "channels": 1, "mean": [77.9], "std": [95.9]}
    columns = {
        "image": ColumnSchema("<i>scan</i>", "image", image),
        "label": ColumnSchema("digit", "label", {"labels": ["no", "yes"], "counts": [800, 498]}),
    }
    environment = {"python": "3.11.7", "torch": "2.15.0", "processor": "<img src=x onerror=alert(4)>"}
    run = Run.create(folder / "run-001", recipe, Schema(kind.name, columns, SPLITS, "digits"), environment)
    if log:
        rows = [row for epoch in range(epochs) for row in log_rows(epoch)]
        (run.path / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return run


def log_rows(epoch: int) -> list[dict[str, Any]]:
    loss, accuracy = 2.3 * math.exp(-2 * epoch), 1 - 0.9 * math.exp(-epoch)
    step = {"event": "step", "epoch": epoch, "loss": loss * 1.1, "accuracy": accuracy, "lr": 1e-3}
    speed = {"seconds": 1.0, "val_seconds": 0.25, "ms_per_step": 10.0, "samples_per_second": 1298.0}
    value = math.nan if epoch == 1 else accuracy - 0.01
    ended = {**step, "event": "epoch", "step": 20 * (epoch + 1), "loss": loss, "lr": 1e-3 / (epoch + 1)}
    held_out = {"val_loss": loss * 1.05, "val_accuracy": value}
    return [{**step, "step": 20 * epoch + 10}, {**ended, **held_out, **speed, "best": epoch != 1}]


def make_evaluation(**changes: Any) -> Evaluation:
    size = len(HOSTILE)
    confusion = [[30 if i == j else int(j == i + 1) for j in range(size)] for i in range(size)]
    per_class = {"columns": ["class", "f1", "rows"], "rows": [[label, None, 31] for label in HOSTILE]}
    finding = Finding("no-better", "warning", f"hm {HOSTILE[0]}", {"value": 0.5, "rows": HOSTILE[1:2]}, "<b>longer</b>")
    blocks = [
        Block("Per <u>class</u>", "table", per_class),
        Block("Confusion", "matrix", {"labels": HOSTILE, "values": confusion}, "rows: true class; columns: predicted"),
        Block(
            "Calibration",
            "lines",
            {
                "x": [0.2, 0.5, 0.9],
                "series": {"accuracy": [0.1, None, 0.95], "_nolegend_ $x": [0.2, math.nan, 0.9]},
                "diagonal": True,
                "x_label": "<em>confidence</em>",
                "y_label": "$\\accuracy",
                "counts": [4, 7, 1259],
            },
            "a calibrated network's points lie on the diagonal",
        ),
    ]
    values: dict[str, Any] = {
        "data": "digits<br>",
        "split": "test",
        "rows": 12345,
        "metrics": {
            "accuracy": Score(0.97777, 0.9571, 0.98861),
            "ece": Score(2e-5, 1e-5, 3e-5),
            "loss": Score(0.1234567, math.nan, math.nan),
        },
        "baseline": {"accuracy": 0.10281, "ece": 0.0017},
        "mistakes": [Mistake(f"file-{i}-{x}", x, f"{x} (99.1%)", i) for i, x in enumerate(HOSTILE)],
        "blocks": blocks,
        "findings": [finding],
    }
    return Evaluation(**{**values, **changes})


def pictures(evaluation: Evaluation) -> list[Image.Image]:
    modes = ["L", "RGB", "RGBA", "P", "CMYK", "1", "I;16", "F", "LA"]
    drawn = [Image.new(modes[i % len(modes)], (8 + 100 * i, 8)) for i in range(len(evaluation.mistakes))]
    for picture in drawn:
        picture.info["icc_profile"] = b"says where it was taken"
    return drawn


def report(run: Run, evaluation: Evaluation) -> tuple[Page, str]:
    write_report(run, evaluation, pictures(evaluation))
    return Page(run.path / "report.html"), (run.path / "card.md").read_text(encoding="utf-8")


def shell_words(command: str) -> list[str]:
    return shlex.split(command.replace("\\\n", " "))


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> tuple[Run, Page, str]:
    folder = tmp_path_factory.mktemp("a folder")
    run = make_run(folder, **{"split-overlap": "copies are <wanted>", "never-found": "asked | for"})
    duplicates = Finding("duplicates", "note", "7 inputs occur twice")
    run.record("audit", [duplicates, Finding("split-overlap", "error", "2 rows")])
    run.record("evaluation", [Finding("stale", "error", "of an earlier evaluation")])
    return run, *report(run, make_evaluation())


def test_nothing_acts_and_nothing_is_fetched(hostile: tuple[Run, Page, str]) -> None:
    _, page, _ = hostile
    used = {tag for tag, _ in page.tags}
    assert not used & {"script", "iframe", "object", "embed", "link", "base", "form"}
    assert not used & {"b", "u", "em", "br"}, "markup from a label, a finding or a block"
    for tag, attrs in page.tags:
        assert re.fullmatch("[a-z -]*", attrs.get("class") or ""), (tag, attrs)
        assert not [name for name in attrs if name.startswith("on")], (tag, attrs)
        for name in ("src", "href", "xlink:href", "action", "data", "srcset", "poster"):
            value = attrs.get(name) or "#"
            assert value.startswith(("#", "data:image/png;base64,")), (tag, name, value)
    assert not re.search(r"https?:|url\((?!#)|@import", page.source)
    (policy,) = [meta["content"] for meta in page.all("meta") if meta.get("http-equiv") == "Content-Security-Policy"]
    allowed = "default-src 'none'; img-src data:; media-src data:; style-src 'unsafe-inline'"
    assert policy is not None and policy.startswith(allowed)


def test_every_number_finding_and_block_is_there(hostile: tuple[Run, Page, str]) -> None:
    run, page, _ = hostile
    for expected in (
        *("run-001", "image-classification", "pass", "0 errors, 1 warning, 1 note; 1 waived", "12,345 rows"),
        *("0.9778", "0.9571 to 0.9886", "0.1028", "2e-05", "0.1235", "4 epochs, 5.0 s; weights of epoch 4"),
        *("split-overlap", "Waived: copies are <wanted>", "never-found (asked | for)", "Fix: <b>longer</b>"),
        *("Per <u>class</u>", "Confusion", "Calibration", "<em>confidence</em>", "$\\accuracy", "1,259"),
        *("t" * 64, "v" * 64, "<i>scan</i>", "torch 2.15.0", "gives the same bits", "weight_decay", "snowball serve"),
        shlex.quote(str(run.path)),
    ):
        assert expected in page.text, expected
    assert "stale" not in page.text, "findings of an earlier evaluation"
    assert page.text.index("split-overlap") < page.text.index("no-better") < page.text.index("duplicates")
    for label in HOSTILE:
        shown = " ".join(label.replace("\udcff", "\\udcff").split())
        assert page.text.count(shown) >= 5, f"{shown!r} in the table, the matrix twice, and a mistake twice"


def test_the_page_is_accessible(hostile: tuple[Run, Page, str]) -> None:
    _, page, _ = hostile
    assert page.all("html")[0]["lang"] == "en" and len(page.all("h1")) == 1
    assert any(meta.get("name") == "viewport" for meta in page.all("meta"))
    assert all(th["scope"] in ("col", "row") for th in page.all("th"))
    assert all(image["alt"] for image in page.all("img"))
    drawn = [svg for svg in page.all("svg") if not svg.get("aria-hidden")]
    assert len(drawn) == 4 and all(svg["role"] == "img" and svg["aria-label"] for svg in drawn)
    assert "nan" not in page.source.lower().replace("unance", "") and "None" not in page.text
    ids = [attrs["id"] for _, attrs in page.tags if "id" in attrs]
    assert len(ids) == len(set(ids)), "an id twice: a clip path or a link goes astray"
    targets = {(attrs.get("href") or attrs.get("xlink:href") or "").removeprefix("#") for _, attrs in page.tags} - {""}
    targets |= set(re.findall(r"url\(#([^)]+)\)", page.source))
    assert targets <= set(ids)


def test_pictures_are_small_png_data(hostile: tuple[Run, Page, str]) -> None:
    _, page, _ = hostile
    images = page.all("img")
    assert len(images) == len(HOSTILE)
    for number, image in enumerate(images):
        data = base64.b64decode((image["src"] or "").partition(",")[2])
        with Image.open(io.BytesIO(data), formats=["PNG"]) as picture:
            assert picture.width == min(960, 8 + 100 * number), "8 pixels high: a strip, which may be wider"
        assert b"iCCP" not in data, "a picture's own metadata"
    assert [image.get("class") for image in images[:2]] == ["square", None], "8 pixels are shown as squares"


def test_pictures_are_shrunk_and_strips_less_so() -> None:
    for size, shown, look in (
        ((1000, 500), (320, 160), ""),
        ((1000, 100), (960, 96), "strip"),
        ((9, 9), (9, 9), "square"),
    ):
        source, found = pictured(Image.new("RGB", size))
        with Image.open(io.BytesIO(base64.b64decode(source.partition(",")[2]))) as picture:
            assert (picture.size, found) == (shown, look)


def test_the_card_is_markdown_that_nothing_breaks_out_of(hostile: tuple[Run, Page, str]) -> None:
    _, _, card = hostile
    tokens = MarkdownIt("commonmark", {"html": True}).enable("table").parse(card)
    inline = [child for token in tokens for child in token.children or []]
    assert not {token.type for token in [*tokens, *inline]} & {"html_block", "html_inline", "link_open", "image"}
    heads = [tokens[i + 1].content for i, token in enumerate(tokens) if token.type == "heading_open"]
    sections = ["Model", "Intended use", "Data", "Metrics", "Findings", "Limits", "Reproduce", "Licence"]
    assert heads == ["Model card: run-001", *sections]
    assert sum(token.type == "table_open" for token in tokens) == 2
    text = " ".join(child.content for child in inline if child.type in ("text", "code_inline"))
    for expected in ("0.9778", "0.9571 to 0.9886", "12,345", "digits<br>", f"hm {HOSTILE[0]}", "copies are <wanted>"):
        assert expected in text, expected


def test_the_command_asks_for_the_same_recipe(hostile: tuple[Run, Page, str]) -> None:
    run, page, card = hostile
    (fence,) = [token.content for token in MarkdownIt().parse(card) if token.type == "fence"]
    assert " ".join(fence.split()) in page.text
    verb, train, source, task, *words = shell_words(fence)
    assert (verb, train, source, task) == ("snowball", "train", SOURCE, "task=image-classification")
    assert not [word for word in words if word.startswith("data.name")]
    types = run.task_type.section_types()
    assert Recipe.build(run.recipe.task, types, {"data.name": source}, parse_overrides(words)) == run.recipe


@pytest.mark.parametrize("text", ["no", "1e-3", "a: b", "", "it's", "[x", "7", "null", "\U0001f600", "a=b"])
def test_any_text_of_a_recipe_survives_the_command(tmp_path: Path, text: str) -> None:
    run = make_run(tmp_path, log=False, **{"some-check": text})
    _, card = report(run, make_evaluation(mistakes=[], blocks=[]))
    (fence,) = [token.content for token in MarkdownIt().parse(card) if token.type == "fence"]
    assert parse_overrides(shell_words(fence)[4:])["waive.some-check"] == text


@pytest.mark.parametrize("epochs", [1, 2, 40])
def test_curves_of_short_and_long_trainings(tmp_path: Path, epochs: int) -> None:
    page, _ = report(make_run(tmp_path, epochs=epochs), make_evaluation(mistakes=[], blocks=[]))
    labels = [svg["aria-label"] or "" for svg in page.all("svg") if svg.get("role") == "img"]
    assert [label.split(":")[0] for label in labels] == ["loss by epoch", "accuracy by epoch", "learning rate by epoch"]
    assert ("the mean since the epoch began" in page.text) == (epochs < 3)
    assert ("logarithmic axis" in page.text) == (epochs == 40)


def test_a_run_without_log_mistakes_blocks_and_findings(tmp_path: Path) -> None:
    evaluation = make_evaluation(mistakes=[], blocks=[], findings=[], baseline={})
    page, card = report(make_run(tmp_path, log=False), evaluation)
    for expected in ("holds no epoch", "None among 12,345 rows", "Nothing found", "0 errors, 0 warnings, 0 notes"):
        assert expected in page.text, expected
    assert not page.all("img") and "Nothing found." in card


def test_an_error_that_is_not_waived_fails(tmp_path: Path) -> None:
    finding = Finding("metric-wrong", "error", "two ways, two numbers")
    page, card = report(make_run(tmp_path), make_evaluation(findings=[finding]))
    assert "run-001 fail" in page.text and "Verdict: fail (errors 1, " in card


def test_a_large_matrix_is_listed_by_its_largest_entries(tmp_path: Path) -> None:
    values = [[9 if i == j else 0 for j in range(31)] for i in range(31)]
    values[4][6], values[30][0] = 3, 5
    block = Block("Mix-ups", "matrix", {"labels": [f"c{i}" for i in range(31)], "values": values})
    page, _ = report(make_run(tmp_path), make_evaluation(blocks=[block], mistakes=[]))
    assert "c30 c0 5 0.3571 c4 c6 3 0.2500" in page.text
    assert "the 2 largest entries off the diagonal, of 31 labels" in page.text


def test_a_long_table_is_cut_and_says_so(tmp_path: Path) -> None:
    block = Block("Words", "table", {"columns": ["word", "rows"], "rows": [[f"w{i}", i] for i in range(1500)]})
    page, _ = report(make_run(tmp_path), make_evaluation(blocks=[block], mistakes=[]))
    assert "The first 1,000 of 1,500 rows" in page.text and "w999" in page.text and "w1000" not in page.text


@pytest.mark.parametrize("ys", [[None, math.nan, math.inf], []])
def test_lines_without_a_number_are_named_not_drawn(tmp_path: Path, ys: Sequence[float | None]) -> None:
    block = Block("Empty", "lines", {"x": list(range(len(ys))), "series": {"y": ys}})
    page, _ = report(make_run(tmp_path, log=False), make_evaluation(blocks=[block], mistakes=[]))
    assert "Empty" in page.text and "No number to draw." in page.text


def test_the_same_run_gives_the_same_bytes(tmp_path: Path) -> None:
    run = make_run(tmp_path)
    first = [(report(run, make_evaluation()), (run.path / name).read_bytes())[1] for name in ("report.html", "card.md")]
    report(run, make_evaluation())
    assert first == [(run.path / name).read_bytes() for name in ("report.html", "card.md")]


def test_a_picture_for_every_mistake(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="shorter"):
        write_report(make_run(tmp_path), make_evaluation(), [])
