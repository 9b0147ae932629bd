"""Audio-visual speech: film with its sound -> text, spelt over time by CTC; either stream alone will do."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from typing import Any, ClassVar

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

from ..comparison import Condition
from ..design.audio import SoundNetworkSection, stride_of
from ..design.audio_visual import NETWORKS, AudioVisualSpeller, FusionSection
from ..design.lips import LipShape
from ..design.spectrum import LogMel
from ..finding import BadInput, Finding
from ..kind import Batch
from ..kinds._sound_augment import SoundAugment, with_noise
from ..kinds._sync import lag_of, sync_curve
from ..kinds.audio import PADDING
from ..kinds.lips import PADDING as NO_FRAME
from ..kinds.lips import RATE, LipsKind
from ..recipe import Recipe, Section
from ..rng import SampleRandom
from ..schema import Schema
from ..table import Table
from ._over_time import sound_shape
from ._spelled import Spelled

__all__ = ["AudioVisualSpeech"]

OFFSET_FRAMES = 2  # by which streams may be apart; people notice sound that is 2 frames early (ITU-R BT.1359)
SURE = 0.15  # by how much sound and lips have to correlate better elsewhere than in step
CLEAN = 30.0  # decibels, where a plot has the sound as it is
NOISE = (CLEAN, 20.0, 10.0, 5.0, 0.0, -5.0, -10.0)


class AudioVisualSpeech(Spelled):
    """Outputs `logits` (B, steps, tokens) and `frames` (B,), how many of the steps are a row's own."""

    name = "audio-visual-speech"
    given: ClassVar[Mapping[str, str]] = {"audio": "audio", "video": "lips"}
    optional: ClassVar[frozenset[str]] = frozenset(("audio", "video"))
    sources: ClassVar[Mapping[str, str]] = {"audio": "video"}
    sections: ClassVar[tuple[type[Section], ...]] = (SoundNetworkSection, FusionSection)
    sample = "talking"
    conditions_label: ClassVar[str] = "signal to noise, dB"
    conditions_note: ClassVar[str] = f"white noise; {CLEAN:g} dB stands for the sound as it is"
    quick: ClassVar[Mapping[str, Any]] = {
        **{"train.epochs": 8, "train.batch_size": 8, "model.dropout": 0.0, "train.ema": 0.0},
        **{"network.channels": 8, "network.width": 48, "network.layers": 1, "fusion.layers": 1, "audio.mels": 24},
        **{"optim.lr": 0.006, "augment.shift": 0.0, "augment.masked_bands": 0, "augment.masked_spans": 0},
        **{"augment.snr": None, "data.test": 0.1, "fusion.alone": 0.3, "fusion.taught": 0.0},
    }

    @classmethod
    def networks(cls) -> dict[str, str]:
        return NETWORKS

    @classmethod
    def defaults(cls, table: Table, asked: Mapping[str, Any]) -> dict[str, Any]:
        return {
            **super().defaults(table, asked),
            "model.dropout": 0.1,
            "network.stride": 4,
            "augment.gain": 6.0,
            "augment.snr": -5.0,
            "augment.masked_bands": 1,
            "augment.masked_spans": 1,
            "augment.shift": 0.05,
        }

    @classmethod
    def resolve(cls, recipe: Recipe, schema: Schema) -> dict[str, Any]:
        if recipe[SoundAugment].speed:
            raise BadInput("augment.speed: sound alone would be played faster, and run away from the lips; use 0")
        return {}

    @property
    def _lips(self) -> LipsKind:
        kind = self.kinds["video"]
        assert isinstance(kind, LipsKind)
        return kind

    def model(self) -> nn.Module:
        recipe = self.recipe
        lips = LipShape(*self._lips.size, NO_FRAME, recipe.model.dropout)
        size = recipe[SoundNetworkSection]
        return AudioVisualSpeller(recipe.model.name, sound_shape(self), lips, RATE, size, recipe[FusionSection])

    @cached_property
    def _features(self) -> LogMel:
        return sound_shape(self).features()

    def encode(self, given: Mapping[str, Any], answer: Any) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """A transcript that fits neither into the sound nor into the film is refused: no alignment could spell it."""
        inputs, targets = super().encode(given, answer)
        step = self._features.hop / sound_shape(self).rate * stride_of(self.recipe[SoundNetworkSection])
        seconds = max((given[role].seconds for role in self.given if given[role] is not None), default=0.0)
        self.transcript.check_fits(targets["text"], int(seconds / step))
        return inputs, targets

    def loss(self, outputs: Mapping[str, Tensor], batch: Batch) -> Tensor:
        """Of what both streams spell; in training also of what each spells alone, and how far it is from both's."""
        loss = super().loss(outputs, batch)
        if "alone_logits" not in outputs:
            return loss
        fusion, target = self.recipe[FusionSection], batch.targets[self.answer_role]
        teacher = outputs["logits"].detach().softmax(2)
        steps = torch.arange(teacher.shape[1], device=teacher.device)
        tokens = self.transcript.count(target).clamp(min=1)
        for logits, frames in zip(outputs["alone_logits"].unbind(1), outputs["alone_frames"].unbind(1), strict=True):
            apart = -(teacher * logits.log_softmax(2)).sum(2)  # (B, S)
            taught = (apart * (steps < frames[:, None])).sum() / tokens
            alone = self.answer_kind.loss({"logits": logits, "frames": frames}, target)
            loss = loss + fusion.alone * alone + fusion.taught * taught
        return loss / (1 + 2 * fusion.alone)

    def conditions(self) -> list[Condition]:
        """Both streams, and the sound alone, under white noise from none to 10 dB above the speech; the lips alone."""
        found = [Condition("video", None, self._change(None, ("video",)))]
        for decibels in NOISE:
            noisy = None if decibels == CLEAN else decibels
            for group, keeps in (("audio", ("audio",)), ("both", ("audio", "video"))):
                found.append(Condition(group, decibels, self._change(noisy, keeps)))
        return found

    @staticmethod
    def _change(
        decibels: float | None, keeps: tuple[str, ...]
    ) -> Callable[[Mapping[str, Tensor], SampleRandom], dict[str, Tensor]]:
        def change(inputs: Mapping[str, Tensor], rng: SampleRandom) -> dict[str, Tensor]:
            audio, video = inputs["audio"], inputs["video"]
            if "audio" not in keeps:
                audio = torch.full_like(audio, PADDING)
            elif decibels is not None:
                audio = with_noise(audio, PADDING, torch.full((len(audio), 1), decibels, device=audio.device), rng)
            return {**inputs, "audio": audio, "video": video if "video" in keeps else torch.full_like(video, NO_FRAME)}

        return change

    def facts(self, given: Mapping[str, Any], answer: Any) -> dict[str, dict[str, Any]]:
        """Also by how much the streams of a row are apart."""
        facts = super().facts(given, answer)
        sound, film = given["audio"], given["video"]
        both = sound is not None and film is not None
        apart = {
            "missing": [role for role in self.given if given[role] is None],
            "offset": sound.facts.get("begins", 0.0) if both else None,
            "sync": sync_curve(sound.samples, sound.rate, self._lips.mouth(film), RATE) if both else None,
        }
        return {**facts, self.answer_role: {**facts[self.answer_role], **apart}}

    def audit(self, facts: Mapping[str, Sequence[Mapping[str, Any]]]) -> list[Finding]:
        return [*super().audit(facts), *_missing(facts[self.answer_role]), *_offset(facts[self.answer_role])]

    def present(self, answer: dict[str, Any], given: Mapping[str, Any]) -> dict[str, Any]:
        """When words are said, in seconds of that very film, and what of it was there."""
        streams = [role for role, value in given.items() if value is not None]
        return {**super().present(answer, given), "streams": streams}

    def draw(
        self, given: Mapping[str, Any], answer: Any = None, prediction: Mapping[str, Any] | None = None
    ) -> Image.Image | str:
        """The lips above the sound, both from left to right, and the words below."""
        pictures = [self.kinds[role].draw(given[role]) for role in ("video", "audio") if given[role] is not None]
        drawn = [picture for picture in pictures if isinstance(picture, Image.Image)]
        width = drawn[-1].width
        drawn = [p.convert("RGB").resize((width, max(1, round(p.height * width / p.width)))) for p in drawn]
        stacked = Image.new("RGB", (width, sum(picture.height for picture in drawn)), "white")
        top = 0
        for picture in drawn:
            stacked.paste(picture, (0, top))
            top += picture.height
        return self.answer_kind.draw_on(stacked, answer, prediction)


def _missing(facts: Sequence[Mapping[str, Any]]) -> list[Finding]:
    findings = []
    for role in ("audio", "video"):
        rows = sum(role in fact["missing"] for fact in facts)
        if rows:
            message = (
                f"{rows} of {len(facts)} rows have no {role}: they are learned from and scored with the rest alone"
            )
            findings.append(Finding("missing-stream", "note", message, {"role": role, "rows": rows}))
    return findings


def _offset(facts: Sequence[Mapping[str, Any]]) -> list[Finding]:
    """How far sound and pictures are apart: by time stamps, which are obeyed, and by what moves with what."""
    offsets = np.array([fact["offset"] for fact in facts if fact["offset"] is not None])
    curves = [fact["sync"] for fact in facts if fact["sync"] is not None]
    if not len(offsets):
        return []
    typical, largest = float(np.median(offsets)), float(offsets[np.abs(offsets).argmax()])
    evidence: dict[str, Any] = {"median_seconds": round(typical, 4), "largest_seconds": round(largest, 4)}
    message = f"by time stamps, sound begins {typical:+.3f} s after the pictures (at most {largest:+.3f} s)"
    fix, late = "", 0
    if curves:
        lag, there, in_step = lag_of(curves)
        evidence |= {
            "lag_frames": lag,
            "correlation": round(there, 3),
            "in_step": round(in_step, 3),
            "rows": len(curves),
        }
        message += f"; loudness follows the lips best {lag / RATE:+.2f} s later"
        message += f" (correlation {there:.2f}, in step {in_step:.2f})"
        late = lag if there - in_step > SURE else 0
    far = abs(late) > OFFSET_FRAMES or abs(largest) * RATE > OFFSET_FRAMES
    if abs(late) > OFFSET_FRAMES:
        fix = f"sound and pictures were joined wrongly: move the sound by {-late / RATE:+.2f} s (ffmpeg -itsoffset)"
    elif far:
        fix = "time stamps are obeyed: nothing is to be done where they are right"
    return [Finding("stream-offset", "warning" if far else "note", message, evidence, fix)]
