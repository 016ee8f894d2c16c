"""Broken: leaves the interpreter while it is imported."""

raise SystemExit(7)
