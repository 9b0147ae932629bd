"""A command line taken apart: `VERB WORDS key=value`, with `-o PATH`, `--json` and `--debug` everywhere."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from .finding import BadInput, nearest

if TYPE_CHECKING:
    from .run import Run

__all__ = ["Words", "split_words"]


@dataclass(frozen=True)
class Words:
    """What stood behind a verb: words, `key=value` pairs as text, and the flags; `usage` says what the verb takes."""

    verb: str
    usage: str
    words: list[str]
    pairs: list[str]
    output: Path | None
    as_json: bool

    def one(self, what: str) -> str:
        """The verb's only word."""
        if len(self.words) != 1:
            raise BadInput(f"snowball {self.verb} takes one {what}, got {len(self.words)}: {self.usage}")
        return self.words[0]

    def run(self, most: float = 1) -> Run:
        """The run folder that the first of at most so many words names."""
        from .run import Run

        if not self.words:
            raise BadInput(f"which run? {self.usage}")
        if len(self.words) > most:
            raise BadInput(f"{self.words[int(most)]!r} is a word too many: {self.usage}")
        return Run(self.words[0])

    def pair(self, key: str) -> str | None:
        """The value of the only key that the verb knows."""
        from .recipe import parse_overrides

        values = parse_overrides(self.pairs)
        for other in values:
            if other != key:
                raise BadInput(f"unknown key {other!r}{nearest(other, [key])}: {self.usage}")
        return None if values.get(key) is None else str(values[key])


def split_words(verb: str, usage: str, rest: Sequence[str]) -> Words:
    """Take what stands behind a verb apart.

    >>> split_words("export", "", ["runs/digits-001", "data=digits", "-o", "m.onnx"]).pairs
    ['data=digits']
    """
    output: Path | None = None
    words: list[str] = []
    pairs: list[str] = []
    position = 0
    while position < len(rest):
        word = rest[position]
        if word == "-o":
            position += 1
            if position == len(rest):
                raise BadInput("-o needs a path")
            output = Path(rest[position])
        elif word.startswith("-") and word != "--json":
            raise BadInput(
                f"no flag {word!r}: keys are written key=value; the flags are -o PATH, --json, --debug, --help"
            )
        elif word != "--json":
            (pairs if _is_pair(word) else words).append(word)
        position += 1
    return Words(verb, usage, words, pairs, output, "--json" in rest)


def _is_pair(word: str) -> bool:
    """`epochs=3` is a pair; a file called `a=b.png` is not, when it is there."""
    key, equals, _ = word.partition("=")
    return bool(equals) and key.replace(".", "").replace("_", "").replace("-", "").isalnum() and not Path(word).exists()
