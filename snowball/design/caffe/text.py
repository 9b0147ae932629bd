"""The text form of protocol buffers, in which Caffe writes networks: names, values, and the line each stands on.

Source: protobuf.dev/reference/protobuf/textformat-spec. Nothing is looked up here: what names mean is definition.py's.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from ...finding import BadInput

__all__ = ["Entry", "Message", "parse_text", "read_text"]

MAX_BYTES = 2_000_000  # ResNet-152 takes 60,000; this much is read in two seconds
MAX_DEPTH = 32  # a network needs five

_TOKEN = re.compile(
    r"""(?P<space>[ \t\r\f\v,;]+|\#[^\n]*)
      | (?P<line>\n)
      | (?P<name>[A-Za-z_][A-Za-z0-9_]*)
      | (?P<number>[-+]?(?:0[xX][0-9a-fA-F]+|(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][-+]?[0-9]+)?[fF]?|inf|nan))
      | (?P<string>"(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)*')
      | (?P<mark>[{}<>:\[\]])""",
    re.VERBOSE,
)
_ESCAPE = re.compile(r"\\(x[0-9a-fA-F]{1,2}|[0-7]{1,3}|.)", re.DOTALL)
_ESCAPED = {"n": "\n", "t": "\t", "r": "\r", "a": "\a", "b": "\b", "f": "\f", "v": "\v"}
_CLOSES = {"{": "}", "<": ">"}


class Word(str):
    """A value without quotes: an enumerator, `true`, `false`."""


Value = str | int | float


class Entry(NamedTuple):
    """One `name: value` or `name { ... }`, and its line."""

    name: str
    value: Message | Value
    line: int


@dataclass
class Message:
    """Entries in the order they stand in; the line where it begins."""

    line: int
    entries: list[Entry] = field(default_factory=list)


class _Token(NamedTuple):
    kind: str
    text: str
    line: int


def read_text(path: Path) -> Message:
    """A file in text form. Raises BadInput that names the line."""
    try:
        with path.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise BadInput(f"{path}: cannot be read: {error.strerror}") from error
    if len(content) > MAX_BYTES:
        raise BadInput(f"{path}: more than {MAX_BYTES:,} bytes: no definition of a network is that long")
    try:
        return parse_text(content.decode("utf-8"), str(path))
    except UnicodeDecodeError as error:
        raise BadInput(f"{path}: not text (byte {error.start} is no UTF-8): the weights are the second file") from error


def parse_text(text: str, source: str = "text") -> Message:
    """Parse text form.

    >>> message = parse_text('layer { name: "a" top: "x" }')
    >>> [(entry.name, entry.value) for entry in message.entries[0].value.entries]
    [('name', 'a'), ('top', 'x')]
    """
    root = Message(1)
    stack: list[tuple[Message, str]] = [(root, "")]
    tokens = _tokens(text, source)
    for token in tokens:
        message, closes = stack[-1]
        if token.text == closes and token.kind == "mark":
            stack.pop()
            continue
        if token.kind != "name":
            raise BadInput(f"{source}, line {token.line}: {_shown(token)} where a name should stand")
        following = _following(tokens, source, token)
        colon = following.text == ":" and following.kind == "mark"
        if colon:
            following = _following(tokens, source, token)
        if following.kind == "mark" and following.text in _CLOSES:
            if len(stack) > MAX_DEPTH:
                raise BadInput(f"{source}, line {token.line}: nested more than {MAX_DEPTH} deep")
            inner = Message(token.line)
            message.entries.append(Entry(token.text, inner, token.line))
            stack.append((inner, _CLOSES[following.text]))
        elif colon and following.kind == "mark" and following.text == "[":
            _list(message, token, tokens, source)
        elif colon and following.kind != "mark":
            message.entries.append(Entry(token.text, _value(following, tokens, source), token.line))
        else:
            raise BadInput(f"{source}, line {token.line}: after {token.text!r} stands {_shown(following)}, not a value")
    if len(stack) > 1:
        raise BadInput(f"{source}, line {stack[-1][0].line}: is not closed: {stack[-1][1]!r} is missing")
    return root


def _tokens(text: str, source: str) -> Iterator[_Token]:
    position, line = 0, 1
    while position < len(text):
        match = _TOKEN.match(text, position)
        if match is None:
            raise BadInput(
                f"{source}, line {line}: {text[position : position + 20].splitlines()[0]!r} is not text form"
            )
        position = match.end()
        kind = str(match.lastgroup)
        if kind == "line":
            line += 1
        elif kind != "space":
            yield _Token(kind, match[0], line)


def _following(tokens: Iterator[_Token], source: str, after: _Token) -> _Token:
    following = next(tokens, None)
    if following is None:
        raise BadInput(f"{source}, line {after.line}: ends after {after.text!r}")
    return following


def _list(message: Message, name: _Token, tokens: Iterator[_Token], source: str) -> None:
    """`dim: [1, 3, 227, 227]`: an entry for each."""
    while (token := _following(tokens, source, name)).text != "]":
        if token.kind == "mark":
            raise BadInput(f"{source}, line {token.line}: {_shown(token)} in a list of values")
        message.entries.append(Entry(name.text, _value(token, tokens, source), name.line))


def _value(token: _Token, tokens: Iterator[_Token], source: str) -> Value:
    if token.kind == "string":
        return _ESCAPE.sub(_unescaped, token.text[1:-1])
    if token.kind == "name":
        return Word(token.text)
    digits = token.text.rstrip("fF") if "x" not in token.text.lower() else token.text
    if len(digits) > 40:
        raise BadInput(f"{source}, line {token.line}: a number of {len(digits)} digits")
    with suppress(ValueError):
        return int(digits, 0)
    plain = digits.lstrip("+-")
    return int(digits, 8) if plain.isdecimal() and not set(plain) & {"8", "9"} else float(digits)  # 010 is octal


def _unescaped(match: re.Match[str]) -> str:
    code = match[1]
    if code[0] == "x" and len(code) > 1:
        return chr(int(code[1:], 16))
    if code[0] in "01234567":
        return chr(int(code, 8))
    return _ESCAPED.get(code, code)


def _shown(token: _Token) -> str:
    return repr(token.text if len(token.text) <= 30 else f"{token.text[:30]}…")
