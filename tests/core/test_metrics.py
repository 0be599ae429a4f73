from __future__ import annotations

import json
import math
import random
import sqlite3
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ml_intern.core.metric_lines import Figures, read_figures
from ml_intern.core.metrics import CURVE_POINTS, MAX_CURVES, Curve, TrainingMetrics, thinned
from ml_intern.core.trackio import TrackioReader, database_of, trackio_directory


def read(*lines: str) -> TrainingMetrics:
    metrics = TrainingMetrics()
    metrics.feed_all(lines)
    return metrics


# --------------------------------------------------------------------------------------------------------- lines


@pytest.mark.parametrize(
    ("line", "figures"),
    [
        (
            "{'loss': 1.0312, 'grad_norm': 0.81, 'learning_rate': 2e-05, 'epoch': 1.4}",
            Figures({"loss": 1.0312, "grad_norm": 0.81, "learning_rate": 2e-05}, epoch=1.4),
        ),
        ("{'loss': '1.0312', 'epoch': '1.4'}", Figures({"loss": 1.0312}, epoch=1.4)),
        ('{"step": 3, "train/loss": 2.5, "note": null}', Figures({"train/loss": 2.5}, step=3)),
        ("step 10 loss=2.3 lr=1e-4", Figures({"loss": 2.3, "lr": 1e-4}, step=10)),
        ("Epoch 1/3, Step 1,240: loss 2.3, acc: 93.5%", Figures({"loss": 2.3, "acc": 93.5}, step=1240, epoch=1)),
        ("2026-01-01 12:30:45 INFO global_step: 7 | val_loss: -0.5", Figures({"val_loss": -0.5}, step=7)),
        (" 10%|█    | 12/100 [00:10<01:30,  1.0it/s, loss=2.31]", Figures({"loss": 2.31}, step=12)),
        ("{'rewards/chosen': 0.3, 'rewards/margins': 1.5}", Figures({"rewards/chosen": 0.3, "rewards/margins": 1.5})),
        (
            "{'eval_loss': 1.9, 'eval_runtime': 3.2, 'eval_samples_per_second': 9.1, 'epoch': 1.0}",
            Figures({"eval_loss": 1.9}, epoch=1.0),
        ),
        (
            "{'train_runtime': 12.3, 'train_samples_per_second': 1.1, 'train_loss': 1.1, 'epoch': 3.0}",
            Figures({"train_loss": 1.1}, epoch=3.0, final=True),
        ),
        ("epoch: 3", Figures(epoch=3)),
    ],
)
def test_figures_are_read_from_what_trainers_write(line: str, figures: Figures) -> None:
    assert read_figures(line) == figures


@pytest.mark.parametrize(
    "line",
    [
        "",
        "Saving checkpoint to out/checkpoint-50",
        "[2026-01-01 12:30:45] listening on port: 8080",
        "SFTConfig(learning_rate=2e-05, max_steps=-1, loss_type='nll', max_grad_norm=1.0)",
        "Downloading shards: 45 of 60",
        "HTTP/1.1 200 OK time=0.3",
        "\x00\ud800 ＝ 3 ：loss",
        "x" * 1_000_000,
        "loss " * 200_000,
    ],
)
def test_other_lines_say_nothing(line: str) -> None:
    assert read_figures(line) is None


@given(st.text())
def test_no_text_makes_trouble(text: str) -> None:
    metrics = read(text, f"loss={text}", f"{{'loss': {text}, 'epoch': 1}}")
    for curve in metrics.curves.values():
        assert all(math.isfinite(x) and math.isfinite(y) for x, y in curve.points())


def test_hostile_lines_cost_no_more_than_others() -> None:
    began = time.perf_counter()
    for line in ("a " * 500_000, "a=1" * 300_000, "loss=1,111" + ",111" * 200_000, "loss" + " " * 500_000 + "1"):
        read_figures(line)
    assert time.perf_counter() - began < 0.2


def test_two_hundred_thousand_lines_are_read_in_two_seconds() -> None:
    lines = [f"{{'loss': {2 - i / 2e5}, 'grad_norm': 0.81, 'epoch': {i / 1e5}}}" for i in range(100_000)]
    lines += [f"Saving checkpoint to out/checkpoint-{i}, which takes a while" for i in range(100_000)]
    began = time.process_time()
    metrics = read(*lines)
    assert time.process_time() - began < 2.0
    assert metrics.curves["loss"].count == 100_000


# --------------------------------------------------------------------------------------------------------- axes


def test_steps_are_the_axis_where_they_are_told_and_carried_on() -> None:
    metrics = read("step 10 loss=2.3", "eval_loss=2.4", "step 20 loss=2.1")
    assert metrics.curves["loss"].points() == [(10, 2.3), (20, 2.1)]
    assert metrics.curves["eval_loss"].points() == [(10, 2.4)]
    assert metrics.curves["loss"].axis == "step"


def test_epochs_are_the_axis_without_steps_and_a_count_without_either() -> None:
    assert read("{'loss': 2.0, 'epoch': 0.5}").curves["loss"].points() == [(0.5, 2.0)]
    counted = read("loss=2.0", "loss=1.0").curves["loss"]
    assert (counted.axis, counted.points()) == ("count", [(1, 2.0), (2, 1.0)])


def test_what_a_run_says_at_its_end_is_no_point_but_a_final_value() -> None:
    metrics = read("{'loss': 2.0, 'epoch': 1}", "{'train_runtime': 12.3, 'train_loss': 1.1, 'epoch': 3.0}")
    assert list(metrics.curves) == ["loss"]
    assert metrics.final_values() == {"loss": 2.0, "train_loss": 1.1}


def test_losses_share_a_chart_and_come_first() -> None:
    metrics = read("{'learning_rate': 1e-4, 'loss': 2.0, 'eval_loss': 2.1, 'grad_norm': 1.0, 'epoch': 1}")
    charts = {name: [curve.name for curve in curves] for name, curves in metrics.charts().items()}
    assert charts == {"loss": ["loss", "eval_loss"], "learning_rate": ["learning_rate"], "grad_norm": ["grad_norm"]}
    assert list(charts) == ["loss", "learning_rate", "grad_norm"]
    assert metrics.main is not None
    assert metrics.main.name == "loss"


# ------------------------------------------------------------------------------------------------------- trouble


def test_nan_is_told_from_its_first_step_on_until_it_is_over() -> None:
    metrics = read(*(f"step {step} loss={'nan' if step >= 120 else 1.0}" for step in range(100, 200, 10)))
    assert metrics.warning == "NaN since step 120"
    assert metrics.failing
    metrics.feed("step 200 loss=1.0")
    assert metrics.warning == "loss was NaN 8 times, last at step 190"
    assert not metrics.failing


def test_a_gradient_norm_without_a_number_is_told_although_the_loss_looks_well() -> None:
    metrics = read("{'loss': 0.0, 'grad_norm': inf, 'epoch': 0.2}")
    assert metrics.warning == "inf since epoch 0.2 (grad_norm)"


def test_a_loss_that_runs_away_is_told() -> None:
    course = [2.0 - 0.08 * i for i in range(10)] + [1.2] * 5 + [2.0, 4.0, 6.0, 8.0, 8.4, 8.4, 8.4, 8.4, 8.4]
    metrics = read(*(f"step {step} loss={loss}" for step, loss in enumerate(course)))
    assert metrics.warning == "loss is rising: 1.2 → 8.4"


@pytest.mark.parametrize("scale", [0.0001, 1.0, 10.0])
def test_a_noisy_loss_that_falls_or_stays_is_no_trouble(scale: float) -> None:
    noise = random.Random(7)
    metrics = TrainingMetrics()
    for step in range(2_000):
        metrics.feed(f"step {step} loss={scale * (1 + math.exp(-step / 200) + noise.uniform(-0.2, 0.2))}")
        assert metrics.warning == ""


# -------------------------------------------------------------------------------------------------------- memory


def test_a_curve_of_any_length_keeps_its_ends_and_its_spikes_in_bounded_memory() -> None:
    curve = Curve("loss")
    for step in range(300_000):
        curve.add(step, 9.0 if step == 123_456 else 0.1 if step == 222_222 else 1.0)
    points = curve.points()
    assert len(points) <= CURVE_POINTS + 3
    assert curve.count == 300_000
    assert points[0][0] < 100
    assert points[-1] == (299_999, 1.0)
    assert (123_456, 9.0) in points
    assert (222_222, 0.1) in points
    assert points == sorted(points)


def test_points_are_thinned_to_a_limit_with_their_extremes() -> None:
    points = [(float(at), math.sin(at)) for at in range(1_000)]
    kept = thinned(points, 100)
    assert len(kept) <= 102
    assert max(y for _, y in kept) == max(y for _, y in points)
    assert set(kept) <= set(points)


def test_names_without_end_are_not_followed_without_end() -> None:
    metrics = read(*(f"step {number} loss_{number}=1.0 run{number}/loss=2.0" for number in range(1_000)))
    assert len(metrics.curves) == MAX_CURVES


# ------------------------------------------------------------------------------------------------------- trackio


def database(path: Path, *, run_ids: bool = True) -> sqlite3.Connection:
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA journal_mode = WAL")
    key = "run_id TEXT, " if run_ids else ""
    connection.execute(
        f"CREATE TABLE metrics (id INTEGER PRIMARY KEY AUTOINCREMENT, {key}"
        "timestamp TEXT, run_name TEXT, step INTEGER, metrics TEXT)"
    )
    connection.execute(f"CREATE TABLE configs (id INTEGER PRIMARY KEY, {key}run_name TEXT, config TEXT)")
    return connection


def log(connection: sqlite3.Connection, run: str, step: int, at: datetime, **values: object) -> None:
    data = json.dumps(values).encode()
    connection.execute(
        "INSERT INTO metrics (run_id, timestamp, run_name, step, metrics) VALUES (?, ?, ?, ?, ?)",
        (f"id-{run}", at.isoformat(), run, step, data),
    )
    connection.commit()


def test_trackio_runs_are_read_as_they_grow(tmp_path: Path) -> None:
    reader = TrackioReader(database_of(tmp_path, "my notes!"))
    assert reader.path.name == "mynotes.db"
    assert not reader.read()
    connection = database(reader.path)
    now = datetime(2026, 1, 1, 12, tzinfo=UTC)
    connection.execute(
        "INSERT INTO configs (run_id, run_name, config) VALUES ('id-a', 'a', ?)",
        (b'{"lr": 0.1, "name": "x", "_Group": null}',),
    )
    log(connection, "a", 10, now, loss=2.0, text="x", flag=True)
    log(connection, "b", 10, now, loss="NaN")
    assert reader.read()
    assert not reader.read()
    log(connection, "a", 20, now, loss=1.0)
    assert reader.read()
    run = reader.runs["id-a"]
    assert run.name == "a"
    assert {name: curve.points() for name, curve in run.metrics.curves.items()} == {"loss": [(10, 2.0), (20, 1.0)]}
    assert run.config == {"lr": "0.1", "name": "x"}
    assert reader.runs["id-b"].metrics.warning == "NaN since step 10"
    connection.close()


def test_trackio_rows_of_another_time_are_left_out(tmp_path: Path) -> None:
    connection = database(tmp_path / "p.db")
    begin = datetime(2026, 1, 1, 12, tzinfo=UTC)
    for minutes, name in ((-5, "before"), (1, "during"), (30, "after")):
        log(connection, name, 1, begin + timedelta(minutes=minutes), loss=1.0)
    reader = TrackioReader(tmp_path / "p.db", since=begin, until=begin + timedelta(minutes=10))
    reader.read()
    assert [run.name for run in reader.runs.values()] == ["during"]
    connection.close()


def test_an_older_trackio_database_tells_runs_apart_by_name(tmp_path: Path) -> None:
    connection = database(tmp_path / "p.db", run_ids=False)
    connection.execute(
        "INSERT INTO metrics (timestamp, run_name, step, metrics) VALUES ('2026-01-01', 'a', 3, '{\"loss\": 1}')"
    )
    connection.commit()
    reader = TrackioReader(tmp_path / "p.db")
    assert reader.read()
    assert reader.runs["a"].metrics.curves["loss"].points() == [(3, 1.0)]
    connection.close()


def test_a_file_that_is_no_database_has_no_runs(tmp_path: Path) -> None:
    (tmp_path / "p.db").write_bytes(b"no database at all" * 100)
    assert not TrackioReader(tmp_path / "p.db").read()


def test_trackio_is_looked_for_where_its_own_variables_say(tmp_path: Path) -> None:
    assert trackio_directory({"TRACKIO_DIR": str(tmp_path)}) == tmp_path
    assert trackio_directory({"HF_HOME": str(tmp_path)}) == tmp_path / "trackio"
    assert trackio_directory({"XDG_CACHE_HOME": str(tmp_path)}) == tmp_path / "huggingface" / "trackio"
