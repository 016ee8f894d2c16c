"""Samples and what they mean: colour conversion, compositing, padding. NumPy only."""
