"""Near copies of pictures and films: scaled, moved a little, brightened, stored with loss, and so on.

Two descriptions of each are compared, both of its middle frequencies (what is left of single pixels changes with every
recoding, and brightness is a matter of exposure), and both whitened: the principal directions in which the pictures of
*this* data differ anyhow count no more than others, so that two trousers are not copies because both are trousers.

1. The magnitudes of the spectrum, which a shift leaves as they are. By them, neighbours are found.
2. The middle of the picture, moved to where it fits the neighbour best.

The distance of two pictures is the geometric mean of 1 - cosine in both. They are near copies if that is a fraction of
the distance to the K-th neighbour: what a common distance is depends on the data, and on the place in it.

Shapes: N pictures or films, T frames each, H, W, D components, K neighbours.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

__all__ = ["near_pictures", "sketch_pictures"]

SIDE = 32  # pixels each way that pictures are reduced to, where they have more
SEEN = 4  # pixels each way that one of these is averaged over, at least, where there are more
FLAT = 16  # grey levels between the darkest and the brightest pixel below which there is nothing to compare

FINE, COARSE = 3, 7  # sides of the two means whose difference is looked at
CUT = 6  # frequencies each way, in cycles a picture
COMPONENTS = 64
K = 10
RATIO = 0.2
SAME = 0.02
SHIFT = 2  # pixels each way, of SIDE
FITTED = 4096  # frames that the whitening is made from
CELL = 512  # rows of a cell, on average
CELLS = 4  # nearest cells in which a row is looked for
TOGETHER = 512  # rows that are worked on at once: bounds the memory


def sketch_pictures(frames: np.ndarray, size: tuple[int, int]) -> np.ndarray | None:
    """(T, H, W) uint8 of frames (T, any, any) or (T, any, any, 3), reduced; None: too plain to compare.

    `size` is what pictures of this data have in common; none is enlarged beyond it.
    """
    height, width = (min(side, SIDE) for side in size)
    small = np.stack([_reduced(frame, height, width) for frame in frames])
    return None if int(small.max()) - int(small.min()) < FLAT else small


def _reduced(frame: np.ndarray, height: int, width: int) -> np.ndarray:
    if frame.ndim == 2 and frame.shape == (height, width):
        return frame
    step = max(1, min(frame.shape[0] // (height * SEEN), frame.shape[1] // (width * SEEN)))
    picture = Image.fromarray(np.ascontiguousarray(frame[::step, ::step])).convert("L")
    return np.asarray(picture.resize((width, height), Image.Resampling.BOX))


def near_pictures(sketches: np.ndarray) -> np.ndarray:
    """(P, 2) numbers of those sketches (N, T, H, W) that show nearly the same, the most alike first."""
    num = len(sketches)
    if num < 2 * K:
        return np.empty((0, 2), dtype=np.int64)
    spectra = _whitened(sketches, _spectrum)
    far, neighbours = _neighbours(spectra)  # (N, K + 1) each
    far = (far * _aligned_distances(sketches, neighbours)).sqrt()
    common = far.kthvalue(K, dim=1, keepdim=True).values.clamp_max(1.0)
    row, place = torch.nonzero((far <= RATIO * common) | (far <= SAME), as_tuple=True)
    pairs = torch.stack([row, neighbours[row, place]], 1).sort(1).values
    order = far[row, place].argsort()
    found = dict.fromkeys(map(tuple, pairs[order].tolist()))
    return np.array(list(found), dtype=np.int64).reshape(-1, 2)


def _chunks(num: int) -> Iterator[slice]:
    return (slice(start, start + TOGETHER) for start in range(0, num, TOGETHER))


def _middle_frequencies(sketches: np.ndarray) -> Tensor:
    """(N, T, H, W): the difference of two means."""
    pixels = torch.from_numpy(sketches).float()

    def mean(side: int) -> Tensor:
        return F.avg_pool2d(pixels, side, 1, side // 2, count_include_pad=False)

    return mean(FINE) - mean(COARSE)


def _spectrum(sketches: np.ndarray) -> Tensor:
    """(N, D) square roots of the magnitudes of low frequencies; a frame around it keeps its ends apart."""
    seen = _middle_frequencies(sketches)
    size = [side + 2 * SHIFT for side in seen.shape[-2:]]
    magnitude = torch.fft.rfft2(seen, s=size).abs()
    low = [magnitude[..., : CUT + 1, : CUT + 1], magnitude[..., -CUT:, 1 : CUT + 1]]
    return F.normalize(torch.cat([part.flatten(1) for part in low], 1)).sqrt()


def _shift(sketches: np.ndarray) -> int:
    return min(SHIFT, min(sketches.shape[-2:]) // 8)


def _windows(sketches: np.ndarray) -> Tensor:
    """(N, S, D): the middle of each picture as it is moved S = (2 * shift + 1)^2 ways, less its mean, of length 1."""
    seen, shift = _middle_frequencies(sketches), _shift(sketches)
    height, width = (side - 2 * shift for side in seen.shape[-2:])
    moves = range(2 * shift + 1)
    # Every other pixel: the finer mean has gone over three.
    moved = [seen[..., y : y + height : 2, x : x + width : 2].flatten(1) for y in moves for x in moves]
    windows = torch.stack(moved, 1)
    return F.normalize(windows - windows.mean(-1, keepdim=True), dim=-1)


def _middle(sketches: np.ndarray) -> Tensor:
    shift = _shift(sketches)
    return _windows(sketches)[:, (2 * shift + 1) * shift + shift]


def _whitening(rows: Tensor) -> Callable[[Tensor], Tensor]:
    """To D components of equal spread among these rows (N, any), and to length 1."""
    mean = rows.mean(0)
    _, spread, directions = torch.linalg.svd(rows - mean, full_matrices=False)
    kept = min(COMPONENTS, len(rows) // 4, int((spread > 1e-3 * spread[0]).sum()))
    matrix = (directions[:kept] / spread[:kept, None]).T.contiguous()
    return lambda some: F.normalize((some - mean) @ matrix, dim=-1)


def _sample(sketches: np.ndarray) -> np.ndarray:
    num = max(2, FITTED // sketches.shape[1])
    return sketches[:: math.ceil(len(sketches) / num)]


def _whitened(sketches: np.ndarray, describe: Callable[[np.ndarray], Tensor]) -> Tensor:
    whiten = _whitening(describe(_sample(sketches)))
    return torch.cat([whiten(describe(sketches[part])) for part in _chunks(len(sketches))])


def _neighbours(rows: Tensor) -> tuple[Tensor, Tensor]:
    """Distances (N, K + 1) to the nearest others, and which they are: among the rows that share one of their cells."""
    num = len(rows)
    centres = _centres(rows, max(1, num // CELL))
    homes = torch.cat([(rows[part] @ centres.T).topk(min(CELLS, len(centres))).indices for part in _chunks(num)])
    distances = torch.full((num, K + 1), 2.0)
    nearest = torch.zeros((num, K + 1), dtype=torch.long)
    for cell in range(len(centres)):
        others = torch.nonzero((homes == cell).any(1))[:, 0]
        mine = torch.nonzero(homes[:, 0] == cell)[:, 0]
        for part in mine.split(TOGETHER):
            alike = rows[part] @ rows[others].T
            alike[part[:, None] == others] = -1.0
            found = alike.topk(min(K + 1, len(others)))
            distances[part, : found.values.shape[1]] = 1 - found.values
            nearest[part, : found.values.shape[1]] = others[found.indices]
    return distances.clamp_min(0), nearest


def _centres(rows: Tensor, num: int) -> Tensor:
    """(num, D) of k-means by direction, on a sample; where to look needs no more."""
    sample = rows[:: math.ceil(len(rows) / (64 * num))]
    centres = sample[:: math.ceil(len(sample) / num)][:num]
    for _ in range(5):
        home = (sample @ centres.T).argmax(1)
        centres = F.normalize(torch.zeros_like(centres).index_add_(0, home, sample) + 1e-6 * centres)
    return centres


def _aligned_distances(sketches: np.ndarray, neighbours: Tensor) -> Tensor:
    """(N, K + 1): to the middle of each neighbour, from the window that is nearest to it."""
    whiten = _whitening(_middle(_sample(sketches)))
    middles = torch.cat([whiten(_middle(sketches[part])) for part in _chunks(len(sketches))])
    found = []
    for part in _chunks(len(sketches)):
        alike = middles[neighbours[part]] @ whiten(_windows(sketches[part])).transpose(1, 2)  # (N, K + 1, S)
        found.append(1 - alike.amax(2))
    return torch.cat(found).clamp_min(0)
