"""Explanations: what is planted in the data is what an answer hangs on, and what explains nothing is called so."""

from __future__ import annotations

import json
import random

import numpy as np
import pytest
import torch
from PIL import Image

import snowball
from snowball.cli import main
from snowball.evaluate.explain import explain_row
from snowball.kinds._pieces import cut, tinted
from snowball.kinds.text import TextKind
from snowball.run import Run


@pytest.fixture(scope="module")
def corners(tmp_path_factory):
    """A run on noise whose upper left corner is white in one class and black in the other, and its pictures."""
    folder = tmp_path_factory.mktemp("corners")
    chance = np.random.Generator(np.random.Philox(0))
    for number in range(240):
        pixels = chance.integers(60, 196, (16, 16), dtype=np.uint8)
        pixels[:4, :4] = 255 * (number % 2)
        (folder / "data" / "bw"[number % 2]).mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(folder / "data" / "bw"[number % 2] / f"{number:03}.png")
    asked = {"model": "mlp", "train.epochs": 15, "augment.shift": 0.0, "train.preflight": False}
    return snowball.train(str(folder / "data"), asked | {"waive.target-leak": "planted"}, output=folder / "run"), folder


def test_the_planted_corner_weighs_most(corners) -> None:
    run, folder = corners
    (found,) = run.explain(str(folder / "data" / "w" / "001.png"))
    weights = found.weights["image"]
    assert weights.shape == (8, 8)
    heaviest = np.unravel_index(np.argsort(-weights, axis=None)[:3], weights.shape)
    assert (np.array(heaviest) < 2).all(), "the three heaviest squares are of the corner's four"
    assert found.pieces[0]["piece"] in {f"row {i}, column {j}" for i in (1, 2) for j in (1, 2)}
    assert found.heaviest > 3 * found.others > 0
    assert found.without["image"] > found.pieces[0]["weight"]


def test_a_person_asks_on_the_command_line(corners, capsys) -> None:
    run, folder = corners
    path = folder / "page.html"
    assert main(["explain", str(run.path), "rows=4", "-o", str(path), "--json"]) == 0
    result = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert result["verdict"] == "pass" and result["files"] == [str(path)]
    assert len(result["explanations"]) == 4
    one = result["explanations"][0]
    assert {"input", "answer", "right", "pieces", "without", "heaviest", "others"} == set(one)
    assert len(one["pieces"]) == 64 and one["right"] in ("b", "w")
    assert path.read_text(encoding="utf-8").count("data:image/png;base64,") == 4
    assert Run(run.path).finished, "the manifest still fits the folder"


def test_a_network_that_looks_at_nothing_is_called_so(corners) -> None:
    run, folder = corners
    task, model = run.task(), run.model()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.zero_()
    given = task.read_given({"image": str(folder / "data" / "w" / "001.png")})
    from snowball.evaluate.explain import _doubts

    (finding,) = _doubts([explain_row(task, model, given, "", None)])
    assert (finding.check, finding.severity) == ("input-ignored", "error")


def test_weights_that_point_elsewhere_are_called_unfaithful(corners) -> None:
    from dataclasses import replace

    from snowball.evaluate.explain import _doubts

    run, folder = corners
    (found,) = run.explain(str(folder / "data" / "b" / "000.png"))
    assert _doubts([found]) == []
    (finding,) = _doubts([replace(found, heaviest=found.others, others=found.heaviest)])
    assert finding.check == "unfaithful-explanation"


def test_the_words_that_tell_weigh_most(tmp_path) -> None:
    filler = ["the", "a", "one", "this", "that", "house", "tree", "road", "sky", "sea"]
    draw = random.Random(0)
    rows = []
    for number in range(400):
        words = draw.choices(filler, k=9)
        words.insert(draw.randrange(9), ("splendid", "dreadful")[number % 2])
        rows.append(f"{' '.join(words)},{('good', 'bad')[number % 2]}")
    (tmp_path / "data.csv").write_text("text,label\n" + "\n".join(rows) + "\n")
    asked = {"train.epochs": 4, "network.width": 32, "train.preflight": False, "waive.target-leak": "planted"}
    run = snowball.train(str(tmp_path / "data.csv"), asked, output=tmp_path / "run")
    for word, label in (("splendid", "good"), ("dreadful", "bad")):
        (found,) = run.explain(f"the road and this {word} sky, that sea")
        assert found.answer.startswith(label)
        assert found.pieces[0]["piece"].strip() == word
    page = (run.path / "explanation.html").read_text(encoding="utf-8")
    assert "dreadful</span>" in page


def test_a_page_is_made_of_hostile_words(tmp_path, corners) -> None:
    run, _ = corners
    with pytest.raises(snowball.BadInput, match="no such file"):
        run.explain("<script>.png")
    assert main(["explain", str(run.path), "rows=none"]) == 2
    assert main(["explain", str(run.path), "colour=red"]) == 2
    assert main(["explain"]) == 2


def test_pieces_cover_each_place_once() -> None:
    of, lie = cut((7, 5), (3, 8))
    assert lie == (3, 5) and of.shape == (7, 5)
    assert sorted(of.unique().tolist()) == list(range(15))
    assert tinted(Image.new("L", (9, 9), 100), np.zeros((3, 3)), 0.0).getpixel((4, 4)) == (100, 100, 100)


@pytest.mark.parametrize("tokens", ["word", "char", "byte", "bpe"])
def test_pieces_of_a_text_are_its_words(tokens: str) -> None:
    from snowball.recipe import Recipe
    from snowball.registry import tasks

    task = tasks()["text-classification"]
    recipe = Recipe.build(task.name, task.section_types(), {"text.tokens": tokens, "text.lowercase": True})
    texts = ["a little boat sails", "the little boat came home late", "boats sail home"]
    kind = TextKind(recipe, TextKind.fit(texts, recipe))
    encoded = kind.encode(texts[1])
    pieces = kind.pieces(texts[1], encoded)
    assert "".join(pieces.names).split() == texts[1].split()
    assert len(pieces.names) == 6
    hidden = pieces.hide(encoded, [2])
    assert 0 < (hidden != encoded).sum() <= len(encoded) / 2
    assert torch.equal(pieces.hide(encoded, []), encoded)
