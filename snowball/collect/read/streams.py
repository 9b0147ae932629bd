"""Films hold sound too: a column of their sound beside that of their pictures, and which of the two is wanted."""

from __future__ import annotations

from dataclasses import replace

from ...finding import BadInput, nearest
from ...registry import kinds
from ...table import Column, Table

__all__ = ["chosen_inputs", "with_sound_tracks"]

FILM, SOUND, WORDS = "video", "audio", "text"


def with_sound_tracks(table: Table) -> Table:
    """The table with a column of the films' sound, where it has films, words, and neither sound nor classes.

    Films with classes are about what is seen; films with words are about what is said.
    """
    held = [column.kind for column in table.columns.values()]
    if held.count(FILM) != 1 or WORDS not in held or SOUND in held or "label" in held:
        return table
    film = next(column for column in table.columns.values() if column.kind == FILM)
    name = SOUND if SOUND not in table.columns else f"{film.name} {SOUND}"
    return replace(table, columns={**table.columns, name: Column(name, SOUND, film.cells)})


def chosen_inputs(table: Table, inputs: str | None) -> Table:
    """The table without columns of files of a kind that `inputs` leaves out. Raises BadInput for one not there."""
    if inputs is None:
        return table
    known = {kind for kind, one in kinds().items() if one.suffixes and kind != WORDS}
    files = {column.name: column.kind for column in table.columns.values() if column.kind in known}
    wanted = [word.strip() for word in str(inputs).split(",")]
    for word in wanted:
        if word not in files.values():
            held = ", ".join(dict.fromkeys(files.values())) or "no files"
            raise BadInput(
                f"data.inputs={inputs}: {table.name} has no {word!r}, only {held}{nearest(word, files.values())}"
            )
    kept = {name: column for name, column in table.columns.items() if files.get(name, wanted[0]) in wanted}
    return replace(table, columns=kept)
