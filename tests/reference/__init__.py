"""Readable NumPy twins of the kernels: the oracles they are held against."""
