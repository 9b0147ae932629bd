"""Near copies of pictures and films: scaled, moved a little, brightened, stored with loss, and so on.

What changes when a picture is copied so is found out on the data themselves: a sample is altered, and in each of two
descriptions those directions are kept in which pictures differ much and their altered copies little (as in linear
discriminant analysis), with equal spread: two trousers are not copies because both are trousers.

1. The magnitudes of the spectrum, which hardly change with a shift. By them, neighbours are found.
2. The middle of the picture, moved to where it fits the neighbour best. By it, they are judged.

What distance makes a copy depends on the data, and on the place in it. So the distance of two is set beside that of
other neighbours of both, and this share beside what it is for most rows: `_bound` knows how often a share so small is
met without copies, and as many pairs are named as hold a part of FALSE by chance (Benjamini and Hochberg, 1995). They
must also correlate as altered copies do: to be nearer than others are is not yet to be alike.

Shapes: N pictures or films, T frames each (of colours, three), H, W, D components, K neighbours, S shifts.
"""

from __future__ import annotations

import io
import math
from collections.abc import Callable, Iterator

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from ._image_decode import resize_picture

__all__ = ["near_pictures", "sketch_pictures"]

SIDE = 32  # pixels each way that pictures are reduced to, where they have more
SEEN = 4  # rows that one of these is averaged over, at least, where there are more
SMALL = 16  # pixels each way below which look-alikes pass for copies: of 8 x 8 digits, a 3 for another 3 (2026-11-26)
FLAT = 16  # grey levels between the darkest and the brightest pixel below which there is nothing to compare

SCALED = BRIGHTENED = 0.7, 1.3  # how a copy may be altered
QUALITY = 70  # of JPEG
SHIFT = 2  # pixels each way, of SIDE
# Of 10,000 digits of MNIST with 5 % copies, 97.5 % of the copies are told at a precision of 95 % by what is between
# these means; 91 % by the pixels themselves less the mean of 5, of which JPEG leaves less (2026-11-26).
FINE, COARSE = 3, 7  # sides of means
CUT = 6  # frequencies each way, in cycles a picture
COMPONENTS = 64  # with 100 or 144, fewer copies are told from look-alikes, of MNIST and of its inner 22 x 22 pixels
FITTED = 2048  # frames that are altered
K = 11  # neighbours
FEWEST = 2 * K  # rows, below which what is common cannot be told
# Among 10,000 digits of MNIST, whole and cut to their inner 22 x 22 pixels, the share that is met in 1 row of 400
# without copies is the common one to the power of 2.7 to 3.1, a decay of 2.6 to 3.1; none is named (2026-11-26).
DECAY = 3.0
# The least that is common: 0.50 of 4,000 digits of MNIST, 0.57 of as many garments, 0.74 of 400 scenes of shapes
# (2026-11-26); less is met where most rows have copies.
COMMON = 0.4
FALSE = 0.05  # of the rows that are named
CLOSE = 0.5  # of the distance to the K-th neighbour, at most, however rare that is
# A distance from which on rows are copies whatever is around them: of many copies, each is usual. Of 10,000 digits of
# MNIST, 1 in 1,000 has one within 0.012 to 0.019.
SAME = 0.003
LOST = 0.02  # of copies, that are altered so much that others may be as much alike
NEXT = 4.0  # times the nearest distance of either row: what is alike to a picture is alike to its copy, but not as near
CELL = 512  # rows of a cell, on average
CELLS = 4  # nearest cells in which a row is looked for; of 1,000 altered digits, 998 share one with their original
TOGETHER = 512  # rows that are worked on at once: bounds the memory


def sketch_pictures(frames: np.ndarray, size: tuple[int, int], *, colour: bool = False) -> np.ndarray | None:
    """(T, H, W) uint8 of frames (T, any, any) or (T, any, any, 3), reduced; None: too plain or too small to compare.

    `size` is what pictures of this data have in common; none is enlarged beyond it. With `colour`, red, green and blue
    stand as three frames for each: a red disc is no copy of a blue one.
    """
    if min(size) < SMALL:
        return None
    height, width = (min(side, SIDE) for side in size)
    mode = "RGB" if colour else "L"
    small = np.concatenate([_reduced(frame, height, width, mode) for frame in frames])
    return None if np.ptp(small.reshape(len(small), -1), axis=1).max() < FLAT else small


def _reduced(frame: np.ndarray, height: int, width: int, mode: str) -> np.ndarray:
    """(1, height, width), or (3, height, width) of mode `RGB`."""
    if mode == "L" and frame.shape == (height, width):
        return frame[None]
    rows = frame[:: max(1, frame.shape[0] // (height * SEEN))]
    planes = resize_picture(rows, height, width).numpy()
    if len(planes) == 1:
        return planes if mode == "L" else planes.repeat(3, axis=0)
    if mode == "RGB":
        return planes
    return np.asarray(Image.fromarray(np.ascontiguousarray(planes.transpose(1, 2, 0))).convert("L"))[None]


def near_pictures(sketches: np.ndarray) -> np.ndarray:
    """(P, 2) numbers of those sketches (N, T, H, W) that show nearly the same, the most alike first."""
    if len(sketches) < FEWEST:
        return np.empty((0, 2), dtype=np.int64)
    random = np.random.Generator(np.random.Philox(0))
    neighbours = _neighbours(_described(sketches, _spectrum, _fitted(sketches, _spectrum, True, random)))
    distances = _aligned_distances(sketches, neighbours, _fitted(sketches, _middle, False, random))
    shares = distances / _usual_distances(distances, neighbours)
    near = (shares <= _bound(shares.amin(1))) | (distances <= SAME)
    nearest = distances.amin(1)
    near &= distances <= NEXT * torch.minimum(nearest[:, None], nearest[neighbours]).clamp_min(SAME)
    row, place = torch.nonzero(near, as_tuple=True)
    alike = _alike(sketches, row, neighbours[row, place]) >= _least_alike(sketches, random)
    row, place = row[alike], place[alike]
    pairs = torch.stack([row, neighbours[row, place]], 1).sort(1).values
    found = dict.fromkeys(map(tuple, pairs[shares[row, place].argsort()].tolist()))
    return np.array(list(found), dtype=np.int64).reshape(-1, 2)


def _alike(sketches: np.ndarray, one: Tensor, other: Tensor, altered: np.ndarray | None = None) -> Tensor:
    """(P,): the correlation of pictures with others, or with altered ones, where they fit each other best."""
    found = [torch.empty(0)]
    for part in _chunks(len(one)):
        still = _middle((sketches if altered is None else altered)[other[part].numpy()])  # (P, D)
        moved = _windows(sketches[one[part].numpy()])  # (P, S, D)
        found.append((moved @ still[:, :, None]).amax((1, 2)))
    return torch.cat(found)


def _least_alike(sketches: np.ndarray, random: np.random.Generator) -> float:
    """The correlation that all but a part LOST of altered pictures keep with what they were."""
    some = sketches[:: math.ceil(len(sketches) * sketches.shape[1] / FITTED)]
    every = torch.arange(len(some))
    altered = np.stack([_altered(frames, True, random) for frames in some])
    return float(torch.quantile(_alike(some, every, every, altered), LOST))


def _usual_distances(distances: Tensor, neighbours: Tensor) -> Tensor:
    """(N, K): how far neighbours are where both of a pair are, by the geometric mean of all but the nearest one."""
    usual = distances.sort().values[:, 1:].clamp(1e-6, 1).log().mean(1)
    return ((usual[:, None] + usual[neighbours]) / 2).exp()


def _bound(shares: Tensor) -> float:
    """The largest share of the K-th neighbour's distance that makes a near copy, from each row's smallest (N,)."""
    common = min(0.95, max(COMMON, float(shares.median())))
    ordered = shares.sort().values
    # How often a share is this small without copies: the logarithm falls with that of the share.
    chances = 0.5 * torch.exp(-DECAY * (ordered.clamp_min(1e-9).log() / math.log(common) - 1))
    few = torch.nonzero(chances <= FALSE * torch.arange(1, len(shares) + 1) / len(shares))[:, 0]
    return min(CLOSE, float(ordered[few[-1]])) if len(few) else 0.0


def _chunks(num: int) -> Iterator[slice]:
    return (slice(start, start + TOGETHER) for start in range(0, num, TOGETHER))


def _mean(sketches: np.ndarray, side: int) -> Tensor:
    """(N, T, H, W) of squares around each pixel, of what of them is inside the picture."""
    return F.avg_pool2d(torch.from_numpy(sketches).float(), side, 1, side // 2, count_include_pad=False)


def _spectrum(sketches: np.ndarray) -> Tensor:
    """(N, D) square roots of the magnitudes of low frequencies; a frame around it keeps its ends apart."""
    seen = _mean(sketches, FINE) - _mean(sketches, COARSE)
    size = [side + 2 * SHIFT for side in seen.shape[-2:]]
    magnitude = torch.fft.rfft2(seen, s=size).abs()
    low = [magnitude[..., : CUT + 1, : CUT + 1], magnitude[..., -CUT:, 1 : CUT + 1]]
    return F.normalize(torch.cat([part.flatten(1) for part in low], 1)).sqrt()


def _windows(sketches: np.ndarray, shifts: int = SHIFT) -> Tensor:
    """(N, S, D): the middle of each picture as it is moved S = (2 * shifts + 1)^2 ways, less its mean, of length 1."""
    seen = _mean(sketches, FINE)
    room = min(SHIFT, min(seen.shape[-2:]) // 8)
    height, width = (side - 2 * room for side in seen.shape[-2:])
    moves = range(max(0, room - shifts), room + min(room, shifts) + 1)
    # Every other pixel: the mean has gone over three.
    moved = [seen[..., y : y + height : 2, x : x + width : 2].flatten(1) for y in moves for x in moves]
    windows = torch.stack(moved, 1)
    return F.normalize(windows - windows.mean(-1, keepdim=True), dim=-1)


def _middle(sketches: np.ndarray) -> Tensor:
    """(N, D)"""
    return _windows(sketches, 0)[:, 0]


def _fitted(
    sketches: np.ndarray, describe: Callable[[np.ndarray], Tensor], moved: bool, random: np.random.Generator
) -> Callable[[Tensor], Tensor]:
    """A map of descriptions to D components of length 1, in which copies agree and others do not."""
    some = sketches[:: math.ceil(len(sketches) * sketches.shape[1] / FITTED)]
    plain = describe(some).double()
    noise = describe(np.stack([_altered(frames, moved, random) for frames in some])).double() - plain
    mean = plain.mean(0)
    within = noise.T @ noise / len(noise)
    within += 1e-3 * within.diagonal().mean() * torch.eye(len(within), dtype=torch.float64)
    between = (plain - mean).T @ (plain - mean) / len(plain)
    root = torch.linalg.inv(torch.linalg.cholesky(within))
    spread, directions = torch.linalg.eigh(root @ between @ root.T)
    kept = min(COMPONENTS, len(some) // 4, int((spread > 1e-3).sum()))
    spread, directions = spread.flip(0)[:kept], directions.flip(1)[:, :kept]
    # Equal spread of pictures, less where copies differ as much.
    matrix = (root.T @ directions * (spread.sqrt() / (1 + spread))).float()
    return lambda rows: F.normalize((rows - mean.float()) @ matrix, dim=-1)


def _altered(frames: np.ndarray, moved: bool, random: np.random.Generator) -> np.ndarray:
    """(T, H, W) as a near copy has them, all frames alike; still in place unless `moved`."""
    factor, brighter = random.uniform(*SCALED), random.uniform(*BRIGHTENED)
    down, right = random.integers(0, 2 * SHIFT + 1, 2) if moved else (SHIFT, SHIFT)
    height, width = frames.shape[1:]
    size = max(1, round(width * factor)), max(1, round(height * factor))
    made = []
    for frame in frames:
        scaled = Image.fromarray(frame).resize(size, Image.Resampling.BILINEAR)
        pixels = np.asarray(scaled.resize((width, height), Image.Resampling.BILINEAR))
        pixels = np.pad(pixels, SHIFT, mode="edge")[down : down + height, right : right + width]
        stored = io.BytesIO()
        pixels = np.clip(pixels * brighter, 0, 255).astype(np.uint8)
        Image.fromarray(pixels).save(stored, "JPEG", quality=QUALITY)
        made.append(np.asarray(Image.open(stored)))
    return np.stack(made)


def _described(
    sketches: np.ndarray, describe: Callable[[np.ndarray], Tensor], fitted: Callable[[Tensor], Tensor]
) -> Tensor:
    return torch.cat([fitted(describe(sketches[part])) for part in _chunks(len(sketches))])


def _neighbours(rows: Tensor) -> Tensor:
    """(N, K): which others are nearest, among the rows that share one of their cells; -1 where there are fewer."""
    num = len(rows)
    centres = _centres(rows, max(1, num // CELL))
    homes = torch.cat([(rows[part] @ centres.T).topk(min(CELLS, len(centres))).indices for part in _chunks(num)])
    nearest = torch.full((num, K), -1)
    for cell in range(len(centres)):
        others = torch.nonzero((homes == cell).any(1))[:, 0]
        mine = torch.nonzero(homes[:, 0] == cell)[:, 0]
        for part in mine.split(TOGETHER):
            alike = rows[part] @ rows[others].T
            alike[part[:, None] == others] = -2.0  # a row is no neighbour of its own
            found = alike.topk(min(K, len(others)))
            near = torch.where(found.values > -2.0, others[found.indices], -1)
            nearest[part, : near.shape[1]] = near
    return nearest


def _centres(rows: Tensor, num: int) -> Tensor:
    """(num, D) of k-means by direction, on a sample; where to look needs no more."""
    sample = rows[:: math.ceil(len(rows) / (64 * num))]
    centres = sample[:: math.ceil(len(sample) / num)][:num]
    for _ in range(5):
        home = (sample @ centres.T).argmax(1)
        centres = F.normalize(torch.zeros_like(centres).index_add_(0, home, sample) + 1e-6 * centres)
    return centres


def _aligned_distances(sketches: np.ndarray, neighbours: Tensor, fitted: Callable[[Tensor], Tensor]) -> Tensor:
    """(N, K): to the middle of each neighbour, from the window that is nearest to it; 2 where there is none."""
    middles = _described(sketches, _middle, fitted)
    found = []
    for part in _chunks(len(sketches)):
        alike = middles[neighbours[part]] @ fitted(_windows(sketches[part])).transpose(1, 2)  # (N, K, S)
        found.append((1 - alike.amax(2)).clamp_min(0))
    return torch.where(neighbours < 0, 2.0, torch.cat(found))
