"""Derivatives of functions that are given as they are: by steps along coloured columns."""
