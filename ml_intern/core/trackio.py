"""Reads the metrics that trackio keeps on this machine, without trackio: one SQLite database for each project."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ml_intern.core.metric_lines import Figures
from ml_intern.core.metrics import TrainingMetrics

if TYPE_CHECKING:
    import sqlite3

ROWS_AT_ONCE = 20_000
_BUSY_S = 0.5
_METRICS = "SELECT id, run_id, run_name, timestamp, step, metrics FROM metrics WHERE id > ? ORDER BY id LIMIT ?"
_CONFIGS = "SELECT run_id, config FROM configs"


@dataclass(slots=True)
class TrackioRun:
    """One run of a project.

    Attributes:
        name: The run's name.
        metrics: Its curves.
        config: What it was started with, as text.
    """

    name: str
    metrics: TrainingMetrics = field(default_factory=TrainingMetrics)
    config: dict[str, str] = field(default_factory=dict)


def trackio_directory(env: Mapping[str, str]) -> Path:
    """Where trackio keeps its databases."""
    if own := env.get("TRACKIO_DIR"):
        return Path(own).expanduser()
    home = env.get("HF_HOME") or Path(env.get("XDG_CACHE_HOME") or "~/.cache", "huggingface")
    return Path(home).expanduser() / "trackio"


def database_of(directory: Path, project: str) -> Path:
    """The database of a project."""
    kept = "".join(char for char in project if char.isalnum() or char in "-_")
    return directory / f"{kept or 'default'}.db"


class TrackioReader:
    """Follows one database. Not thread-safe; its methods block shortly, so call them in a thread.

    Args:
        path: The database; it may not exist yet.
        since: Rows logged before are left out.
        until: Rows logged after are left out.

    Attributes:
        runs: What was read, by the run's id.
    """

    def __init__(self, path: Path, since: datetime | None = None, until: datetime | None = None) -> None:
        self.path = path
        self.runs: dict[str, TrackioRun] = {}
        self._since = since
        self._until = until
        self._last_id = 0

    def read(self) -> bool:
        """Takes in what is new; tells whether anything was. A database that is missing or odd has nothing new."""
        import sqlite3

        if not self.path.is_file():
            return False
        before = self._last_id
        try:
            connection = sqlite3.connect(f"{self.path.absolute().as_uri()}?mode=ro", uri=True, timeout=_BUSY_S)
            try:
                self._read_rows(connection)
                if self._last_id != before:
                    self._read_configs(connection)
            finally:
                connection.close()
        except sqlite3.Error:  # still being made, locked by its writer, or of another version
            return self._last_id != before
        return self._last_id != before

    def _read_rows(self, connection: sqlite3.Connection) -> None:
        query = _METRICS if _has_run_ids(connection) else _METRICS.replace("run_id", "run_name")
        while rows := connection.execute(query, (self._last_id, ROWS_AT_ONCE)).fetchall():
            for row_id, run_id, name, moment, step, data in rows:
                self._last_id = row_id
                if self._in_time(moment):
                    run = self.runs.setdefault(str(run_id), TrackioRun(str(name)))
                    run.metrics.take(_figures(step, data))

    def _read_configs(self, connection: sqlite3.Connection) -> None:
        query = _CONFIGS if _has_run_ids(connection) else _CONFIGS.replace("run_id", "run_name")
        for run_id, data in connection.execute(query):
            if run := self.runs.get(str(run_id)):
                shown = {name: value for name, value in _object(data).items() if not name.startswith("_")}
                run.config = {name: _text(value) for name, value in shown.items()}

    def _in_time(self, moment: str) -> bool:
        if self._since is None and self._until is None:
            return True
        try:
            logged = datetime.fromisoformat(moment)
        except ValueError:
            return False
        if logged.tzinfo is None:
            logged = logged.astimezone()
        return (self._since is None or logged >= self._since) and (self._until is None or logged <= self._until)


def _has_run_ids(connection: sqlite3.Connection) -> bool:
    """Older databases tell runs apart by their names."""
    return any(row[1] == "run_id" for row in connection.execute("PRAGMA table_info(metrics)"))


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _object(data: str | bytes) -> dict[str, Any]:
    try:
        found = json.loads(data)
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _figures(step: Any, data: str | bytes) -> Figures:
    figures = Figures(step=float(step) if isinstance(step, int | float) else None)
    for name, value in _object(data).items():
        if name == "epoch" and isinstance(value, int | float):
            figures.epoch = float(value)
        elif isinstance(value, bool):
            continue
        elif isinstance(value, int | float) or value in ("NaN", "Infinity", "-Infinity"):
            figures.values[name] = float(value)
    return figures
