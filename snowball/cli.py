"""The command line: a plain dispatcher. `--help` imports nothing of weight; a verb imports what it needs.

The grammar never grows flags: `snowball VERB WORDS key=value`, with `-o PATH`, `--json` and `--debug` everywhere.
Exit codes: 0 done, 1 a gate failed, 2 bad usage or input; 130 and 141, as everywhere, of Ctrl+C and a closed pipe.
"""

from __future__ import annotations

import json
import signal
import sys
import time
from collections.abc import Sequence
from typing import Any

from .finding import BadInput, GateFailed, SnowballError, nearest
from .verbs import VERBS, json_findings
from .words import Words, split_words

__all__ = ["VERBS", "main"]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns its exit code."""
    try:
        code = _run(list(sys.argv[1:] if arguments is None else arguments))
        sys.stdout.flush()
        return code
    except BrokenPipeError:  # who read the output has seen enough, as `head` has: end as other programs do
        signal.signal(signal.SIGPIPE, signal.SIG_DFL)
        signal.raise_signal(signal.SIGPIPE)
        raise


def _run(given: list[str]) -> int:
    if not given or given[0] in ("-h", "--help", "help"):
        print(_help())
        return 0
    if given[0] == "--version":
        from . import __version__

        print(__version__)
        return 0
    debug = "--debug" in given
    as_json = "--json" in given
    started = time.perf_counter()
    result: dict[str, Any] = {}
    code = 0
    try:
        words = _parse([word for word in given if word != "--debug"])
        if words is None:
            return 0
        from .display import Display

        result = VERBS[words.verb][0](words, Display(to_stderr=words.as_json))
        code = 1 if result.get("verdict") == "fail" else 0
    except SnowballError as error:
        if debug:
            raise
        print(f"snowball: {error}", file=sys.stderr)
        code = error.exit_code
        result = {"error": str(error)}
        if isinstance(error, GateFailed):
            result |= {"findings": json_findings(error.findings), "verdict": "fail"}
    except KeyboardInterrupt:
        print("snowball: interrupted", file=sys.stderr)
        return 130
    if as_json:
        print(json.dumps({**result, "seconds": round(time.perf_counter() - started, 3)}))
    return code


def _parse(given: list[str]) -> Words | None:
    """Take a command line apart; None when it only asked for help, which has then been printed."""
    verb, rest = given[0], given[1:]
    if verb not in VERBS:
        raise BadInput(f"no verb {verb!r}{nearest(verb, VERBS)}; the verbs are {', '.join(VERBS)}")
    _, usage, about = VERBS[verb]
    if "-h" in rest or "--help" in rest:
        print(f"{usage}\n\n{about}\n\nKeys: docs/recipe.md. Flags everywhere: -o PATH, --json, --debug.")
        return None
    return split_words(verb, usage, rest)


def _help() -> str:
    lines = [f"  {verb:10} {about:45} {usage}" for verb, (_, usage, about) in VERBS.items()]
    return "\n".join(
        [
            "snowball: from a folder of data to a deployed model you can trust",
            "",
            *lines,
            "",
            "Begin with: snowball train digits",
        ]
    )
