"""Broken: cannot be imported."""

import no_such_module_of_vgan  # noqa: F401
