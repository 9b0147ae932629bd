"""Scene: some consecutive frames of a recording with every agent that is in view at the last frame that is given.

Shapes: A agents, T frames. A recording is cut into windows of so many observed and so many predicted frames.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from ..kind import Unreadable, content_digest
from ._tracks import Recording, Track

__all__ = ["Scene", "WindowCells", "find_windows", "last_scene"]


@dataclass(frozen=True)
class Scene:
    """Positions (A, T, 2) float64, NaN where an agent is not seen; the last `ahead` frames are what is predicted.

    Every agent is seen in the last two frames before those, so that it has a speed.
    """

    name: str
    agents: tuple[str, ...]
    positions: np.ndarray
    frames: np.ndarray
    """(T,) as the file calls them."""
    ahead: int = 0
    notes: tuple[str, ...] = ()

    @property
    def observed(self) -> int:
        """Frames that are given."""
        return len(self.frames) - self.ahead

    @property
    def origin(self) -> np.ndarray:
        """(2,) where coordinates are counted from inside the network: the first agent's last position, in whole units.

        float32 would round a map's coordinates of millions of metres to half a metre.
        """
        place: np.ndarray = np.floor(self.positions[0, self.observed - 1])
        return place

    @property
    def asked(self) -> np.ndarray:
        """(A,) which agents are predicted: those that are seen in every observed frame."""
        seen: np.ndarray = np.isfinite(self.positions[:, : self.observed, 0]).all(1)
        return seen

    @property
    def complete(self) -> np.ndarray:
        """(A,) which agents are seen in every frame: what is learned from and judged."""
        seen: np.ndarray = np.isfinite(self.positions[:, :, 0]).all(1)
        return seen

    @property
    def past(self) -> Scene:
        """What is given of it."""
        frames = self.observed
        return replace(self, positions=self.positions[:, :frames], frames=self.frames[:frames], ahead=0)

    def digest(self) -> str:
        return content_digest(repr((self.agents, self.frames.tolist())), self.positions)

    def __str__(self) -> str:
        return f"{self.name}, frames {self.frames[0]:g} to {self.frames[-1]:g}: {len(self.agents)} agents"


@dataclass(frozen=True)
class _Window:
    """Frames from `start` on of a recording, and its tracks that matter there."""

    recording: Recording
    start: int
    tracks: tuple[Track, ...]


class WindowCells(Sequence[Scene]):
    """Cells of a table that are windows of recordings, cut when they are asked for."""

    def __init__(self, windows: Sequence[_Window], observed: int, ahead: int) -> None:
        self.windows, self.observed, self.ahead = windows, observed, ahead

    def __len__(self) -> int:
        return len(self.windows)

    def __getitem__(self, row: int) -> Scene:  # type: ignore[override]  # nobody asks for slices
        window = self.windows[row]
        return _scene(window.recording, window.tracks, window.start, self.observed + self.ahead, self.ahead)

    def span(self, row: int, length: int) -> tuple[str, range]:
        """The recording that a window is of, and the numbers of its first frames."""
        window = self.windows[row]
        return window.recording.name, range(window.start, window.start + length)


def find_windows(recording: Recording, observed: int, ahead: int, least: int, stride: int = 1) -> list[_Window]:
    """Windows in which at least `least` agents are seen in every frame, each `stride` frames after the one before."""
    length = observed + ahead
    whole: dict[int, int] = {}  # first frame -> agents seen in all frames from there on
    nearby: dict[int, list[Track]] = {}  # last observed frame -> tracks with a speed there
    for track in recording.tracks:
        for start in range(track.start, track.end - length + 1):
            whole[start] = whole.get(start, 0) + 1
        for frame in range(track.start + 1, track.end):
            nearby.setdefault(frame, []).append(track)
    windows = []
    following = None
    for start in sorted(start for start, agents in whole.items() if agents >= least):
        if following is None or start >= following:
            windows.append(_Window(recording, start, tuple(nearby[start + observed - 1])))
            following = start + stride
    return windows


def last_scene(recording: Recording, observed: int) -> Scene:
    """The last frames of a recording, as many as are observed. Raises Unreadable where no agent is seen in all."""
    ends = [track.end for track in recording.tracks if len(track.points) >= observed]
    longest = max((len(track.points) for track in recording.tracks), default=0)
    if not ends:
        raise Unreadable(f"no agent is seen in {observed} frames on end; the longest track has {longest}")
    end = max(ends)
    tracks = [track for track in recording.tracks if track.start <= end - 2 and track.end >= end]
    scene = _scene(recording, tracks, end - observed, observed, 0)
    return replace(scene, notes=tuple(_notes(recording, end)))


def _scene(recording: Recording, tracks: Sequence[Track], start: int, length: int, ahead: int) -> Scene:
    positions = np.full((len(tracks), length, 2), np.nan)
    for row, track in enumerate(tracks):
        begin, end = max(start, track.start), min(start + length, track.end)
        positions[row, begin - start : end - start] = track.points[begin - track.start : end - track.start]
    frames = recording.first + recording.step * np.arange(start, start + length)
    return Scene(recording.name, tuple(track.agent for track in tracks), positions, frames, ahead)


def _notes(recording: Recording, end: int) -> Iterator[str]:
    for faults in recording.faults.values():
        yield faults[0] + (f" (and {len(faults) - 1} more)" if len(faults) > 1 else "")
    last = max(track.end for track in recording.tracks)
    if last > end:
        frame = recording.first + (end - 1) * recording.step
        yield f"frames after {frame:g} are passed over: nobody is seen long enough in them"
