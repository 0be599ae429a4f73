"""What has to be settled before anything is imported."""

from __future__ import annotations

import os
import shutil
import signal
import sys
from collections.abc import Generator
from pathlib import Path

import pytest
from hypothesis import settings

# The Hub's client reads these once, at its import; the stand-in Hub has no Xet store.
os.environ["HF_HUB_DISABLE_XET"] = "1"
os.environ["HF_HUB_DISABLE_TELEMETRY"] = "1"
os.environ["HF_HUB_DISABLE_PROGRESS_BARS"] = "1"

# Images of systems often forbid Python to keep what it has compiled. Some hundred processes are started here, and each
# would compile the program and its libraries once more.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False

# Where uv was started by its path, it is not on the one that jobs and servers are started with.
if shutil.which("uv") is None and "UV" in os.environ:
    os.environ["PATH"] += os.pathsep + str(Path(os.environ["UV"]).parent)

# A shell lets what it runs in the background ignore Ctrl+C, and whatever that starts as well.
if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# The machine that runs the tests may be busy: how long an example takes says nothing here.
settings.register_profile("unhurried", deadline=None)
settings.load_profile("unhurried")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Spells out halves of characters in what a test has logged or printed: a worker could not send them, and ends."""
    report = yield
    report.sections = [(name, text.encode(errors="backslashreplace").decode()) for name, text in report.sections]
    return report
