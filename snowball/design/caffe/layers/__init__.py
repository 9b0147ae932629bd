"""The layers, by family; each file is found by folder scan, see registry.py."""
