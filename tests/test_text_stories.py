"""What a user types on real text, from the data to an answer; short trainings of small networks."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from itertools import islice
from pathlib import Path
from typing import Any

SMALL = ["layers=1", "width=32", "heads=2", "network.hidden=32", "preflight=false"]


def test_questions_are_classified(snowball: Any, shared: Callable[[str], Path]) -> None:
    done = snowball("train", shared("trec"), "epochs=3", "optim.lr=0.01", "-o", "run", *SMALL)
    assert {"labelled-lines", "assumed-test", "encoding"} <= {finding["check"] for finding in done["findings"]}
    assert done["metrics"]["accuracy"] > 0.4  # the most frequent class has 0.28 of the test rows
    answer = snowball("predict", "run", "How far is it from Denver to Aspen ?")["predictions"][0]
    assert answer["label"] in {"ABBR", "DESC", "ENTY", "HUM", "LOC", "NUM"}
    assert sum(answer["probabilities"].values()) <= 1.0001


def test_shakespeare_is_continued(snowball: Any, shared: Callable[[str], Path]) -> None:
    data = shared("tinyshakespeare")
    done = snowball("train", data, "model=gpt", "steps=40", "context=32", "optim.lr=0.01", "-o", "run", *SMALL)
    assert done["metrics"]["perplexity"] < 30  # 65 characters, of which one is as likely as another at first
    asked = ("predict", "run", "ROMEO:", "tokens=50", "temperature=0.8", "top_k=50")
    one, same, other = (snowball(*asked, f"seed={seed}")["predictions"][0]["text"] for seed in (1, 1, 2))
    assert len(one) == 50
    assert one == same != other


def test_captions_are_translated(snowball: Any, shared: Callable[[str], Path]) -> None:
    assert "source=de target=en" in snowball("train", shared("multi30k"), "-o", "run", code=2)["error"]
    Path("captions").mkdir()
    for name, lines in (("train", 2000), ("val", 100), ("test_2016_flickr", 40)):  # an untrained network writes long
        for language in ("de", "en"):
            with gzip.open(shared("multi30k") / f"{name}.{language}.gz") as whole:
                Path("captions", f"{name}.{language}").write_bytes(b"".join(islice(whole, lines)))
    keys = ("source=en", "target=de", "vocab=500", "steps=10")
    done = snowball("train", "captions", *keys, "-o", "run", *SMALL)
    assert {"bleu", "chrf", "perplexity", "bits_per_byte"} <= set(done["metrics"])
    report = Path("run", "report.html").read_text(encoding="utf-8")
    assert "nrefs:1|case:mixed" in report, "the report says how BLEU was computed"
    answer = snowball("predict", "run", "A dog runs.", "beams=2")["predictions"][0]
    assert set(answer) == {"input", "text"}


def test_bad_questions_get_one_line(snowball: Any, tmp_path: Path) -> None:
    (tmp_path / "de.txt").write_bytes(b"Gr\0n\n" * 9)
    Path("parallel").mkdir()
    Path("parallel", "train.en").write_text("one\ntwo\nthree\n")
    Path("parallel", "train.de").write_text("eins\nzwei\n")
    for words, said in (
        (("train", "de.txt"), "NUL"),
        (("train", "parallel"), "line 3"),
        (("train", "numbers", "model=transfomer"), "nearest: transformer"),
        (("train", "numbers", "text.tokenizer=de.txt"), "tokenizer.json"),
        (("train", "docstrings", "model=hf:nowhere/at-all"), "hf:nowhere/at-all"),
    ):
        error = snowball(*words, "-o", "run", code=2)["error"]
        assert said in error
        assert "\n" not in error
        assert not Path("run").exists(), "nothing is left behind"
