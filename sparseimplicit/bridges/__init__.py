"""Doors to other libraries: problems written in JAX."""

from .jax import from_jax

__all__ = ["from_jax"]
