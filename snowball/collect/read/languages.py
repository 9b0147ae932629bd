"""Names of languages, as suffixes of parallel files and as headers of parallel columns."""

from __future__ import annotations

import re

__all__ = ["is_language"]

# ISO 639-1. Without the list, main.py beside main.md would be a translation.
_LIST = """
    aa ab ae af ak am an ar as av ay az ba be bg bh bi bm bn bo br bs ca ce ch co cr cs cu cv cy da de dv dz ee el en eo
    es et eu fa ff fi fj fo fr fy ga gd gl gn gu gv ha he hi ho hr ht hu hy hz ia id ie ig ii ik io is it iu ja jv ka kg
    ki kj kk kl km kn ko kr ks ku kv kw ky la lb lg li ln lo lt lu lv mg mh mi mk ml mn mr ms mt my na nb nd ne ng nl nn
    no nr nv ny oc oj om or os pa pi pl ps pt qu rm rn ro ru rw sa sc sd se sg si sk sl sm sn so sq sr ss st su sv sw ta
    te tg th ti tk tl tn to tr ts tt tw ty ug uk ur uz ve vi vo wa wo xh yi yo za zh zu
"""
_CODES = frozenset(_LIST.split())
_SIDES = frozenset(("src", "tgt", "trg"))  # source and target, as fairseq and OpenNMT name them
_REGION = re.compile(r"([a-z]{2})[-_](?:[A-Z]{2}|[A-Z][a-z]{3}|\d{3})")  # pt-BR, zh_Hans, es-419
_SCRIPT = re.compile(r"[a-z]{3}_[A-Z][a-z]{3}")  # deu_Latn, as FLORES names them


def is_language(word: str) -> bool:
    """Whether a word names a language: `en`, `pt-BR`, `deu_Latn`, or a side, `src` or `tgt`.

    >>> [is_language(word) for word in ("en", "zh_Hans", "deu_Latn", "tgt", "md", "de-en", "txt")]
    [True, True, True, True, False, False, False]
    """
    if word in _CODES or word in _SIDES or _SCRIPT.fullmatch(word):
        return True
    region = _REGION.fullmatch(word)
    return region is not None and region[1] in _CODES
