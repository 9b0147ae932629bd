"""Keras's layers, found by folder scan; N rows, C channels, the axes as Keras has them."""
