"""Bundles: a folder (or a zip of it) with a generator's graphs and `bundle.json`. Untrusted input, read with limits."""
