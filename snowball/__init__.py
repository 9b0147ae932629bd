"""Snowball: from a folder of data to a deployed model you can trust.

>>> import snowball
>>> run = snowball.train("digits", epochs=5)  # doctest: +SKIP
>>> run.evaluate(); run.predict("7.png"); run.export("m.onnx")  # doctest: +SKIP

Everything is imported when it is first used: `import snowball` takes milliseconds.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .api import audit, check, train
    from .design.caffe.load import load_caffe
    from .design.keras.load import load_keras
    from .design.onnx.load import load_onnx
    from .finding import BadInput, Finding, GateFailed, SnowballError
    from .run import Run

__all__ = [
    "BadInput",
    "Finding",
    "GateFailed",
    "Run",
    "SnowballError",
    "__version__",
    "audit",
    "check",
    "load_caffe",
    "load_keras",
    "load_onnx",
    "train",
]
__version__ = "0.1.0"

_HOMES = {
    "audit": "api",
    "check": "api",
    "load_caffe": "design.caffe.load",
    "load_keras": "design.keras.load",
    "load_onnx": "design.onnx.load",
    "train": "api",
    "BadInput": "finding",
    "Finding": "finding",
    "GateFailed": "finding",
    "SnowballError": "finding",
    "Run": "run",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'snowball' has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"snowball.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
