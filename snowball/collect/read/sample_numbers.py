"""Numbers in English and German words: a small translation that is right by construction, and needs no file."""

from __future__ import annotations

from ...table import Column, Table

__all__ = ["english", "german", "numbers"]

_ROWS = 4000
_STRIDE = 7919  # a prime: steps of it visit all numbers below 10,000 before one comes back
_BELOW = 10_000

_EN_SMALL = (
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen"
    " eighteen nineteen"
)
_EN_TENS = "twenty thirty forty fifty sixty seventy eighty ninety"
_DE_SMALL = (
    "null ein zwei drei vier fünf sechs sieben acht neun zehn elf zwölf dreizehn vierzehn fünfzehn sechzehn siebzehn"
    " achtzehn neunzehn"
)
_DE_TENS = "zwanzig dreißig vierzig fünfzig sechzig siebzig achtzig neunzig"


def english(number: int) -> str:
    """0 <= number < 10,000 in British English words.

    >>> english(742), english(8005), english(1300)
    ('seven hundred and forty-two', 'eight thousand and five', 'one thousand three hundred')
    """
    small, tens = _EN_SMALL.split(), _EN_TENS.split()
    if number < 20:
        return small[number]
    if number < 100:
        return tens[number // 10 - 2] + (f"-{small[number % 10]}" if number % 10 else "")
    if number < 1000:
        return f"{small[number // 100]} hundred" + (f" and {english(number % 100)}" if number % 100 else "")
    rest = number % 1000
    joined = "" if not rest else f" and {english(rest)}" if rest < 100 else f" {english(rest)}"
    return f"{small[number // 1000]} thousand{joined}"


def german(number: int) -> str:
    """0 <= number < 10,000 in German, one word; 1 is `eins` at the end of a word and `ein` before another.

    >>> german(742), german(8001), german(1016)
    ('siebenhundertzweiundvierzig', 'achttausendeins', 'eintausendsechzehn')
    """
    return "eins" if number == 1 else _german(number)


def _german(number: int) -> str:
    small, tens = _DE_SMALL.split(), _DE_TENS.split()
    if number < 20:
        return small[number]
    if number < 100:
        return (f"{small[number % 10]}und" if number % 10 else "") + tens[number // 10 - 2]
    unit, word = (100, "hundert") if number < 1000 else (1000, "tausend")
    return small[number // unit] + word + (german(number % unit) if number % unit else "")


def numbers() -> Table:
    """4,000 numbers below 10,000, the same ones every time, in `en` and `de`."""
    chosen = [row * _STRIDE % _BELOW for row in range(_ROWS)]
    columns = {
        "en": Column("en", "text", [english(number) for number in chosen]),
        "de": Column("de", "text", [german(number) for number in chosen]),
    }
    return Table("numbers", columns, [""] * _ROWS, lambda row: f"numbers, {chosen[row]}")
