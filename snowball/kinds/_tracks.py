"""Tracks as files hold them: lines of scene, frame, agent, x and y; read, checked, and cut where they break off.

Two forms are told apart by the first line: a header that names the columns, or four numbers `frame agent x y` without
one (ETH and UCY). What is wrong with a line is a fault that names it; the line is set aside, and the others are read.
A recording is one scene: F frames, P points.
"""

from __future__ import annotations

import csv
import math
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from ..kind import Unreadable

__all__ = ["FAULTS", "MAX_BYTES", "QUARANTINED", "Recording", "Track", "is_tracks", "read_tracks"]

FAULTS = {
    "unreadable-points": "rows are no point of a track",
    "contradicting-points": "rows say of one agent and frame what another row says otherwise",
    "repeated-points": "rows repeat another",
    "uneven-frames": "rows lie between the frames that the others keep to",
    "jumps": "times an agent is suddenly far away; its track is cut there",
    "gaps": "gaps in tracks; they are cut there",
    "lone-points": "tracks have a single point, of which no speed is known",
}
"""Check -> what a number of them are."""
QUARANTINED = ("unreadable-points", "contradicting-points", "uneven-frames")
"""Checks whose rows are not used."""
NAMES = {
    "scene": ("scene", "recording", "sequence", "scene_id", "recording_id"),
    "frame": ("frame", "frame_id", "frame_number", "time", "timestamp", "t"),
    "agent": (
        "agent",
        "agent_id",
        "track",
        "track_id",
        "trackid",
        "pedestrian",
        "ped_id",
        "vehicle",
        "vehicle_id",
        "id",
    ),
    "x": ("x", "x_m", "pos_x", "x_position", "xcenter"),
    "y": ("y", "y_m", "pos_y", "y_position", "ycenter"),
    "split": ("split", "subset"),
}
NEEDED = ("frame", "agent", "x", "y")
MAX_BYTES = 1 << 28  # of a file: its points are objects of a hundred bytes each
LOOKED_AT = 20  # lines by which a file without a header is known
FARTHEST = 1e9  # a coordinate beyond this is no place in any unit that tracks are kept in
OFF_GRID = 0.25  # of the time between frames
JUMP = 10.0  # times the 90th percentile of all steps: people and cars change speed by less between two frames
ENOUGH = 20  # steps from which that percentile says something


@dataclass(frozen=True)
class Track:
    """One agent without a gap: points (N, 2) float64 of consecutive frames, the first of which is number `start`."""

    agent: str
    start: int
    points: np.ndarray

    @property
    def end(self) -> int:
        """The frame after the last."""
        return self.start + len(self.points)


@dataclass(frozen=True)
class Recording:
    """The tracks of one scene. Frame number n is called `first + n * step` in the file."""

    name: str
    tracks: tuple[Track, ...]
    first: float
    step: float
    split: str = ""
    num_points: int = 0
    faults: Mapping[str, Sequence[str]] = field(default_factory=dict)
    """Check -> the rows, each with its place and reason."""

    def __str__(self) -> str:
        return f"{self.name}: {len({track.agent for track in self.tracks})} agents"


@dataclass(frozen=True)
class _Point:
    frame: float
    agent: str
    x: float
    y: float
    line: int


def is_tracks(lines: Sequence[str]) -> bool:
    """Whether a file that begins with these lines holds tracks.

    >>> is_tracks(["scene,frame,agent,x,y"]), is_tracks(["780.0\\t1.0\\t8.46\\t3.59"]), is_tracks(["the cat sat down"])
    (True, True, False)
    """
    begin = [line for line in lines[:LOOKED_AT] if line.strip()]
    if not begin:
        return False
    return _header(begin[0]) is not None or sum(_is_bare(line) for line in begin) > len(begin) // 2


def read_tracks(text: str, name: str, where: str) -> list[Recording]:
    """The recordings of a text; `name` is the scene where no column names it, `where` the file in messages.

    Raises Unreadable where it holds no tracks, or not one point.

    >>> (recording,) = read_tracks("0 1 0 0\\n10 1 0.5 0\\n20 1 nan 0\\n20 2 3 3", "yard", "yard.txt")
    >>> [(track.agent, track.points.tolist()) for track in recording.tracks]
    [('1', [[0.0, 0.0], [0.5, 0.0]]), ('2', [[3.0, 3.0]])]
    >>> recording.faults["unreadable-points"]
    ["yard.txt, row 3: x 'nan' is not a finite number"]
    """
    lines = text.splitlines()
    if not is_tracks(lines):
        raise Unreadable("no tracks: give columns frame, agent, x and y, or lines of these four numbers")
    bad: dict[str, list[str]] = {}
    scenes: dict[tuple[str, str], list[_Point]] = {}
    for scene, split, point, fault in _points(lines, where):
        key = scene or name, split
        if fault:
            bad.setdefault(scene or name, []).append(fault)
        elif point is not None:
            scenes.setdefault(key, []).append(point)
    if not scenes:
        first = next(iter(bad.values()), ["an empty file"])[0]
        raise Unreadable(f"no point of a track in it; the first row: {first}")
    recordings = []
    for (scene, split), points in scenes.items():
        recordings.append(_recording(scene, split, points, where, bad.pop(scene, [])))
    if bad:  # of scenes that have no good row: the first recording tells
        first_one = recordings[0]
        told = [*first_one.faults.get("unreadable-points", ()), *(fault for faults in bad.values() for fault in faults)]
        faults = {**first_one.faults, "unreadable-points": told}
        recordings[0] = replace(first_one, faults=faults)
    return recordings


def _is_bare(line: str) -> bool:
    fields = re.split(r"[\s,;]+", line.strip())
    return len(fields) == 4 and all(_number(field) is not None for field in fields)


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


def _header(line: str) -> dict[str, int] | None:
    """Where each column stands, by what it is; None where the line names no four columns of a track."""
    names = [name.strip().strip('"').lower() for name in next(csv.reader([line], delimiter=_delimiter(line)), [])]
    places = {}
    for what, known in NAMES.items():
        place = next((names.index(name) for name in known if name in names), None)
        if place is not None:
            places[what] = place
    return places if all(what in places for what in NEEDED) else None


def _delimiter(line: str) -> str:
    return max(",;\t|", key=line.count)


def _points(lines: Sequence[str], where: str) -> Iterator[tuple[str, str, _Point | None, str]]:
    """(scene, split, point or None, fault) of every line that is not blank."""
    first = next(line for line in lines if line.strip())
    header = _header(first)
    places = header or {"frame": 0, "agent": 1, "x": 2, "y": 3}
    delimiter = _delimiter(first)
    width = max(places.values()) + 1
    seen_header = False
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        if header is not None and not seen_header:
            seen_header = True
            continue
        if header is None:
            fields = re.split(r"[\s,;]+", line.strip())
        else:
            fields = next(csv.reader([line], delimiter=delimiter), []) if '"' in line else line.split(delimiter)
        at = f"{where}, row {number}"
        if len(fields) < width or (header is None and len(fields) != width):
            yield "", "", None, f"{at}: {len(fields)} fields, not {width}"
            continue
        scene = _named(fields[places["scene"]]) if "scene" in places else ""
        split = fields[places["split"]].strip().lower() if "split" in places else ""
        found = _point(fields, places, number)
        yield (scene, split, found, "") if isinstance(found, _Point) else (scene, split, None, f"{at}: {found}")


def _point(fields: Sequence[str], places: Mapping[str, int], number: int) -> _Point | str:
    """A point, or why it is none."""
    values = {}
    for what in ("frame", "x", "y"):
        text = fields[places[what]].strip()
        value = _number(text)
        if value is None:
            return f"{what} {text[:40]!r} is not a number" if text else f"{what} is empty"
        if not math.isfinite(value):
            return f"{what} {text!r} is not a finite number"
        if abs(value) > (2**53 if what == "frame" else FARTHEST):
            return f"{what} {text[:40]!r} is too large"
        values[what] = value
    agent = _named(fields[places["agent"]])
    return _Point(agent=agent, line=number, **values) if agent else "agent is empty"


def _named(text: str) -> str:
    """A name as a person writes it: `12.0` is 12."""
    text = text.strip().strip('"')
    return text[:-2] if text.endswith(".0") and text[:-2].isdigit() else text[:100]


def _recording(name: str, split: str, points: Sequence[_Point], where: str, bad: list[str]) -> Recording:
    frames = np.unique([point.frame for point in points])
    between = Counter(np.round(np.diff(frames), 6).tolist())
    step = max(between, key=lambda gap: (between[gap], -gap)) if between else 1.0
    faults: dict[str, list[str]] = {"unreadable-points": bad}
    by_agent: dict[str, dict[int, list[_Point]]] = {}
    for point in points:
        steps = (point.frame - frames[0]) / step
        if abs(steps - round(steps)) > OFF_GRID:
            reason = f"frame {point.frame:g} is none of {frames[0]:g}, {frames[0] + step:g}, ..."
            faults.setdefault("uneven-frames", []).append(f"{where}, row {point.line}: {reason}")
        else:
            by_agent.setdefault(point.agent, {}).setdefault(round(steps), []).append(point)
    tracks = {agent: _single(agent, seen, where, faults) for agent, seen in by_agent.items()}
    cut = _cut(tracks, where, faults, first=float(frames[0]), step=step)
    return Recording(
        name, tuple(cut), float(frames[0]), step, split, len(points) + len(bad), {k: v for k, v in faults.items() if v}
    )


def _single(
    agent: str, seen: Mapping[int, Sequence[_Point]], where: str, faults: dict[str, list[str]]
) -> dict[int, _Point]:
    """One point a frame, in order; where rows contradict each other none is believed."""
    kept = {}
    for number in sorted(seen):
        first, *others = seen[number]
        if any((other.x, other.y) != (first.x, first.y) for other in others):
            rows = ", ".join(str(point.line) for point in seen[number][:5])
            reason = f"agent {agent} is at {len(others) + 1} places in frame {first.frame:g}"
            faults.setdefault("contradicting-points", []).append(f"{where}, rows {rows}: {reason}")
            continue
        if others:
            reason = f"agent {agent} in frame {first.frame:g} stands in row {first.line} already"
            faults.setdefault("repeated-points", []).extend(f"{where}, row {other.line}: {reason}" for other in others)
        kept[number] = first
    return kept


def _cut(
    tracks: Mapping[str, Mapping[int, _Point]], where: str, faults: dict[str, list[str]], *, first: float, step: float
) -> list[Track]:
    """Tracks without gaps and jumps, in the order of their first frames."""
    limit = _longest_step(tracks.values())
    found: list[Track] = []
    for agent, points in tracks.items():
        numbers = list(points)
        begin = 0
        for place, number in enumerate(numbers):
            last = place + 1 == len(numbers)
            after = None if last else numbers[place + 1]
            if after is not None:
                far = math.hypot(points[after].x - points[number].x, points[after].y - points[number].y)
                at = f"{where}, row {points[after].line}: agent {agent}"
                if after > number + 1:
                    missing = f"frames {first + (number + 1) * step:g} to {first + (after - 1) * step:g}"
                    faults.setdefault("gaps", []).append(f"{at} is not seen in {missing}")
                elif far > limit:
                    faults.setdefault("jumps", []).append(f"{at} is {far:.3g} from where it was one frame before")
                else:
                    continue
            held = [(points[n].x, points[n].y) for n in numbers[begin : place + 1]]
            found.append(Track(agent, numbers[begin], np.array(held, dtype=np.float64)))
            begin = place + 1
    for agent, points in tracks.items():
        if len(points) == 1:
            (point,) = points.values()
            faults.setdefault("lone-points", []).append(f"{where}, row {point.line}: agent {agent} is seen once")
    return sorted(found, key=lambda track: (track.start, track.agent))


def _longest_step(tracks: Iterable[Mapping[int, _Point]]) -> float:
    """How far an agent may go from one frame to the next; no limit where there is too little to tell."""
    steps = [
        math.hypot(points[n + 1].x - point.x, points[n + 1].y - point.y)
        for points in tracks
        for n, point in points.items()
        if n + 1 in points
    ]
    usual = float(np.percentile(steps, 90)) if len(steps) >= ENOUGH else 0.0
    return JUMP * usual if usual > 0 else math.inf
