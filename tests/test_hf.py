"""Networks of transformers, from a folder and without a network connection: tiny GPT-2 and BERT with random weights."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers

import snowball
from snowball.design.hf import HFLanguageModel
from snowball.finding import BadInput
from snowball.storage import read_tensors

transformers = pytest.importorskip("transformers")
WORDS = ["good", "fine", "great", "bad", "poor", "awful", "food", "film", "book", "was", "the", "a"]
POSITIONS = 24


def save(folder: Path, kind: str) -> Path:
    torch.manual_seed(0)
    sizes: dict[str, Any] = {"vocab_size": 40}
    if kind == "gpt2":
        config = transformers.GPT2Config(n_embd=8, n_layer=1, n_head=2, n_positions=POSITIONS, **sizes)
        network = transformers.GPT2LMHeadModel(config)
    else:
        config = transformers.BertConfig(
            hidden_size=8,
            num_hidden_layers=1,
            num_attention_heads=2,
            intermediate_size=8,
            max_position_embeddings=POSITIONS,
            **sizes,
        )
        network = transformers.BertModel(config)
    network.save_pretrained(folder)
    vocab = {word: number for number, word in enumerate(["<unk>", *WORDS])}
    tokenizer = Tokenizer(models.WordLevel(vocab, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.decoder = decoders.WordPiece()
    tokenizer.enable_truncation(3)  # which is the source's wish, not ours
    tokenizer.save(str(folder / "tokenizer.json"))
    return folder


@pytest.fixture
def data(tmp_path: Path) -> Path:
    random = torch.Generator().manual_seed(0)
    rows = []
    for number in range(60):
        word = WORDS[number % 6]
        noun = WORDS[6 + int(torch.randint(3, (), generator=random))]
        rows.append({"text": f"the {noun} was {word} a {noun} {word}", "label": "up" if number % 6 < 3 else "down"})
    path = tmp_path / "said.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


@pytest.fixture
def documents(tmp_path: Path, data: Path) -> Path:
    folder = tmp_path / "docs"
    folder.mkdir()
    texts = [json.loads(line)["text"] for line in data.read_text(encoding="utf-8").splitlines()]
    for number in range(30):
        (folder / f"{number:02}.txt").write_text(" ".join(texts[number : number + 8]), encoding="utf-8")
    return folder


QUICK = {"train.epochs": 1, "data.val": 0.2, "data.test": 0.2}


@pytest.mark.parametrize("kind", ["bert", "gpt2"])
def test_a_classifier_is_tuned_and_reopened_without_its_source(tmp_path: Path, data: Path, kind: str) -> None:
    source = save(tmp_path / kind, kind)
    snowball.train(str(data), {**QUICK, "train.ema": 0.9}, model=f"hf:{source}", output=tmp_path / "run", quiet=True)
    shutil.rmtree(source)
    again = snowball.Run(tmp_path / "run")
    (answer,) = again.predict("the food was good")
    assert answer["label"] in ("up", "down")
    assert again.model().network.config.model_type == kind
    kind_of_text = again.task().kinds["text"]
    assert len(kind_of_text.encode("the food was good a film")) == 6  # not truncated at 3
    alone, batch = again.predict("a film"), again.predict("a film", "the food was good a film the food was bad")
    assert alone[0]["confidence"] == pytest.approx(batch[0]["confidence"], abs=1e-5)
    config = json.loads((tmp_path / "run" / "schema.json").read_text())["columns"]["text"]["state"]["config"]
    assert "_name_or_path" not in config and "auto_map" not in config
    assert str(tmp_path) not in json.dumps(config)


def test_a_language_model_is_tuned_and_reopened_without_its_source(tmp_path: Path, documents: Path) -> None:
    source = save(tmp_path / "gpt2", "gpt2")
    keys = {**QUICK, "language.context": 16, "task": "language-modelling"}
    run = snowball.train(str(documents), keys, model=f"hf:{source}", output=tmp_path / "run", quiet=True)
    shutil.rmtree(source)
    again = snowball.Run(run.path)
    written = "".join(again.stream("the food was", tokens=40, temperature=0))
    assert len(written.split()) >= 30  # beyond the context, and none of it ours
    assert again.stream("the", tokens=9, seed=1) is not None
    (answer,) = again.predict("the food was good", tokens=0)
    assert answer["tokens"] == 3
    model = again.model()
    assert isinstance(model, HFLanguageModel)
    text = torch.tensor([[5, 6, 7, 8, 9]])
    stepped = model.step(text[:, 3:], model.step(text[:, :3], model.empty_cache(text))["cache"])
    assert torch.allclose(stepped["logits"], model(text)["logits"][:, 3:], atol=1e-5)


def test_training_begins_with_the_sources_weights(tmp_path: Path, data: Path) -> None:
    """With next to no learning rate the run's weights, averaged or not, are still the source's."""
    source = save(tmp_path / "bert", "bert")
    wanted = transformers.BertModel.from_pretrained(source).state_dict()
    for name, ema in (("plain", 0.0), ("averaged", 0.99)):
        keys = {**QUICK, "optim.lr": 1e-12, "train.ema": ema, "train.preflight": False, "train.batch_size": 64}
        run = snowball.train(str(data), keys, model=f"hf:{source}", output=tmp_path / name, quiet=True)
        found = read_tensors(run.path / "model.safetensors")[0]
        for key, value in wanted.items():
            assert torch.allclose(found[f"network.{key}"], value, atol=1e-6), (name, key)


def refused(data: Path, source: Path, said: str, **keys: Any) -> None:
    output = data.parent / "none"
    with pytest.raises(BadInput, match=said) as caught:
        snowball.train(str(data), {**QUICK, **keys}, model=f"hf:{source}", output=output, quiet=True)
    assert "\n" not in str(caught.value)
    assert not output.exists()


def test_what_a_source_lacks_is_named(tmp_path: Path, data: Path) -> None:
    source = save(tmp_path / "bert", "bert")
    refused(data, source, "sees 24 tokens at most, of 128: set language.context=24", task="language-modelling")
    (source / "tokenizer.json").rename(tmp_path / "kept.json")
    refused(data, source, "tokenizer.json")
    (tmp_path / "kept.json").rename(source / "tokenizer.json")
    (source / "config.json").rename(tmp_path / "config.json")
    refused(data, source, "no configuration to be read")
    (tmp_path / "config.json").rename(source / "config.json")
    long = data.with_name("long.jsonl")
    long.write_text(data.read_text(encoding="utf-8").replace("the", "the a " * 20), encoding="utf-8")
    refused(long, source, "set text.max_tokens=24")
    weights = read_weights(source)
    (source / "model.safetensors").unlink()
    refused(data, source, "no weights to be read")
    torch.save(weights, source / "pytorch_model.bin")  # a pickle, which would run code when it is opened
    refused(data, source, "no weights to be read")


def read_weights(source: Path) -> dict[str, torch.Tensor]:
    from safetensors.torch import load_file

    return load_file(source / "model.safetensors")


def test_code_of_the_source_is_never_run(tmp_path: Path, data: Path) -> None:
    source = save(tmp_path / "bert", "bert")
    (source / "evil.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')\nclass Evil: ...\n")
    config = json.loads((source / "config.json").read_text())
    config["auto_map"] = {"AutoConfig": "evil.Evil", "AutoModel": "evil.Evil"}
    (source / "config.json").write_text(json.dumps(config))
    snowball.train(str(data), QUICK, model=f"hf:{source}", output=tmp_path / "run", quiet=True)  # a known type: no need
    assert not (tmp_path / "ran").exists()
    (source / "config.json").write_text(json.dumps({**config, "model_type": "evil"}))
    refused(data, source, "no configuration to be read")
    assert not (tmp_path / "ran").exists()


def test_weights_of_another_network_stop_the_run(tmp_path: Path, data: Path) -> None:
    source, other = save(tmp_path / "bert", "bert"), save(tmp_path / "gpt2", "gpt2")
    shutil.copy(other / "model.safetensors", source / "model.safetensors")
    with pytest.raises(snowball.GateFailed, match="weights-missing"):
        snowball.train(str(data), QUICK, model=f"hf:{source}", output=tmp_path / "run", quiet=True)
