from __future__ import annotations

import asyncio
import time
from pathlib import Path

import pytest

from ml_intern.tui.stall import FILE, StallWatch


def _hold_up(until: float) -> None:
    while time.monotonic() < until:
        pass


async def test_a_loop_that_stands_still_is_told_with_its_stacks(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    watch = StallWatch(tmp_path / "logs", stall_s=0.1, beat_s=0.05)
    watch.start()
    _hold_up(time.monotonic() + 0.3)
    assert watch.stalled
    await asyncio.sleep(0.06)  # one beat
    watch.stop()
    stacks = (tmp_path / "logs" / FILE).read_text()
    assert "_hold_up" in stacks
    assert "stood still for 0." in caplog.text
    _hold_up(time.monotonic() + 0.2)
    assert (tmp_path / "logs" / FILE).read_text() == stacks  # it was stopped
    watch.close()
