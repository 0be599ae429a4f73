"""How a run without a screen ends, as numbers that scripts rely on."""

from __future__ import annotations

OK = 0
FAILURE = 1
"""The model or a service could not be used, or the agent broke."""
USAGE = 2
"""A flag, a model id, a key or a configuration file is wrong or missing."""
LIMIT = 3
"""Iterations, cost, or a context that could not be compacted."""
NEEDS_APPROVAL = 4
"""Nobody was there to give an approval."""
INTERRUPTED = 130
