"""Files that are whole or absent: written under a temporary name, flushed to disk, then renamed into place.

Weights and state are safetensors whose own header carries a SHA-256 over every name, shape, byte and the state,
so one file is one commit and a flipped bit is refused. Nothing here reads or writes a pickle.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from .finding import BadInput

__all__ = ["file_digest", "read_json", "read_tensors", "tensor_digests", "write_bytes", "write_json", "write_tensors"]

_PROOF = "snowball"  # the key of a safetensors header under which its digest and state stand


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _commit(temporary: Path, path: Path) -> None:
    with temporary.open("rb+") as file:
        os.fsync(file.fileno())
    os.replace(temporary, path)
    _sync_folder(path.parent)


def write_bytes(path: Path, data: bytes) -> None:
    """Write a whole file or none: a crash or a full disk leaves what stood there before."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        temporary.write_bytes(data)
        _commit(temporary, path)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise BadInput(
            f"{path}: could not be written: {error.strerror}; what stood there before is unchanged"
        ) from error


def write_json(path: Path, value: Any) -> None:
    write_bytes(path, (json.dumps(value, indent=2, allow_nan=True) + "\n").encode())


def read_json(path: Path) -> Any:
    try:
        return json.loads(path.read_bytes())
    except FileNotFoundError as error:
        raise BadInput(f"{path}: no such file") from error
    except (ValueError, RecursionError, OSError) as error:
        raise BadInput(f"{path}: not readable as JSON ({error})") from error


def file_digest(path: Path) -> str:
    """SHA-256 of a file, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def tensor_digests(tensors: Mapping[str, Any]) -> dict[str, str]:
    """SHA-256 of each tensor over its dtype, shape and bytes."""
    digests = {}
    for name, tensor in tensors.items():
        digest = hashlib.sha256(f"{tensor.dtype} {tuple(tensor.shape)} ".encode())
        flat = tensor.detach().cpu().contiguous().reshape(-1)
        digest.update(flat.view(_uint8()).numpy().data if flat.numel() else b"")
        digests[name] = digest.hexdigest()
    return digests


def _uint8() -> Any:
    import torch

    return torch.uint8


def _whole_digest(tensors: Mapping[str, Any], state: str) -> str:
    lines = [f"{name} {digest}" for name, digest in sorted(tensor_digests(tensors).items())]
    return hashlib.sha256("\n".join([*lines, state]).encode()).hexdigest()


def _unshared(tensors: Mapping[str, Any]) -> dict[str, Any]:
    """Tied weights, which are one tensor under two names, as two: safetensors refuses to write shared memory."""
    seen: set[int] = set()
    plain = {}
    for name, tensor in tensors.items():
        plain[name] = tensor.clone() if tensor.data_ptr() in seen else tensor
        seen.add(tensor.data_ptr())
    return plain


def write_tensors(path: Path, tensors: Mapping[str, Any], state: Mapping[str, Any] | None = None) -> None:
    """Write tensors and a JSON-able state as one safetensors file that can prove itself whole."""
    from safetensors.torch import save_file

    text = json.dumps(state or {})
    plain = _unshared({name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()})
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        # One key: the library writes several in no fixed order, and equal contents are to be equal bytes.
        proof = json.dumps({"sha256": _whole_digest(plain, text), "state": text})
        save_file(plain, temporary, metadata={_PROOF: proof})
        _commit(temporary, path)
    except Exception as error:  # safetensors wraps the operating system's error in its own type
        temporary.unlink(missing_ok=True)
        raise BadInput(f"{path}: could not be written: {error}; what stood there before is unchanged") from error


def read_tensors(path: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """Tensors and state of a file written by `write_tensors`. A truncated or altered file is refused by name."""
    from safetensors import SafetensorError, safe_open

    if not path.is_file():
        raise BadInput(f"{path}: no such file")
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a dict)
    except (SafetensorError, OSError, ValueError) as error:
        raise BadInput(f"{path}: not a whole safetensors file ({error})") from error
    try:
        proof = json.loads(metadata.get(_PROOF, ""))
        text = str(proof["state"])
        whole = proof["sha256"] == _whole_digest(tensors, text)
    except (ValueError, TypeError, KeyError) as error:
        raise BadInput(f"{path}: was not written by Snowball, or is altered: no {_PROOF!r} in its header") from error
    if not whole:
        raise BadInput(f"{path}: SHA-256 differs from the one it was written with: truncated or altered")
    return tensors, json.loads(text)
