"""Speech recognition: audio -> text, spelt over time by CTC."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any, ClassVar

import numpy as np
from torch import Tensor, nn

from ..design.audio import NETWORKS, SoundNetworkSection, SoundSpeller, stride_of
from ..design.spectrum import LogMel
from ..finding import Finding
from ..recipe import Section
from ..table import Table
from ._over_time import HEARD, sound_shape
from ._spelled import Spelled

__all__ = ["SpeechRecognition"]

PACE = 3.0  # times faster or slower than usual that somebody speaks


class SpeechRecognition(Spelled):
    """Outputs `logits` (B, T, tokens) and `frames` (B,)."""

    name = "speech-recognition"
    given: ClassVar[Mapping[str, str]] = {"audio": "audio"}
    sections: ClassVar[tuple[type[Section], ...]] = (SoundNetworkSection,)
    hours: ClassVar[float] = 20
    typical_seconds: ClassVar[float] = 3.0
    sample = "spoken"
    quick: ClassVar[Mapping[str, Any]] = {
        **{"train.epochs": 8, "train.batch_size": 16, "model.dropout": 0.0, "train.ema": 0.0, "optim.lr": 0.01},
        **{"network.channels": 8, "network.width": 48, "network.layers": 1, "network.stride": 2},
        **{"audio.mels": 24, "audio.hop_ms": 20.0},
        **{"augment.speed": 0.0, "augment.snr": None, "augment.masked_bands": 0, "augment.masked_spans": 0},
    }

    @classmethod
    def networks(cls) -> dict[str, str]:
        return NETWORKS

    @classmethod
    def defaults(cls, table: Table, asked: Mapping[str, Any]) -> dict[str, Any]:
        return {**super().defaults(table, asked), **HEARD, "network.stride": 4}

    @cached_property
    def _features(self) -> LogMel:
        return sound_shape(self).features()

    def model(self) -> nn.Module:
        return SoundSpeller(self.recipe.model.name, sound_shape(self), self.recipe[SoundNetworkSection])

    def encode(self, given: Mapping[str, Any], answer: Any) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """A transcript that does not fit into its sound is refused: no alignment could spell it."""
        inputs, targets = super().encode(given, answer)
        frames = self._features.frames(len(inputs["audio"]))
        self.transcript.check_fits(targets["text"], -(-frames // stride_of(self.recipe[SoundNetworkSection])))
        return inputs, targets

    def audit(self, facts: Mapping[str, Sequence[Mapping[str, Any]]]) -> list[Finding]:
        """Also recordings that are far too long or short for what is said in them."""
        seconds = np.array([fact["seconds"] for fact in facts["audio"]])
        characters = np.array([max(1, fact["characters"]) for fact in facts["text"]])
        pace = characters / seconds
        usual = float(np.median(pace)) if len(pace) else 1.0
        odd = (pace > PACE * usual) | (pace < usual / PACE)
        findings = super().audit(facts)
        if odd.any() and len(pace) >= 10:
            message = (
                f"{int(odd.sum())} of {len(pace)} recordings are spoken over {PACE:g} times faster or slower than usual"
            )
            evidence = {"rows": int(odd.sum()), "usual_characters_per_second": round(usual, 1)}
            evidence |= {"fastest": round(float(pace.max()), 1), "slowest": round(float(pace.min()), 1)}
            fix = "listen to them: another's transcript, a header with a wrong rate, or long silence"
            findings.append(Finding("odd-pace", "warning", message, evidence, fix))
        return findings
