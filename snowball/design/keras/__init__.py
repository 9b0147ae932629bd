"""Keras's networks (Chollet, 2015): read from .keras and .h5 files without Keras, built from an allow-list of layers.

archive.py      the two forms of files, read apart      definition.py, registry.py   the network as layers and calls
layers/         the layers there are                    network.py, weights.py       one module, with its numbers
load.py         a network in Python

Tensors keep Keras's axes, channels last where Keras has them so: only inside a convolution or a pooling are they
moved, which costs nothing, since the memory is then laid out as PyTorch's kernels for channels last want it.
"""
