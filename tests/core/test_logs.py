from __future__ import annotations

import logging
import stat
import warnings
from collections.abc import Iterator
from pathlib import Path

import pytest

from ml_intern.core.logs import LOG_FILE, start_logging


@pytest.fixture(autouse=True)
def restored_logging() -> Iterator[None]:
    root, ours = logging.getLogger(), logging.getLogger("ml_intern")
    handlers, level = list(root.handlers), ours.level
    yield
    for handler in set(root.handlers) - set(handlers):
        root.removeHandler(handler)
        handler.close()
    ours.setLevel(level)
    logging.captureWarnings(False)


def test_records_go_to_a_private_file_without_secrets(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    start_logging(tmp_path / "logs", lambda text: text.replace("secret", "***"))
    assert not (tmp_path / "logs").exists()
    logging.getLogger("ml_intern.somewhere").info("a secret thing")
    try:
        raise ValueError("secret inside")
    except ValueError:
        logging.getLogger("another.library").exception("it broke")
    logging.getLogger("another.library").info("chatter")
    path = tmp_path / "logs" / LOG_FILE
    text = path.read_text()
    assert "a *** thing" in text
    assert "ValueError: *** inside" in text
    assert "chatter" not in text
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert capfd.readouterr() == ("", "")


def test_warnings_of_libraries_stay_off_the_terminal(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    start_logging(tmp_path, str)
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        logging.captureWarnings(True)
        warnings.warn("old habits", stacklevel=1)
    assert "old habits" in (tmp_path / LOG_FILE).read_text()
    assert capfd.readouterr().err == ""


def test_starting_again_moves_the_log(tmp_path: Path) -> None:
    start_logging(tmp_path / "one", str)
    start_logging(tmp_path / "two", str)
    logging.getLogger("ml_intern").warning("here")
    assert not (tmp_path / "one").exists()
    assert "here" in (tmp_path / "two" / LOG_FILE).read_text()


def test_log_that_cannot_be_written_disturbs_nothing(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").write_text("in the way")
    start_logging(tmp_path / "file" / "logs", str)
    logging.getLogger("ml_intern").error("lost")
    assert capfd.readouterr() == ("", "")
