from __future__ import annotations

import csv
import os
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

from ml_intern.core.llm.practice import prepare_workspace
from ml_intern.core.llm.practice.material import material
from ml_intern.core.places import Places, find_places
from ml_intern.resources import config_path

DEMO = config_path("demo")


def places(tmp_path: Path) -> Places:
    return find_places({"ML_INTERN_HOME": str(tmp_path)})


def test_each_session_gets_a_fresh_directory_with_the_data_and_its_licence(tmp_path: Path) -> None:
    first, second = prepare_workspace(places(tmp_path)), prepare_workspace(places(tmp_path))
    assert first != second
    assert first.parent == tmp_path / "cache" / "practice"
    assert sorted(path.name for path in first.iterdir()) == ["README.md", "data.csv"]
    assert "CC0" in (first / "README.md").read_text()


def test_directories_that_nobody_touched_for_a_week_are_removed_and_used_ones_stay(tmp_path: Path) -> None:
    old, used, young = (prepare_workspace(places(tmp_path)) for _ in range(3))
    long_ago = time.time() - 8 * 86_400
    for workspace in (old, used):
        for path in (*workspace.iterdir(), workspace):
            os.utime(path, (long_ago, long_ago))
    os.utime(used / "data.csv")
    prepare_workspace(places(tmp_path))
    assert [path.exists() for path in (old, used, young)] == [False, True, True]


def test_the_data_set_is_what_its_program_makes() -> None:
    made = subprocess.run([sys.executable, DEMO / "make_data.py"], capture_output=True, text=True, check=True)
    assert made.stdout == (DEMO / "data.csv").read_text(encoding="utf-8")


def test_the_data_set_is_what_its_card_says() -> None:
    with (DEMO / "data.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert Counter(row["topic"] for row in rows) == dict.fromkeys(
        ("data", "install", "memory", "serving", "training"), 100
    )
    assert len({row["message"] for row in rows}) == 500


def test_the_prepared_changes_fit_the_prepared_script() -> None:
    prepared = material()
    assert prepared.script.count(prepared.old) == 1
    assert prepared.script.count(f"EPOCHS = {prepared.epochs}\n") == 1
    compile(prepared.script.replace(prepared.old, prepared.new), "train.py", "exec")
