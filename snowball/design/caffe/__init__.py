"""Caffe's networks (Jia et al., 2014): read from their files, built from an allow-list of layers, compared with OpenCV.

text.py, wire.py      the two forms of protocol buffers       schema.py, generations.py   what may stand in them
definition.py         a file as a list of layers               registry.py, layers/        the layers there are
network.py            layers as one module                     weights.py, load.py         with their numbers
"""

from __future__ import annotations

from .load import CaffeNet, load_caffe

__all__ = ["CaffeNet", "load_caffe"]
