"""Text: a string as the numbers of its tokens. L tokens in the longest row of a batch, V tokens in the vocabulary.

A tokenizer of the `tokenizers` library is fitted on the training rows, or read from a file, and is kept in the schema
as the library's own JSON. The first four tokens are always the same: padding 0, unknown 1, begin 2, end 3.
"""

from __future__ import annotations

import math
import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np
import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor

from ..answer import Answer
from ..finding import BadInput, Finding
from ..kind import Batch, Block, Follow, Metric, Pieces, Unreadable
from ..recipe import Recipe, Section
from ..rng import SampleRandom
from ._minhash import near_by_minhash
from ._tokenizer import (
    BEGIN,
    END,
    OFFSET,
    PAD,
    UNKNOWN,
    fit_tokenizer,
    hub_tokenizer,
    num_tokens,
    open_tokenizer,
    read_tokenizer,
    token_bytes,
)
from ._words import words_of_tokens

if TYPE_CHECKING:
    from tokenizers import Tokenizer

__all__ = ["BEGIN", "END", "PAD", "TextAugment", "TextKind", "TextSection"]

MAX_CHARACTERS = 1 << 30
SKETCH = 32  # hashes of a MinHash sketch: the standard error of an estimated similarity is at most 0.09
SHINGLE = 6  # bytes that are hashed together, about a word
SHORT = 24  # bytes; of shorter texts, one other word makes another text
_UNKNOWNS = ("[UNK]", "<unk>")
_DAMAGE = re.compile("\ufffd|Ã[\x80-\xbf]|â€[\x80-\xbf™œ“”˜]")  # replaced bytes, and UTF-8 that was read as Latin-1  # noqa: RUF001


class TextSection(Section):
    """How text becomes tokens, and how text answers are trained."""

    key = "text"

    tokens: Literal["word", "char", "byte", "bpe"] = "word"
    """`word`: words and marks; `char`: characters; `byte`: UTF-8 bytes; `bpe`: byte-pair merges learned here."""
    vocab: int = Field(8000, ge=5, le=1_000_000)
    """The largest vocabulary of words and merges; the rarest are left out first."""
    min_count: int = Field(1, ge=1)
    """Words and characters that occur less often among the training rows are unknown."""
    lowercase: bool = False
    """Read everything in lower case."""
    max_tokens: int = Field(512, ge=2, le=1_000_000)
    """Longer rows are cut to this many tokens, which the audit counts. Language models read rows in windows instead."""
    tokenizer: str | None = None
    """A tokenizer.json to use in place of one fitted here. It is parsed and bounded; it holds no code."""
    smoothing: float = Field(0.0, ge=0, lt=1)
    """Label smoothing of text answers: this share of each target token is spread over the vocabulary."""


class TextAugment(Section):
    """How text is varied while training."""

    key = "augment"

    drop: float = Field(0.0, ge=0, lt=1)
    """The share of given tokens that are made unknown, drawn anew at every visit (Iyyer et al., 2015)."""


class TextKind(Answer):
    """State: `tokenizer`, its JSON; `vocab`, its size with `offset`, that moves its numbers; `max_tokens`; `cut`,
    the training rows that were longer; `unigram`, the surprise of one who knows only how frequent each token is.
    """

    key = "text"
    sections: ClassVar[tuple[type[Section], ...]] = (TextSection, TextAugment)
    suffixes: ClassVar[frozenset[str]] = frozenset((".txt",))
    reads_paths: ClassVar[bool] = False
    padding: ClassVar[int | None] = PAD
    fit_rows: ClassVar[int | None] = None
    traits: ClassVar[tuple[str, ...]] = ("characters", "words", "script")
    metric: ClassVar[Metric] = Metric("perplexity", "min")
    headline: ClassVar[Metric | None] = Metric("chrf", "max")  # BLEU is 0 for answers of fewer than four words

    def __init__(self, recipe: Recipe, state: Mapping[str, Any]) -> None:
        super().__init__(recipe, state)
        self._smoothing = recipe[TextSection].smoothing

    @classmethod
    def read(cls, cell: Any) -> str:
        """A `str` is the text itself; bytes are UTF-8; a Path is a file of it."""
        if isinstance(cell, Path):
            try:
                cell = cell.read_bytes()
            except OSError as error:
                raise Unreadable(error.strerror or str(error)) from None
        if isinstance(cell, bytes):
            try:
                cell = cell.decode("utf-8-sig")
            except UnicodeDecodeError as error:
                raise Unreadable(f"byte 0x{cell[error.start]:02x} at byte {error.start + 1} is not UTF-8") from None
        if cell is None or (isinstance(cell, float) and math.isnan(cell)):
            raise Unreadable("no text in this row")
        text = str(cell)
        if not text.strip():
            raise Unreadable("empty text")
        if "\0" in text:
            raise Unreadable(f"a NUL character at position {text.index(chr(0)) + 1}")
        if len(text) > MAX_CHARACTERS:
            raise Unreadable(f"{len(text):,} characters are more than {MAX_CHARACTERS:,}")
        return text.encode("utf-8", "replace").decode()  # lone surrogates cannot be encoded, and so not kept

    @classmethod
    def expand(cls, argument: str) -> list[Any]:
        """The argument is the text, unless it names a text file or a folder of them."""
        path = Path(argument) if len(argument) < 4096 and "\n" not in argument and "\0" not in argument else None
        if path is not None and path.is_dir():
            return [Path(file) for file in super().expand(argument)]
        return [path] if path is not None and path.suffix.lower() in cls.suffixes and path.is_file() else [argument]

    @classmethod
    def fit(cls, values: Iterable[str], recipe: Recipe) -> dict[str, Any]:
        asked = recipe[TextSection]
        texts = list(values)
        if not texts:
            raise BadInput("no readable text among the training rows")
        offset = OFFSET  # of a tokenizer that is not ours
        if asked.tokenizer is not None:
            tokenizer = read_tokenizer(Path(asked.tokenizer).expanduser())
        elif recipe.model.name.startswith("hf:"):
            tokenizer = hub_tokenizer(recipe.model.name.removeprefix("hf:"))
        else:
            tokenizer = fit_tokenizer(texts, asked.tokens, asked.vocab, asked.min_count, asked.lowercase)
            offset = 0
        encoded = [found.ids for found in tokenizer.encode_batch(texts, add_special_tokens=offset > 0)]
        lengths = [len(ids) for ids in encoded]
        cut = sum(length > asked.max_tokens for length in lengths)
        longest = min(asked.max_tokens, max(1, max(lengths)))  # at least the unknown token
        return {
            "tokenizer": tokenizer.to_str(),
            "vocab": num_tokens(tokenizer) + offset,
            "offset": offset,
            "max_tokens": longest,
            "cut": cut,
            "unigram": _unigram(tokenizer, encoded),
        }

    @property
    def offset(self) -> int:
        """What is added to the tokenizer's numbers, so that our first four tokens are the same everywhere."""
        return int(self.state["offset"])

    @cached_property
    def tokenizer(self) -> Tokenizer:
        return open_tokenizer(self.state["tokenizer"])

    def raw_tensor(self, value: str) -> Tensor:
        return self.encode_cut(value)

    def input_axes(self) -> dict[int, str]:
        return {1: "tokens"}

    @property
    def num_outputs(self) -> int:
        return int(self.state["vocab"])

    def encode(self, value: str) -> Tensor:
        """(L,) token numbers. Text of nothing the tokenizer keeps is one unknown token."""
        ids = self.tokenizer.encode(value, add_special_tokens=self.offset > 0).ids
        return torch.tensor(ids) + self.offset if ids else torch.tensor([UNKNOWN])

    def encode_cut(self, value: str) -> Tensor:
        """As `encode`, cut to the longest row that a network of bounded length is made for."""
        return self.encode(value)[: self.state["max_tokens"]]

    def augment(self, role: str, batch: Batch, rng: SampleRandom, follow: Follow) -> Batch:
        share = self.recipe[TextAugment].drop
        if not share:
            return batch
        tokens = batch.inputs[role]
        dropped = (rng.uniform(tokens.shape[1]) < share) & (tokens != PAD)
        return Batch({**batch.inputs, role: tokens.masked_fill(dropped, UNKNOWN)}, batch.targets, batch.index)

    def text(self, tokens: Sequence[int]) -> str:
        """The text of token numbers, up to the first end."""
        kept = list(tokens)
        kept = kept[: kept.index(END)] if END in kept else kept
        return self.tokenizer.decode([token - self.offset for token in kept if token > END])

    @cached_property
    def bytes_of_tokens(self) -> Tensor:
        """(V,) UTF-8 bytes that each token stands for."""
        sizes = [0] * self.offset + token_bytes(self.tokenizer)
        return torch.tensor(sizes, dtype=torch.float32)

    def pieces(self, value: str, encoded: Tensor) -> Pieces:
        """Words, or where there are many of them several at a time, which become unknown tokens."""
        names, of = words_of_tokens(self.tokenizer, encoded - self.offset, END - self.offset)
        return Pieces(names, of[None], torch.tensor([[UNKNOWN]], dtype=encoded.dtype), (len(names),))

    @classmethod
    def facts(cls, value: str) -> dict[str, Any]:
        found = _DAMAGE.search(value)
        return {
            "characters": len(value),
            "words": len(value.split()),
            "damage": found[0] if found else None,
            "script": _script(value),
        }

    @classmethod
    def summary(cls, facts: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
        if not facts:
            return {}
        lengths = np.array([fact["words"] for fact in facts])
        quantiles = {"shortest": 0.0, "median": 0.5, "95 %": 0.95, "longest": 1.0}
        return {"words": {name: int(np.quantile(lengths, q)) for name, q in quantiles.items()}}

    def audit(self, facts: Sequence[Mapping[str, Any]]) -> list[Finding]:
        findings = []
        damaged = [fact["damage"] for fact in facts if fact["damage"]]
        if damaged:
            findings.append(
                Finding(
                    "encoding",
                    "warning",
                    f"{len(damaged)} of {len(facts)} texts hold signs of a wrong encoding, such as {damaged[0]!r}",
                    {"rows": len(damaged), "signs": dict(Counter(damaged).most_common(10))},
                    "write the data anew from its source, as UTF-8",
                )
            )
        scripts = Counter(fact["script"] for fact in facts if fact["script"])
        usual, rows = scripts.most_common(1)[0] if scripts else ("", 0)
        if 0.9 * scripts.total() < rows < scripts.total():  # with less there is no usual script to be out of
            others = {script: count for script, count in scripts.most_common() if script != usual}
            message = (
                f"{sum(others.values())} texts are not in {usual} script as the others are, but in {', '.join(others)}"
            )
            findings.append(Finding("language-outliers", "note", message, others, "look whether they belong"))
        return findings + self._cut_rows()

    def _cut_rows(self) -> list[Finding]:
        cut, limit = self.state["cut"], self.state["max_tokens"]
        if not cut:
            return []
        message = f"{cut} training rows are longer than {limit} tokens, and cut there"
        return [Finding("cut-rows", "note", message, {"rows": cut, "max_tokens": limit}, "raise text.max_tokens")]

    def sketch(self, value: str) -> np.ndarray | None:
        """(SKETCH,) MinHash of its shingles of bytes (Broder, 1997): texts agree in as many as they share shingles."""
        content = " ".join(value.lower().split()).encode()
        if len(content) < SHORT:
            return None
        window = np.lib.stride_tricks.sliding_window_view(np.frombuffer(content, np.uint8), SHINGLE)
        keys = np.unique(window.astype(np.uint64) @ _PLACES)  # the shingles as whole numbers
        sketch: np.ndarray = ((keys[:, None] * _MULTIPLIERS) >> np.uint64(33)).min(0).astype(np.int64)
        return sketch

    @classmethod
    def near_copies(cls, sketches: np.ndarray) -> np.ndarray:
        return near_by_minhash(sketches)

    def notes(self, value: str) -> list[str]:
        notes = []
        encoded = self.tokenizer.encode(value, add_special_tokens=False)
        known = map(self.tokenizer.token_to_id, _UNKNOWNS)
        unk = UNKNOWN if not self.offset else next((number for number in known if number is not None), -1)
        unknown = [
            value[slice(*span)] for token, span in zip(encoded.ids, encoded.offsets, strict=True) if token == unk
        ]
        if unknown:
            shown = ", ".join(repr(part) for part in dict.fromkeys(unknown[:5]))
            notes.append(f"{len(unknown)} of {len(encoded.ids)} tokens are unknown to this network: {shown}")
        return notes

    @classmethod
    def caption(cls, value: str) -> str:
        return value if len(value) <= 300 else f"{value[:300]}…"

    # As an answer: `target` (B, T + 1) tokens, of which outputs["logits"] (B, T, V) predict all but the first.

    def loss(self, outputs: Mapping[str, Tensor], target: Tensor) -> Tensor:
        logits = outputs["logits"].float()
        wanted = target[:, 1:].reshape(-1)
        smoothing = self._smoothing if torch.is_grad_enabled() else 0.0  # a means of training, not of measuring
        return F.cross_entropy(logits.flatten(0, 1), wanted, ignore_index=PAD, label_smoothing=smoothing)

    def count(self, target: Tensor) -> Tensor:
        return (target[:, 1:] != PAD).sum()

    def measure(self, outputs: Mapping[str, Tensor], target: Tensor) -> dict[str, tuple[Tensor, int | Tensor]]:
        surprise, wanted = self.surprise(outputs["logits"], target)
        num_bytes = self.bytes_of_tokens.to(wanted.device)[wanted].sum()
        return {"nll": (surprise.sum(), self.count(target)), "bits_per_byte": (surprise.sum() / math.log(2), num_bytes)}

    @staticmethod
    def surprise(logits: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
        """(B, T) -log p of each token of `target` but the first, 0 at padding; and these tokens (B, T)."""
        wanted = target[:, 1:]
        logits = logits.float()
        chosen = logits.gather(2, wanted[:, :, None]).squeeze(2)
        return (logits.logsumexp(2) - chosen) * (wanted != PAD), wanted

    def derive(self, means: dict[str, float]) -> dict[str, float]:
        return {**means, "perplexity": math.exp(min(means["nll"], 700.0))} if "nll" in means else means

    def as_target(self, outputs: Mapping[str, Tensor]) -> Tensor:
        """Each answer up to its first end, between a begin and an end."""
        rows = [row[: row.index(END)] if END in row else row for row in outputs["tokens"].long().tolist()]
        framed = [torch.tensor([BEGIN, *(token for token in row if token != PAD), END]) for row in rows]
        return self.collate(framed).to(outputs["tokens"].device)

    def decode(self, outputs: Mapping[str, np.ndarray]) -> list[dict[str, Any]]:
        return [{"text": self.text(row.astype(int).tolist())} for row in outputs["tokens"]]

    def score(self, predictions: Sequence[Mapping[str, Any]], answers: Sequence[Any]) -> dict[str, float]:
        from ._translation_scores import translation_scores

        return translation_scores([prediction["text"] for prediction in predictions], answers)

    def intervals(
        self, predictions: Sequence[Mapping[str, Any]], answers: Sequence[Any]
    ) -> dict[str, tuple[float, float]]:
        from ._translation_scores import translation_intervals

        return translation_intervals([prediction["text"] for prediction in predictions], answers)

    def baseline(self) -> dict[str, Any]:
        return {"text": ""}

    def chance_loss(self, outputs: Mapping[str, Tensor], target: Tensor) -> float | None:
        return math.log(self.num_outputs)

    def fault(self, prediction: Mapping[str, Any], answer: Any) -> float:
        from ._translation_scores import sentence_fault

        return sentence_fault(prediction["text"], answer)

    @classmethod
    def predicted_caption(cls, prediction: Mapping[str, Any]) -> str:
        return str(prediction["text"])

    def blocks(self, predictions: Sequence[Mapping[str, Any]], answers: Sequence[Any]) -> list[Block]:
        step = max(1, len(answers) // 12)
        rows = [[answers[i], predictions[i]["text"]] for i in range(0, len(answers), step)][:12]
        from ._translation_scores import signatures

        return [Block("Examples", "table", {"columns": ["right", "predicted"], "rows": rows}, signatures())]


def _script(text: str) -> str | None:
    """The script of most letters at the beginning, by their Unicode names: LATIN, CYRILLIC, CJK.

    >>> _script("Привет, world!")
    'CYRILLIC'
    """
    names = [unicodedata.name(letter, "").partition(" ")[0] for letter in text[:64] if letter.isalpha()]
    return Counter(names).most_common(1)[0][0] if names else None


def _unigram(tokenizer: Tokenizer, encoded: Sequence[Sequence[int]]) -> dict[str, float]:
    """How surprising the training rows are to one who knows only how frequent each token is."""
    counts = np.bincount(np.concatenate([np.array(ids, dtype=np.int64) for ids in encoded]), minlength=1)
    seen = counts[counts > 0]
    sizes = np.array(token_bytes(tokenizer))[: len(counts)]
    nll = float(-(seen * np.log(seen / seen.sum())).sum())
    return {"nll": nll, "tokens": int(seen.sum()), "bytes": int((counts * sizes).sum())}


_MULTIPLIERS = np.random.Generator(np.random.Philox(7)).integers(1, 2**63, SKETCH, dtype=np.uint64) | np.uint64(1)
_PLACES = np.uint64(256) ** np.arange(SHINGLE, dtype=np.uint64)
