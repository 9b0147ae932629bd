"""After a training: calibration, slices that do worse, other seeds and shuffled answers."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from snowball.collect.prepare import prepare
from snowball.display import Display
from snowball.evaluate import Score
from snowball.evaluate.calibrate import fit_temperature
from snowball.evaluate.repeat import judge_seeds, judge_shuffled
from snowball.evaluate.slices import slices_of, weak_slices, worse_by_chance
from snowball.kind import Metric
from snowball.run import Run
from snowball.storage import file_digest
from snowball.training.again import Shuffled

from .loops import prepared

ACCURACY, ERROR = Metric("accuracy", "max"), Metric("mae", "min")


def drawn(num: int, sure: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Logits (N, 5) that are `sure` times too sure of classes (N,), which are drawn by what the logits once said."""
    random = np.random.default_rng(seed)
    logits = 2 * random.normal(size=(num, 5))
    shares = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    return sure * logits, (random.random((num, 1)) > shares.cumsum(1)).sum(1).clip(max=4)


@pytest.mark.parametrize("sure", [0.4, 2.5])
def test_a_temperature_undoes_what_logits_were_scaled_by(sure: float) -> None:
    fitted = fit_temperature(*drawn(1000, sure, 0))
    assert fitted.temperature == pytest.approx(sure, rel=0.1) and fitted.helps
    assert fitted.ece[1] < 0.5 * fitted.ece[0] and fitted.nll[1] < fitted.nll[0]


def test_a_temperature_is_seldom_kept_where_there_is_nothing_to_gain() -> None:
    assert sum(fit_temperature(*drawn(200, 1.0, seed)).helps for seed in range(40)) <= 1


def test_no_temperature_is_kept_where_every_row_is_right() -> None:
    """The surer, the better such rows look: nothing would be left of the confidence of answers that are wrong."""
    logits, _ = drawn(200, 1.0, 0)
    assert not fit_temperature(logits, logits.argmax(1)).helps


def test_slices_are_quiet_on_random_faults_and_find_what_is_planted() -> None:
    random = np.random.default_rng(0)
    alarms = 0
    for _ in range(200):
        faults = random.random(300) * (random.random(300) < 0.1)
        alarms += bool((worse_by_chance(faults, list(random.random((20, 300)) < 0.3)) < 0.01).any())
    assert alarms <= 8  # 1 % of 200 is 2
    planted = random.random(300) < 0.2
    faults = random.random(300) * (random.random(300) < np.where(planted, 0.4, 0.05))
    assert worse_by_chance(faults, [planted, random.random(300) < 0.3])[0] < 0.001


def test_ranks_agree_with_scipy() -> None:
    from scipy.stats import mannwhitneyu

    random = np.random.default_rng(1)
    faults, inside = random.integers(0, 4, 200).astype(float), random.random(200) < 0.4
    wanted = mannwhitneyu(
        faults[inside], faults[~inside], alternative="greater", method="asymptotic", use_continuity=False
    )
    assert worse_by_chance(faults, [inside])[0] == pytest.approx(float(wanted.pvalue), rel=1e-6)


def test_dark_pictures_and_a_class_that_do_worse_are_named() -> None:
    data = prepared()
    rows = data.splits["test"].tolist()
    assert {one.name for one in slices_of(data.task, data.encoded, rows)} >= {"label is 8"}
    labels = [data.encoded.facts["label"][row]["label"] for row in rows]
    dark = [data.encoded.facts["image"][row]["brightness"] < 69 for row in rows]

    def judged(wrong: list[bool]) -> tuple[list[Any], list[Any]]:
        predictions = [
            {"label": "0" if no and label != "0" else label, "confidence": 0.9, "probabilities": {}}
            for no, label in zip(wrong, labels, strict=True)
        ]
        faults = np.array([data.task.fault(p, a) for p, a in zip(predictions, labels, strict=True)])
        return weak_slices(data.task, data.encoded, rows, predictions, labels, faults)

    random = np.random.default_rng(0)
    found, blocks = judged([no or chance < 0.02 for no, chance in zip(dark, random.random(len(dark)), strict=True)])
    assert found[0].severity == "warning" and "brightness up to" in found[0].message
    assert blocks[0].content["rows"][0][0].startswith("brightness up to")
    found, _ = judged([label == "8" for label in labels])
    assert "label is 8" in found[0].message
    found, blocks = judged([chance < 0.05 for chance in random.random(len(labels))])
    assert not found and blocks
    assert judged([False] * len(labels)) == ([], [])


def test_shuffled_answers_are_dealt_out_evenly() -> None:
    data = prepared()
    rows = torch.from_numpy(data.splits["train"])
    dealt = Shuffled.of(data.encoded, rows, 0)
    right, held = data.encoded.batch(rows).targets["label"], dealt.batch(rows).targets["label"]
    assert torch.equal(right.bincount(), held.bincount())
    assert torch.equal(dealt.batch(rows).inputs["image"], data.encoded.batch(rows).inputs["image"])
    together = torch.zeros(10, 10).index_put((right, held), torch.ones(len(rows)), accumulate=True)
    expected = right.bincount()[:, None] * held.bincount()[None] / len(rows)
    assert float((together - expected).abs().max()) <= 4  # chance leaves about 10 somewhere
    kept = torch.from_numpy(data.splits["test"])
    assert torch.equal(dealt.batch(kept).targets["label"], data.encoded.batch(kept).targets["label"])
    assert not torch.equal(held, Shuffled.of(data.encoded, rows, 1).batch(rows).targets["label"])


def test_numbers_are_dealt_out_too() -> None:
    data = prepare("roads", {}, Display(quiet=True))
    rows = torch.from_numpy(data.splits["train"])
    dealt = Shuffled.of(data.encoded, rows, 0)
    (right,), (held,) = data.encoded.batch(rows).targets.values(), dealt.batch(rows).targets.values()
    assert abs(float(torch.corrcoef(torch.stack([right, held]))[0, 1])) < 0.03


def test_what_shuffled_answers_and_seeds_say() -> None:
    reached = Score(0.95, 0.93, 0.97)
    assert not judge_shuffled(ACCURACY, reached, [0.12, 0.25], 0.1, 0.11)
    assert [f.severity for f in judge_shuffled(ACCURACY, reached, [0.9, 0.94], 0.1, 0.11)] == ["error"]
    assert not judge_shuffled(ERROR, Score(1.0, 0.9, 1.1), [5.2], 7.0, 5.0)
    assert judge_shuffled(ERROR, Score(1.0, 0.9, 1.1), [1.5], 7.0, 5.0)[0].check == "target-leak"
    assert judge_shuffled(ACCURACY, Score(0.11, 0.05, 0.2), [0.1], 0.1, 0.11)[0].check == "repeats-abstained"
    assert not judge_seeds(ACCURACY, [0.94, 0.95, 0.97], reached)
    assert judge_seeds(ACCURACY, [0.90, 0.95, 0.97], reached)[0].severity == "note"


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """All stories below go on with one run."""
    return tmp_path_factory.mktemp("after")


def test_a_run_is_calibrated_for_every_later_verb(snowball: Callable[..., Any], home: Path) -> None:
    """Label smoothing leaves a network less sure than it may be."""
    keys = "model=mlp", "augment=none", "epochs=12", "batch_size=100", "optim=adam", "lr=0.005", "preflight=false"
    made = snowball("train", "digits", *keys, "label.smoothing=0.3", "-o", "run")
    schema = json.loads(Path("run/schema.json").read_text(encoding="utf-8"))
    temperature = schema["columns"]["label"]["state"]["temperature"]
    assert temperature < 0.8  # it says 0.7, and is nearly always right
    page = Path("run/report.html").read_text(encoding="utf-8")
    assert f"logits are divided by {temperature:.3f}" in page and "kept: predict, serve and export use it" in page
    ece = json.loads(Path("run/evaluation.json").read_text(encoding="utf-8"))["metrics"]["ece"]
    assert ece["value"] < 0.05 and ece["low"] <= ece["value"] <= ece["high"]
    assert snowball("evaluate", "run")["metrics"] == made["metrics"]
    manifest = Path("run/manifest.json")
    Run("run").evaluate()
    assert json.loads(manifest.read_bytes())["files"]["evaluation.json"] == file_digest(Path("run/evaluation.json"))
    kept = manifest.rename("manifest.json")
    snowball("evaluate", "run")  # of a run that was stopped: it has to stay one that can be resumed
    assert not manifest.exists()
    kept.rename(manifest)
    task, logits = Run("run").task(), torch.tensor([[1.0] + [0.0] * 9])
    finished = task.answer_kind.finish({"logits": logits})  # this is in the exported graph, as it is in predict's
    assert torch.allclose(finished["probabilities"], (logits / temperature).softmax(1))
    (row,) = json.loads(Path("run/blocks.json").read_text(encoding="utf-8"))["calibration"]
    assert row["content"]["rows"][1][2] < row["content"]["rows"][1][1]


def test_other_seeds_and_shuffled_answers(
    snowball: Callable[..., Any], home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = snowball("evaluate", "run", "seeds=2", "shuffled=1")
    assert told["verdict"] == "pass"
    blocks = json.loads(Path("run/evaluation.json").read_text(encoding="utf-8"))["blocks"]
    (table,) = [block["content"]["rows"] for block in blocks if block["title"] == "Repeated trainings"]
    names = [name for name, _ in table]
    assert names[1] == "seed 1" and names[2].startswith("mean of 2 seeds") and names[3] == "shuffled answers 1"
    assert table[0][1] > 0.9 and table[1][1] > 0.9 and table[3][1] < 0.4
    assert "Repeated trainings" in Path("run/report.html").read_text(encoding="utf-8")
    snowball("evaluate", "run", "digits", "seeds=2", code=2)
    snowball("evaluate", "run", "seed=2", code=2)
    monkeypatch.setattr(Shuffled, "of", lambda encoded, rows, seed: encoded)  # answers that are not shuffled at all
    told = snowball("evaluate", "run", "shuffled=1", code=1)
    assert told["verdict"] == "fail" and "target-leak" in {finding["check"] for finding in told["findings"]}
