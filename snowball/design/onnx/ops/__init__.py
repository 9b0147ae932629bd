"""The operators, found by folder scan: a file for each family, see registry.py."""
