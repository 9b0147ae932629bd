"""Transcript: a text that is spelt over the frames of something that runs over time, such as speech or lips.

The network gives `logits` (B, T, V) and `frames` (B,), how many of the T are a row's own; what they are frames of is
nothing to it. Trained by CTC; token 0, padding elsewhere, is the blank. B rows, T frames, V tokens, S of a text.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import torch
from PIL import Image, ImageDraw
from pydantic import Field
from torch import Tensor

from ..finding import BadInput, Finding
from ..kind import Block, Metric, Unreadable
from ..recipe import Recipe, Section
from ..table import Table
from ._ctc import align, beam_tokens, ctc_nll, frames_needed, greedy_tokens
from .text import TextKind, TextSection

if TYPE_CHECKING:
    from ._spelling import Spelling

__all__ = ["TranscriptKind", "TranscriptOptions", "TranscriptSection", "words_column"]

_MARKS = re.compile(r"[^\w\s']|_")
_WORDS = ("text", "transcript", "transcription", "sentence", "utterance", "words")
BAND = 22  # pixels below a picture that words are written in
WITH_MODEL = 16  # hypotheses that are kept where a language model has a say


class TranscriptSection(Section):
    """What of a transcript counts, in training and in scores."""

    key = "transcript"

    lowercase: bool = True
    """Read everything in lower case."""
    punctuation: bool = False
    """Keep marks other than apostrophes; they are rarely heard."""


class TranscriptOptions(Section):
    """How an answer is searched for."""

    key = "predict"

    beams: int | None = Field(None, ge=1, le=256)
    """Texts that are kept at every frame; 1: the likeliest token of each. Default: 1, with a language model 16."""
    lm: str | None = None
    """The run of a language model of characters, whose opinion counts too."""
    lm_weight: float = Field(0.5, ge=0, le=10)
    """What it counts, beside 1 for what was heard or seen."""
    length_bonus: float = Field(1.0, ge=-10, le=10)
    """Added to the log probability of every character, since a language model prefers to say little."""


class TranscriptKind(TextKind):
    """State: as of text, of transcripts as they count; `constant`, the best answer that ignores what is given.

    Outputs: `logits` (B, T, V) and `frames` (B,).
    """

    key = "transcript"
    column: ClassVar[str | None] = "text"
    sections: ClassVar[tuple[type[Section], ...]] = (TextSection, TranscriptSection)
    suffixes: ClassVar[frozenset[str]] = frozenset()
    metric: ClassVar[Metric] = Metric("token_error_rate", "min")
    headline: ClassVar[Metric | None] = Metric("wer", "min")

    @classmethod
    def fit(cls, values: Iterable[str], recipe: Recipe) -> dict[str, Any]:
        texts = [text for value in values if (text := normal(value, recipe[TranscriptSection]))]
        if not texts:
            raise BadInput("no transcript with a letter or a digit among the training rows")
        from ._word_errors import best_constant

        return {**super().fit(texts, recipe), "constant": best_constant(texts)}

    def normal(self, value: str) -> str:
        """A transcript as it counts."""
        return normal(value, self.recipe[TranscriptSection])

    def encode(self, value: str) -> Tensor:
        """(S,) token numbers. Raises Unreadable where nothing is left that could be said."""
        text = self.normal(value)
        if not text:
            raise Unreadable(f"transcript {value[:40]!r} holds no letter and no digit")
        tokens = super().encode(text)
        if len(tokens) > (most := self.recipe[TextSection].max_tokens):
            raise Unreadable(f"a transcript of {len(tokens):,} tokens; text.max_tokens={most:,}")
        return tokens

    def check_fits(self, tokens: Tensor, frames: int) -> None:
        """Raise Unreadable where no alignment over so many frames can spell the tokens."""
        if (needed := frames_needed(tokens.tolist())) > frames:
            text = self.text(tokens.tolist())[:40]
            short = f"too short for its transcript {text!r}: {frames} frames, which takes {needed}"
            raise Unreadable(f"{short}; a lower network.stride gives more")

    @classmethod
    def facts(cls, value: str) -> dict[str, Any]:
        return {**super().facts(value), "counts": dict(Counter(value))}

    def audit(self, facts: Sequence[Mapping[str, Any]]) -> list[Finding]:
        counts: Counter[str] = Counter()
        for fact in facts:
            counts.update(Counter(fact["counts"]))
        kept: Counter[str] = Counter()
        for character, num in counts.items():
            for part in self.normal(f"a{character}a")[1:-1]:
                kept[part] += num
        once = sorted(character for character, num in kept.items() if num == 1)
        findings = super().audit(facts)
        if once:
            message = (
                f"{len(once)} characters occur once in all transcripts, and cannot be learned: {' '.join(once[:20])}"
            )
            fix = "look for slips of the pen; write the text another way, or set text.min_count=2"
            findings.append(Finding("rare-characters", "note", message, {"characters": once[:100]}, fix))
        return findings

    def _cut_rows(self) -> list[Finding]:
        return []  # longer ones are set aside instead

    def loss(self, outputs: Mapping[str, Tensor], target: Tensor) -> Tensor:
        nll = ctc_nll(outputs["logits"], outputs["frames"], target).sum()
        if self._smoothing and torch.is_grad_enabled():  # Kim et al., 2018: towards equal shares at every frame
            surprise = -outputs["logits"].float().log_softmax(2).mean(2)  # (B, T)
            inside = torch.arange(surprise.shape[1], device=surprise.device) < outputs["frames"][:, None]
            nll = (1 - self._smoothing) * nll + self._smoothing * (surprise * inside).sum()
        return nll / self.count(target).clamp(min=1)

    def count(self, target: Tensor) -> Tensor:
        return (target != 0).sum()

    def measure(self, outputs: Mapping[str, Tensor], target: Tensor) -> dict[str, tuple[Tensor, int | Tensor]]:
        from rapidfuzz.distance import Levenshtein

        found = greedy_tokens(outputs["logits"], outputs["frames"])
        wrong = sum(
            Levenshtein.distance(tokens, [token for token in right if token])
            for tokens, right in zip(found, target.tolist(), strict=True)
        )
        return {"token_error_rate": (torch.tensor(float(wrong)), self.count(target))}

    def derive(self, means: dict[str, float]) -> dict[str, float]:
        return means

    def chance_loss(self, outputs: Mapping[str, Tensor], target: Tensor) -> float | None:
        """Every token as likely as any other at every frame: the more alignments, the likelier the text."""
        return float(self.loss({**outputs, "logits": torch.zeros_like(outputs["logits"])}, target))

    def finish(self, outputs: dict[str, Tensor]) -> dict[str, Tensor]:
        """Frames behind a row's own say nothing, and hang on its batch: they become 0."""
        logits = outputs["logits"]
        inside = torch.arange(logits.shape[1], device=logits.device) < outputs["frames"][:, None]
        return {"logits": logits * inside[:, :, None], "frames": outputs["frames"]}

    def as_target(self, outputs: Mapping[str, Tensor]) -> Tensor:
        """The likeliest token of every frame; a row that says nothing is all blank."""
        found = greedy_tokens(outputs["logits"], outputs["frames"])
        return self.collate([torch.tensor(tokens or [0]) for tokens in found]).to(outputs["logits"].device)

    def decode(self, outputs: Mapping[str, np.ndarray]) -> list[dict[str, Any]]:
        asked = self.options if isinstance(self.options, TranscriptOptions) else TranscriptOptions()
        beams = asked.beams or (WITH_MODEL if asked.lm else 1)
        logits = torch.from_numpy(np.asarray(outputs["logits"])).float()
        frames = torch.from_numpy(np.asarray(outputs["frames"])).long()
        greedy = greedy_tokens(logits, frames) if beams == 1 and not asked.lm else [None] * len(logits)
        answers = []
        for row, num, tokens in zip(logits.log_softmax(2).numpy(), frames.tolist(), greedy, strict=True):
            heard = row[:num]
            spelling = self._spelling
            found = beam_tokens(heard, beams, spelling.scores if spelling else None) if tokens is None else tokens
            answers.append(self._answer(heard, found))
        return answers

    @cached_property
    def _spelling(self) -> Spelling | None:
        asked = self.options
        if not isinstance(asked, TranscriptOptions) or asked.lm is None:
            return None
        from ._spelling import Spelling

        return Spelling(
            asked.lm, [self.text([token]) for token in range(self.num_outputs)], asked.lm_weight, asked.length_bonus
        )

    def _answer(self, log_probs: np.ndarray, tokens: Sequence[int]) -> dict[str, Any]:
        """The text, how sure it is, and when each word is said, as shares of the row's length; log_probs (T, V)."""
        spans = align(log_probs, tokens)
        peaks = [float(log_probs[first:last, token].max()) for token, (first, last) in zip(tokens, spans, strict=False)]
        written = [len(self.text(tokens[: number + 1])) for number in range(len(tokens))]
        text = " ".join(self.text(tokens).split())
        words = []
        for match in re.finditer(r"\S+", self.text(tokens)) if spans else ():
            first, last = np.searchsorted(written, [match.start() + 1, match.end()])
            begin, end = spans[first][0] / len(log_probs), spans[last][1] / len(log_probs)
            words.append({"word": match[0], "start": round(begin, 4), "end": round(end, 4)})
        return {"text": text, "confidence": round(float(np.exp(np.mean(peaks))) if peaks else 0.0, 4), "words": words}

    @staticmethod
    def in_seconds(answer: Mapping[str, Any], seconds: float) -> dict[str, Any]:
        """A decoded answer whose words begin and end in seconds of a row that lasts so long."""
        words = [
            {**word, **{key: round(word[key] * seconds, 3) for key in ("start", "end")}} for word in answer["words"]
        ]
        return {**answer, "words": words}

    def _pairs(self, predictions: Sequence[Mapping[str, Any]], answers: Sequence[Any]) -> tuple[list[str], list[str]]:
        return [str(prediction["text"]) for prediction in predictions], [self.normal(answer) for answer in answers]

    def score(self, predictions: Sequence[Mapping[str, Any]], answers: Sequence[Any]) -> dict[str, float]:
        from ._word_errors import error_rates

        return error_rates(*self._pairs(predictions, answers))

    def intervals(
        self, predictions: Sequence[Mapping[str, Any]], answers: Sequence[Any]
    ) -> dict[str, tuple[float, float]]:
        from ._word_errors import error_intervals

        return error_intervals(*self._pairs(predictions, answers))

    def baseline(self) -> dict[str, Any]:
        return {"text": self.state["constant"], "confidence": 1.0, "words": []}

    def fault(self, prediction: Mapping[str, Any], answer: Any) -> float:
        from ._word_errors import words_wrong

        right = self.normal(answer)
        return words_wrong(str(prediction["text"]), right) / max(1, len(right.split()))

    def blocks(self, predictions: Sequence[Mapping[str, Any]], answers: Sequence[Any]) -> list[Block]:
        import jiwer

        given, right = self._pairs(predictions, answers)
        made = jiwer.process_words(right, given)
        counts = [["right", made.hits], ["replaced", made.substitutions], ["left out", made.deletions]]
        counts.append(["put in", made.insertions])
        confused: Counter[tuple[str, str]] = Counter()
        for reference, hypothesis, parts in zip(made.references, made.hypotheses, made.alignments, strict=True):
            for part in parts:
                if part.type != "equal":
                    wanted = " ".join(reference[part.ref_start_idx : part.ref_end_idx])
                    confused[wanted, " ".join(hypothesis[part.hyp_start_idx : part.hyp_end_idx])] += 1
        rows = [[*pair, num] for pair, num in confused.most_common(30)]
        step = max(1, len(answers) // 12)
        examples = [[right[i], given[i]] for i in range(0, len(answers), step)][:12]
        columns = ["right", "predicted"]
        return [
            Block("Words", "table", {"columns": ["", "words"], "rows": counts}, self._about()),
            Block("Confused most often", "table", {"columns": [*columns, "times"], "rows": rows}),
            Block("Examples", "table", {"columns": columns, "rows": examples}),
        ]

    def _about(self) -> str:
        asked = self.recipe[TranscriptSection]
        case = "in lower case, " if asked.lowercase else ""
        return f"of transcripts {case}{'with' if asked.punctuation else 'without'} punctuation"

    def draw_on(self, picture: Image.Image, answer: Any, prediction: Mapping[str, Any] | None) -> Image.Image:
        """The words below the picture, each where it is said, its beginning and end marked in the picture."""
        words = (prediction or {}).get("words") or []
        drawn = Image.new("RGB", (picture.width, picture.height + BAND), "white")
        drawn.paste(picture.convert("RGB"))
        pen = ImageDraw.Draw(drawn)
        for word in words:
            left, right = (int(word[key] * (picture.width - 1)) for key in ("start", "end"))
            for x in (left, right):
                pen.line([(x, picture.height // 4), (x, picture.height + 3)], fill=(120, 220, 255), width=1)
            pen.line([(left, picture.height + 2), (right, picture.height + 2)], fill=(29, 95, 168), width=2)
            width = pen.textlength(word["word"])
            place = min(max(0.0, (left + right - width) / 2), picture.width - width)
            pen.text((place, picture.height + 6), word["word"], fill=(20, 25, 30))
        return drawn


def words_column(table: Table, recipe: Recipe) -> str | None:
    """Of several columns of text, the one whose name says that it holds the words, if the recipe names none."""
    texts = [name for name, column in table.columns.items() if column.kind == "text"]
    if len(texts) < 2 or recipe.data.answer is not None:
        return recipe.data.answer
    named = sorted((name for name in texts if name.lower() in _WORDS), key=lambda name: _WORDS.index(name.lower()))
    if not named:
        raise BadInput(f"{table.name}: columns {', '.join(texts)}: which is what is said? data.answer={texts[0]}")
    return named[0]


def normal(text: str, section: TranscriptSection) -> str:
    """A transcript as it counts: one form of each letter, in lower case, without marks, single spaces between words.

    >>> normal("Well,  it's TWENTY-one!", TranscriptSection())
    "well it's twenty one"
    """
    text = unicodedata.normalize("NFC", text)
    text = text.lower() if section.lowercase else text
    return " ".join((text if section.punctuation else _MARKS.sub(" ", text)).split())
