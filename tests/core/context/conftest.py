from __future__ import annotations

import pytest
from hypothesis import settings

from ml_intern.core.context.tokens import TokenCounter

# The machine that runs the tests may be busy: how long an example takes says nothing here.
settings.register_profile("unhurried", deadline=None)
settings.load_profile("unhurried")


@pytest.fixture(scope="session")
def exact_counter() -> TokenCounter:
    counter = TokenCounter()
    assert counter.load()
    return counter
