"""ONNX graphs: read from their files, built from an allow-list of operators, compared with ONNX Runtime.

file.py               the file as nodes, tensors and inputs       values.py   numbers that are known before a run
definition.py         the same, checked and JSON-able              registry.py, ops/   the operators there are
network.py            nodes as one module                          runtime.py, load.py   beside ONNX Runtime; in Python
"""

from __future__ import annotations

from .load import OnnxNet, load_onnx

__all__ = ["OnnxNet", "load_onnx"]
