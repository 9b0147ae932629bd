"""Tokenizers: fitted here, or read from a stranger's file. Padding is token 0, unknown 1, begin 2, end 3."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

from ..finding import BadInput, brief

__all__ = [
    "BEGIN",
    "END",
    "OFFSET",
    "PAD",
    "UNKNOWN",
    "fit_tokenizer",
    "hub_tokenizer",
    "num_tokens",
    "open_tokenizer",
    "read_tokenizer",
    "token_bytes",
]

PAD, UNKNOWN, BEGIN, END = range(4)
OFFSET = 4  # added to the numbers of a foreign tokenizer, whose first tokens are others
SPECIAL = ("[PAD]", "[UNK]", "[BEGIN]", "[END]")
MAX_FILE = 64 << 20  # bytes of a tokenizer.json; the largest in use hold about 35 MB
MAX_VOCAB = 1_000_000
MAX_PATTERN = 1000  # characters of a pattern: it is matched by a backtracking engine
_MODELS = ("BPE", "WordLevel", "WordPiece", "Unigram")
_WORDS = Regex(r"\w+(?:[-'’]\w+)*|[^\w\s]")  # words with their inner hyphens and apostrophes, and single marks  # noqa: RUF001


def fit_tokenizer(texts: Sequence[str], tokens: str, vocab: int, min_count: int, lowercase: bool) -> Tokenizer:
    """A tokenizer for `texts`: `word`, `char`, `byte` or `bpe`."""
    if tokens in ("byte", "bpe"):
        tokenizer = _byte_pairs(texts, vocab if tokens == "bpe" else 0, min_count, lowercase)
    else:
        tokenizer = _listed(texts, tokens, vocab, min_count, lowercase)
    return tokenizer


def _normalizer(lowercase: bool) -> Any:
    return normalizers.Sequence([normalizers.NFC(), normalizers.Lowercase()]) if lowercase else normalizers.NFC()


def _listed(texts: Iterable[str], tokens: str, vocab: int, min_count: int, lowercase: bool) -> Tokenizer:
    """Every word or character that occurs often enough, the most frequent first."""
    splitter = (
        pre_tokenizers.Split(Regex(r"[\s\S]"), "isolated")
        if tokens == "char"
        else pre_tokenizers.Split(_WORDS, "removed", invert=True)
    )
    normalizer = _normalizer(lowercase)
    counts: Counter[str] = Counter()
    for text in texts:
        normal = normalizer.normalize_str(text)
        counts.update(normal if tokens == "char" else [word for word, _ in splitter.pre_tokenize_str(normal)])
    kept = sorted((-count, word) for word, count in counts.items() if count >= min_count)
    words = [word for _, word in kept if word not in SPECIAL][: max(1, vocab - len(SPECIAL))]
    numbered = {word: number for number, word in enumerate((*SPECIAL, *words))}
    tokenizer = Tokenizer(models.WordLevel(numbered, unk_token=SPECIAL[UNKNOWN]))
    tokenizer.normalizer = normalizer
    tokenizer.pre_tokenizer = splitter
    if tokens == "char":
        tokenizer.decoder = decoders.Fuse()
    return tokenizer


def _byte_pairs(texts: Iterable[str], vocab: int, min_count: int, lowercase: bool) -> Tokenizer:
    """Bytes and, up to `vocab` tokens, merges of them within words (Sennrich et al., 2016). Nothing is unknown."""
    tokenizer = Tokenizer(models.BPE(unk_token=None))
    tokenizer.normalizer = _normalizer(lowercase)
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=vocab > 0)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=max(vocab, len(SPECIAL) + 256),
        min_frequency=max(2, min_count),
        special_tokens=list(SPECIAL),
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts if vocab else [], trainer)
    # The trainer makes its special tokens match in text: someone's "[PAD]" would be padding, their "[END]" the end.
    return Tokenizer.from_str(json.dumps({**json.loads(tokenizer.to_str()), "added_tokens": []}))


def open_tokenizer(text: str) -> Tokenizer:
    """A tokenizer from its JSON, as a schema keeps it."""
    try:
        return Tokenizer.from_str(text)
    except Exception as error:  # the library raises plain Exceptions
        raise BadInput(f"the tokenizer in schema.json is damaged: {error}") from error


def read_tokenizer(path: Path) -> Tokenizer:
    """A tokenizer.json from a stranger: bounded before it is parsed, of a known model, and without patterns that are
    too long to trust.
    """
    try:
        size = path.stat().st_size
        if size > MAX_FILE:
            raise BadInput(f"{path}: {size:,} bytes are more than the {MAX_FILE:,} of the largest tokenizers")
        text = path.read_text(encoding="utf-8")
        about = json.loads(text)
        model = about["model"]
        vocab = model["vocab"]
        kind, size = model.get("type", "BPE"), len(vocab)
        patterns = _patterns(about)
    except OSError as error:
        raise BadInput(f"{path}: {error.strerror}") from error
    except (ValueError, RecursionError, KeyError, TypeError, AttributeError) as error:
        reason = f"{type(error).__name__}: {error}"
        raise BadInput(f"{path}: not a tokenizer.json of the tokenizers library ({reason})") from error
    if kind not in _MODELS:
        raise BadInput(f"{path}: a tokenizer of type {kind!r}; what can be used is one of {', '.join(_MODELS)}")
    if size > MAX_VOCAB:
        raise BadInput(f"{path}: {size:,} tokens are more than {MAX_VOCAB:,}")
    if long := [pattern for pattern in patterns if len(pattern) > MAX_PATTERN]:
        raise BadInput(f"{path}: a pattern of {len(long[0]):,} characters; {MAX_PATTERN:,} is the most")
    try:
        tokenizer = Tokenizer.from_str(text)
    except Exception as error:  # the library raises plain Exceptions
        raise BadInput(f"{path}: not a whole tokenizer: {brief(error)}") from error
    if (size := num_tokens(tokenizer)) > MAX_VOCAB:
        raise BadInput(f"{path}: its tokens have numbers up to {size - 1:,}; {MAX_VOCAB:,} is the most")
    tokenizer.no_padding()
    tokenizer.no_truncation()
    return tokenizer


def hub_tokenizer(source: str) -> Tokenizer:
    """The tokenizer of a Hugging Face model, by name or folder."""
    try:
        from transformers.utils.hub import cached_file

        path = cached_file(
            str(Path(source).expanduser()) if Path(source).expanduser().is_dir() else source, "tokenizer.json"
        )
    except ImportError as error:
        raise BadInput("model=hf:NAME needs transformers: pip install 'snowball[hf]'") from error
    except Exception as error:  # what its network raises
        raise BadInput(f"model=hf:{source}: has no tokenizer.json: {brief(error)}") from error
    return read_tokenizer(Path(str(path)))


def _patterns(value: Any) -> list[str]:
    if isinstance(value, dict):
        own = [value["Regex"]] if isinstance(value.get("Regex"), str) else []
        return own + [found for key, part in value.items() if key != "vocab" for found in _patterns(part)]
    if isinstance(value, list):
        return [found for part in value if isinstance(part, dict | list) for found in _patterns(part)]
    return []


def num_tokens(tokenizer: Tokenizer) -> int:
    """One more than the largest number of a token: a foreign tokenizer may leave numbers out."""
    return 1 + max(tokenizer.get_vocab().values(), default=-1)


def token_bytes(tokenizer: Tokenizer) -> list[int]:
    """UTF-8 bytes that each token stands for; 0 for the special ones."""
    by_byte = isinstance(tokenizer.decoder, decoders.ByteLevel)
    tokens = [tokenizer.id_to_token(number) or "" for number in range(num_tokens(tokenizer))]
    sizes = [len(token) if by_byte else len(token.encode()) for token in tokens]
    return [0 if tokens[number] in SPECIAL else size for number, size in enumerate(sizes)]
