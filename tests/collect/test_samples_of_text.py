"""The samples of text: spelling of numbers, what docstrings are taken, and that every call gives the same rows."""

from __future__ import annotations

import importlib.util
import sysconfig
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from snowball.collect.read import sample_texts
from snowball.collect.read.sample_numbers import english, german
from snowball.finding import BadInput
from snowball.table import Table

Read = Callable[..., Table]

# Written by hand, from the rules of Duden and of British usage.
SPELLED = {
    0: ("zero", "null"),
    1: ("one", "eins"),
    7: ("seven", "sieben"),
    12: ("twelve", "zwölf"),
    16: ("sixteen", "sechzehn"),
    17: ("seventeen", "siebzehn"),
    20: ("twenty", "zwanzig"),
    21: ("twenty-one", "einundzwanzig"),
    30: ("thirty", "dreißig"),
    66: ("sixty-six", "sechsundsechzig"),
    77: ("seventy-seven", "siebenundsiebzig"),
    100: ("one hundred", "einhundert"),
    101: ("one hundred and one", "einhunderteins"),
    117: ("one hundred and seventeen", "einhundertsiebzehn"),
    742: ("seven hundred and forty-two", "siebenhundertzweiundvierzig"),
    1000: ("one thousand", "eintausend"),
    1001: ("one thousand and one", "eintausendeins"),
    1101: ("one thousand one hundred and one", "eintausendeinhunderteins"),
    2016: ("two thousand and sixteen", "zweitausendsechzehn"),
    6030: ("six thousand and thirty", "sechstausenddreißig"),
    7021: ("seven thousand and twenty-one", "siebentausendeinundzwanzig"),
    9999: ("nine thousand nine hundred and ninety-nine", "neuntausendneunhundertneunundneunzig"),
}


@pytest.mark.parametrize("number", SPELLED)
def test_numbers_are_spelled_right(number: int) -> None:
    assert (english(number), german(number)) == SPELLED[number]


def _value(words: str) -> int:
    """German words back to a number, by another way: from the largest unit down."""
    for unit, value in (("tausend", 1000), ("hundert", 100)):
        if unit in words:
            before, _, after = words.partition(unit)
            return _value(before) * value + (_value(after) if after else 0)
    ones = {"null": 0, "ein": 1, "eins": 1, "zwei": 2, "drei": 3, "vier": 4, "fünf": 5, "sechs": 6, "sieben": 7}
    ones |= {"acht": 8, "neun": 9, "zehn": 10, "elf": 11, "zwölf": 12, "sechzehn": 16, "siebzehn": 17}
    tens = {"zwanzig": 20, "dreißig": 30, "vierzig": 40, "fünfzig": 50, "sechzig": 60, "siebzig": 70}
    tens |= {"achtzig": 80, "neunzig": 90}
    if words in ones:
        return ones[words]
    if words.endswith("zehn"):
        return 10 + ones[words.removesuffix("zehn")]
    unit, joined, ten = words.rpartition("und")
    return (ones[unit] if joined else 0) + tens[ten]


@given(st.integers(0, 9999))
def test_german_numbers_read_back(number: int) -> None:
    assert _value(german(number)) == number


def test_every_number_has_words_of_its_own() -> None:
    assert len({english(number) for number in range(10_000)}) == 10_000
    assert len({german(number) for number in range(10_000)}) == 10_000


def test_numbers(read: Read) -> None:
    table = read("numbers")
    pairs = list(zip(table.column("en").cells, table.column("de").cells, strict=True))
    assert list(table.columns) == ["en", "de"]
    assert len(set(pairs)) == len(pairs) == 4000
    assert pairs == list(zip(read("numbers").column("en").cells, read("numbers").column("de").cells, strict=True))
    assert table.where(1) == "numbers, 7919"
    assert pairs[1] == (english(7919), german(7919))


def test_pydoc(read: Read) -> None:
    from pydoc_data.topics import topics

    table = read("pydoc")
    texts = list(table.column("text").cells)
    assert texts == [topics[name] for name in sorted(topics)][: len(texts)]
    assert len(texts) > 50
    assert 300_000 < sum(map(len, texts)) <= 400_000
    assert table.where(0) == f"pydoc, topic {min(topics)}"


def _file(place: str) -> Path:
    package, _, path = place.removeprefix("docstrings, ").partition(", ")[0].partition("/")
    spec = importlib.util.find_spec(package)
    if package == "python" or spec is None or not spec.submodule_search_locations:
        return Path(sysconfig.get_paths()["stdlib"]) / path
    return Path(spec.submodule_search_locations[0]) / path


def test_docstrings(read: Read) -> None:
    table = read("docstrings")
    texts, labels = list(table.column("text").cells), list(table.column("label").cells)
    counts = Counter(labels)
    assert sorted(counts) == ["matplotlib", "numpy", "python", "scipy", "sklearn"]
    assert min(counts.values()) >= 400
    assert max(counts.values()) == 500
    assert len({text.lower() for text in texts}) == len(texts)
    assert all(20 <= len(text) <= 400 and " ".join(text.split()) == text for text in texts)
    files = Counter(table.where(row).partition(", ")[2].partition(", ")[0] for row in range(len(table)))
    assert max(files.values()) <= 12
    assert not any("/tests/" in file for file in files)
    for row in range(0, len(table), 97):
        place = table.where(row)
        source = _file(place).read_text(encoding="utf-8")
        assert labels[row] == place.removeprefix("docstrings, ").partition("/")[0]
        assert texts[row].split()[0] in source
        assert place.rpartition(", ")[2] in source
    assert texts == list(read("docstrings").column("text").cells)


def test_docstrings_pass_over_what_is_no_python(tmp_path: Path) -> None:
    (tmp_path / "bad.py").write_text("print 'old'\n")
    (tmp_path / "good.py").write_text('def f():\n    """Return the only\n    answer there is.\n\n    More."""\n')
    found = [text for path in sample_texts._files(tmp_path) for _, text in sample_texts._parse(path)]
    assert found == ["Return the only answer there is."]


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sample_texts, "find_spec", lambda name: None)
    with pytest.raises(BadInput, match="docstrings: the package matplotlib is not installed"):
        sample_texts.docstrings()
