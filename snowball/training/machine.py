"""What the machine at hand is, and what it does best: device, precision, memory layout, allocator."""

from __future__ import annotations

import ctypes
import hashlib
import json
import platform
import sys
import time
from collections.abc import Mapping
from contextlib import suppress

import torch
from torch import nn

from ..collect.cache import cache_folder
from ..finding import BadInput
from ..kind import Batch
from ..recipe import Recipe
from ..storage import write_json
from ..task import Task
from .loop import seed_everything

__all__ = [
    "choose_channels_last",
    "choose_device",
    "choose_precision",
    "environment",
    "keep_freed_memory",
    "measured_recipe",
]

_TRIAL_PIXELS = 2**21  # elements of input in one timed step: enough to tell layouts apart, under a second each
_MARGIN = 0.95  # the other layout has to be this much faster: below that, timing noise would choose


def choose_device(asked: str) -> torch.device:
    """The device a recipe asks for; `auto` is the first GPU, else the CPU."""
    if asked == "auto":
        accelerator = torch.accelerator.current_accelerator(check_available=True)
        return torch.device(accelerator.type if accelerator is not None else "cpu")
    try:
        device = torch.device(asked)
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError) as error:
        raise BadInput(f"train.device={asked}: not on this machine ({str(error).splitlines()[0]})") from error
    return device


def choose_precision(asked: str, device: torch.device) -> str:
    """`fp32` or `bf16`. Autocast to bf16 halves the speed of CPUs without AMX (measured 2026-11-24), so never there."""
    if asked != "auto":
        return asked
    return "bf16" if device.type == "cuda" and torch.cuda.is_bf16_supported() else "fp32"


def keep_freed_memory() -> None:
    """Tell glibc to keep freed memory instead of handing it back to the kernel after every step.

    At batch 128 of simple_cnn that saves six of seven page faults and a third of the step (measured 2026-11-24).
    """
    if sys.platform == "linux" and platform.libc_ver()[0] == "glibc":
        with suppress(OSError, AttributeError):
            libc = ctypes.CDLL(None)
            libc.mallopt(-1, 2**30)  # M_TRIM_THRESHOLD
            libc.mallopt(-3, 2**30)  # M_MMAP_THRESHOLD


def environment(device: torch.device) -> dict[str, str]:
    """Versions and hardware, for the run folder: bit-identical results are promised for equal ones."""
    import numpy

    return {
        "python": platform.python_version(),
        "torch": torch.__version__,
        "numpy": numpy.__version__,
        "platform": platform.platform(),
        "processor": _processor(),
        "threads": str(torch.get_num_threads()),
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else device.type,
    }


def _processor() -> str:
    with suppress(OSError), open("/proc/cpuinfo", encoding="utf-8") as file:
        for line in file:
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor()


def measured_recipe(task: Task, batch: Batch, device: torch.device) -> Recipe:
    """The recipe with what this machine decides filled in, so that a resumed run does not decide anew."""
    seed_everything(task.recipe.train.seed)
    channels_last = choose_channels_last(task, task.model().to(device), batch)
    precision = choose_precision(task.recipe.train.precision, device)
    return task.recipe.replace({"train.channels_last": channels_last, "train.precision": precision})


def choose_channels_last(task: Task, model: nn.Module, batch: Batch) -> bool:
    """Whether pictures are to be laid out channels last: as asked, else by timing both on this machine.

    The choice is kept per machine and network, so that the same recipe gives the same bits the next time.
    """
    asked = task.recipe.train
    if asked.channels_last != "auto":
        return asked.channels_last
    if not any(isinstance(module, nn.Conv2d) for module in model.modules()):
        return False
    device = batch.index.device
    shapes = [tuple(tensor.shape) for tensor in batch.inputs.values()]
    what = task.recipe.model.name
    known = json.dumps([environment(device), what, shapes, asked.precision])
    path = cache_folder() / "layouts" / f"{hashlib.sha256(known.encode()).hexdigest()[:32]}.json"
    with suppress(OSError, ValueError, KeyError):
        return bool(json.loads(path.read_text())["channels_last"])
    seconds = _time_layouts(task, model, _shortened(batch))
    chosen = seconds["channels_last"] < _MARGIN * seconds["contiguous"]
    path.parent.mkdir(parents=True, exist_ok=True)
    write_json(path, {"channels_last": chosen, "seconds": seconds, "what": what})
    return chosen


def _shortened(batch: Batch) -> Batch:
    elements = max(tensor[0].numel() for tensor in batch.inputs.values())
    keep = max(2, min(len(batch), _TRIAL_PIXELS // elements))
    inputs = {role: tensor[:keep] for role, tensor in batch.inputs.items()}
    return Batch(inputs, {role: tensor[:keep] for role, tensor in batch.targets.items()}, batch.index[:keep])


def _time_layouts(task: Task, model: nn.Module, batch: Batch) -> Mapping[str, float]:
    """Seconds of a forward and backward pass, the best of several in alternation; the model is left as it was."""
    import copy

    formats = {"contiguous": torch.contiguous_format, "channels_last": torch.channels_last}
    models = {name: copy.deepcopy(model).to(memory_format=layout) for name, layout in formats.items()}
    best = dict.fromkeys(formats, float("inf"))
    with torch.random.fork_rng():
        for repetition in range(6):
            for name, candidate in models.items():
                start = time.perf_counter()
                task.loss(task.forward(candidate, batch), batch).backward()
                if batch.index.device.type == "cuda":
                    torch.cuda.synchronize(batch.index.device)
                if repetition:  # the first run prepares kernels
                    best[name] = min(best[name], time.perf_counter() - start)
                candidate.zero_grad(set_to_none=True)
    return best
