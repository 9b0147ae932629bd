"""Wrong labels as a user looks for them: `snowball audit DATA audit.labels=true`, on pictures and on texts."""

from __future__ import annotations

import importlib.util
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image
from sklearn.datasets import load_digits

import snowball
from snowball.cli import main
from snowball.collect.read import read_table
from snowball.display import Display
from snowball.finding import BadInput, Finding
from snowball.recipe import DataSection
from snowball.registry import tasks
from snowball.training import label_noise, out_of_fold
from snowball.training.audit import audit_data
from snowball.training.out_of_fold import Dealt

QUICK = {"model": "mlp", "epochs": 20, "augment": "none", "lr": 0.003, "folds": 3, "audit.labels": True}


def flipped(labels: list[str], share: float, seed: int) -> tuple[list[str], set[int]]:
    """The labels with this share of them another class, each as likely, and the rows that were flipped."""
    random = np.random.Generator(np.random.Philox(seed))
    classes = sorted(set(labels))
    rows = random.permutation(len(labels))[: round(share * len(labels))].tolist()
    given = list(labels)
    for row in rows:
        given[row] = classes[(classes.index(labels[row]) + random.integers(1, len(classes))) % len(classes)]
    return given, set(rows)


def write_digits(path: Path, share: float, num: int = 900) -> set[int]:
    """Scanned digits as a table of PNG files, some labels wrong."""
    digits = load_digits()
    given, wrong = flipped([str(label) for label in digits.target[:num]], share, 1)
    pictures = []
    for image in digits.images[:num]:
        buffer = io.BytesIO()
        Image.fromarray((image * 15.9).astype(np.uint8)).save(buffer, "png")
        pictures.append(buffer.getvalue())
    pq.write_table(pa.table({"image": pictures, "label": given}), path)
    return wrong


def noise(found: list[Finding]) -> Finding:
    (finding,) = [finding for finding in found if finding.check == "label-noise"]
    return finding


def rates(finding: Finding, wrong: set[int]) -> tuple[float, float]:
    """Precision and recall of what was flagged."""
    flagged = {row["row"] for row in finding.evidence["rows"]}
    assert len(flagged) == finding.evidence["count"]
    return len(flagged & wrong) / len(flagged), len(flagged & wrong) / len(wrong)


def test_wrong_labels_of_digits_are_found_and_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    wrong = write_digits(tmp_path / "digits.parquet", 0.1)
    words = [f"{key}={str(value).lower()}" for key, value in QUICK.items()]
    assert main(["audit", "digits.parquet", *words, "--json", "-o", "found.json"]) == 0
    out, err = capsys.readouterr()
    result = json.loads(out)
    assert json.loads(Path("found.json").read_text())["findings"] == result["findings"]
    assert result["files"] == ["found.json"]
    (said,) = [finding for finding in result["findings"] if finding["check"] == "label-noise"]
    assert said["severity"] == "warning" and said["fix"]
    finding = Finding(**said)
    precision, recall = rates(finding, wrong)
    assert precision >= 0.9 and recall >= 0.85
    truth = [str(label) for label in load_digits().target]
    rows = finding.evidence["rows"]
    table = read_table(DataSection(name="digits.parquet"))
    assert all(row["where"] == table.where(row["row"]) for row in rows)
    right = [row["suggested"] == truth[row["row"]] for row in rows if row["row"] in wrong]
    assert np.mean(right) > 0.9
    assert all(row["given"] != row["suggested"] and row["sure"] > row["sure_of_given"] for row in rows)
    assert [row["sure_of_given"] for row in rows] == sorted(row["sure_of_given"] for row in rows)
    assert abs(finding.evidence["estimated_share"] - 0.1) < 0.03
    assert "round 2, 3 of 3" in err and rows[0]["where"] in err
    assert sum(pair["count"] for pair in finding.evidence["pairs"]) <= len(rows)


def test_clean_digits_are_left_alone(tmp_path: Path) -> None:
    write_digits(tmp_path / "digits.parquet", 0.0)
    found = snowball.audit(str(tmp_path / "digits.parquet"), QUICK)
    assert sum(finding.evidence["count"] for finding in found if finding.check == "label-noise") <= 9  # 1 %
    assert found == snowball.audit(str(tmp_path / "digits.parquet"), QUICK)


def test_wrong_labels_of_texts_are_found(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    words = ["pear", "plum", "fig"]
    labels = [words[i % 3] for i in range(450)]
    given, wrong = flipped(labels, 0.1, 1)
    texts = [" ".join([*(f"w{n}" for n in random.integers(0, 40, 5)), label]) for label in labels]
    lines = [json.dumps({"text": text, "label": label}) for text, label in zip(texts, given, strict=True)]
    (tmp_path / "fruits.jsonl").write_text("\n".join(lines))
    keys = {"network.width": 24, "network.hidden": 16, "epochs": 8, "lr": 0.01, "folds": 3, "audit.labels": True}
    precision, recall = rates(noise(snowball.audit(str(tmp_path / "fruits.jsonl"), keys)), wrong)
    assert precision >= 0.9 and recall >= 0.85


def test_labels_that_nothing_tells_are_not_judged(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    lines = ["text,label"] + [
        f"{' '.join(random.choice(['red', 'blue', 'green'], 5))},{random.choice(['a', 'b'])}" for _ in range(200)
    ]
    (tmp_path / "chance.csv").write_text("\n".join(lines))
    keys = {"network.width": 8, "network.hidden": 8, "epochs": 2, "folds": 2, "audit.labels": True}
    finding = noise(snowball.audit(str(tmp_path / "chance.csv"), keys))
    assert finding.severity == "note" and "cannot be judged" in finding.message and "rows" not in finding.evidence


def test_no_network_learns_from_what_it_answers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows of one patient, and copies of one row, are answered by networks that saw none of them."""
    words = np.random.default_rng(0).permutation([f"w{i}" for i in range(120)])
    lines = [f"{words[i % 80]} {'good' if i % 2 else 'bad'},{'ab'[i % 2]},p{i % 30}" for i in range(120)]
    (tmp_path / "notes.csv").write_text("\n".join(["text,label,patient", *lines]))
    seen: list[tuple[set[int], set[int], set[int]]] = []
    trained = label_noise.answer_out_of_fold

    def noted(task: Any, encoded: Any, dealt: Dealt, *rest: Any) -> Any:

        train = out_of_fold._trained

        def watched(task: Any, encoded: Any, splits: Any, what: str, display: Display) -> Any:
            fold = int(what.rpartition(" ")[2]) - 1
            held = set(dealt.rows[dealt.folds == fold].tolist())
            seen.append((set(splits["train"].tolist()), set(splits["val"].tolist()), held))
            return train(task, encoded, splits, what, display)

        monkeypatch.setattr(out_of_fold, "_trained", watched)
        found = trained(task, encoded, dealt, *rest)
        monkeypatch.setattr(out_of_fold, "_trained", train)
        return found

    monkeypatch.setattr(label_noise, "answer_out_of_fold", noted)
    monkeypatch.setattr(label_noise, "MOST_WRONG", 1.0)  # a network of one epoch doubts many labels: have both rounds
    keys = {"network.width": 8, "network.hidden": 8, "epochs": 1, "folds": 3, "audit.labels": True}
    snowball.audit(str(tmp_path / "notes.csv"), keys, group="patient")
    assert len(seen) == 6
    for train, val, held in seen:
        assert train and val and held
        for one, other in ((train, val), (train, held), (val, held)):
            assert not {row % 30 for row in one} & {row % 30 for row in other}  # of one patient
            assert not {lines[row].split(",")[0] for row in one} & {lines[row].split(",")[0] for row in other}
    assert set.union(*(held for _, _, held in seen[:3])) == set(range(120))


def test_classes_with_few_rows_are_counted_and_not_judged(tmp_path: Path) -> None:
    lines = [f"{'good' if i % 2 else 'bad'} w{i},{'ab'[i % 2]}" for i in range(100)] + ["odd x,c"]
    (tmp_path / "rare.csv").write_text("\n".join(["text,label", *lines, "odd y,c", "odd z,c"]))
    keys = {"network.width": 16, "network.hidden": 16, "epochs": 12, "folds": 2, "rounds": 1, "lr": 0.01}
    found = snowball.audit(str(tmp_path / "rare.csv"), keys, labels=True)
    for finding in found:
        if finding.check == "label-noise":
            assert not {row["given"] for row in finding.evidence["rows"]} & {"c"}
    (tmp_path / "few.csv").write_text("\n".join(["text,label", *(f"w{i},{'ab'[i % 2]}" for i in range(9))]))
    finding = noise(snowball.audit(str(tmp_path / "few.csv"), {**keys, "epochs": 1}, labels=True, val=0.3, test=0.3))
    assert finding.severity == "note" and "fewer than two classes have 5 rows" in finding.message


def test_the_audits_short_words_are_no_keys_of_a_recipe() -> None:
    own = label_noise.AuditSection.model_fields.keys()
    for task in tasks().values():
        for section in task.section_types():
            assert not own & section.model_fields.keys(), section


def refused(data: str, **keys: Any) -> str:
    with pytest.raises(BadInput) as error:
        audit_data(data, {"audit.labels": True, **keys}, Display(quiet=True))
    return str(error.value)


def test_what_cannot_be_is_said_in_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(BadInput, match=r"audit\.labels=true"):
        audit_data("digits", {"folds": 3}, Display(quiet=True))
    assert "nearest: audit.labels" in refused("digits", **{"audit.label": True})
    assert "audit.folds: 1" in refused("digits", folds=1)
    assert "unknown recipe key 'epcohs'" in refused("digits", epcohs=1)
    (tmp_path / "heights.csv").write_text("\n".join(["text,text2", *(f"a{i} b,c{i} d" for i in range(30))]))
    said = refused(str(tmp_path / "heights.csv"), task="translation")
    assert "audit.labels" in said and "answer=COLUMN" in said
    lines = [f"w{i % 2} x{i},{'ab'[i % 2]},p{i % 8}" for i in range(64)]
    (tmp_path / "eight.csv").write_text("\n".join(["text,label,patient", *lines]))
    said = refused(str(tmp_path / "eight.csv"), group="patient", val=0.3, test=0.3, folds=9)
    assert "8 groups of rows are too few for audit.folds=9" in said
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "cleanlab" else find(name))
    assert "pip install 'snowball[audit]'" in refused("digits")


def test_a_good_network_says_how_many_labels_are_wrong(monkeypatch: pytest.MonkeyPatch) -> None:
    """Wrong labels that it takes for half right are named too, up to as many as it counts."""
    random = np.random.Generator(np.random.Philox(0))
    true = random.integers(0, 3, 3000)
    given = np.where(np.arange(3000) < 150, (true + 1) % 3, true)
    sure = np.where(given == true, random.uniform(0.6, 1, 3000), random.uniform(0.5, 1, 3000))
    probabilities = np.full((3000, 3), 0.0)
    probabilities[np.arange(3000), (true + 1) % 3] = 1 - sure
    probabilities[np.arange(3000), true] = sure
    found = out_of_fold.OutOfFold(probabilities, np.ones(3000, dtype=bool))
    monkeypatch.setattr(label_noise, "_estimated_share", lambda *_: 0.045)
    wrong = label_noise._wrong(given, found)
    assert len(wrong) == 135 and set(wrong.tolist()) < set(range(150))
    monkeypatch.setattr(label_noise, "GOOD", 2.0)  # no network agrees with so many
    surest = label_noise._wrong(given, found)
    assert 0 < len(surest) < 135 and set(surest.tolist()) < set(wrong.tolist())
