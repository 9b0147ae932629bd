"""Names of classes, one a line, in the order of a network's scores."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from ..finding import BadInput

__all__ = ["read_labels"]

MAX_BYTES = 10_000_000
QUOTES = ("'", '"')


def read_labels(name: str | None, num_classes: int) -> list[str]:
    """The names in a text file; numbers from 0 where there is none. Names that occur twice get their number behind.

    Quotes around a whole line are taken off. Raises BadInput for a file that holds another number of them.
    """
    if name is None:
        return [str(number) for number in range(num_classes)]
    path = Path(name)
    try:
        with path.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
        text = content.decode("utf-8-sig")
    except OSError as error:
        raise BadInput(f"labels={name}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise BadInput(f"labels={name}: not text in UTF-8 (byte {error.start})") from error
    if len(content) > MAX_BYTES:
        raise BadInput(f"labels={name}: more than {MAX_BYTES:,} bytes")
    labels = [_unquoted(line) for line in text.splitlines() if line.strip()]
    if len(labels) != num_classes:
        raise BadInput(f"labels={name}: {len(labels):,} lines, the network answers with {num_classes:,} classes")
    counts = Counter(labels)
    return [label if counts[label] == 1 else f"{label} ({number})" for number, label in enumerate(labels)]


def _unquoted(line: str) -> str:
    line = line.strip()
    return line[1:-1].strip() if len(line) > 2 and line[0] == line[-1] and line[0] in QUOTES else line
