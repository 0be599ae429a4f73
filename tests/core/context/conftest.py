from __future__ import annotations

import pytest

from ml_intern.core.context.tokens import TokenCounter


@pytest.fixture(scope="session")
def exact_counter() -> TokenCounter:
    counter = TokenCounter()
    assert counter.load()
    return counter
