from __future__ import annotations

import math
import time

import pytest

from ml_intern.tui.widgets import plot
from ml_intern.tui.widgets.plot import Look, default_look, plot_lines, sparkline

FALLING = [(float(step), 100.0 / (step + 1)) for step in range(100)]


def drawn(series: dict[str, list[tuple[float, float]]], width: int = 60, rows: int = 10, **look: object) -> list[str]:
    return [line.plain for line in plot_lines(series, width, rows, Look(**look))]  # type: ignore[arg-type]  # by name


def braille(text: str) -> list[str]:
    return [char for char in text if 0x2800 < ord(char) <= 0x28FF]


def test_a_hundred_thousand_points_are_drawn_in_fifty_milliseconds() -> None:
    points = [(float(step), math.sin(step / 1_000)) for step in range(100_000)]
    times = []
    for _ in range(5):
        began = time.process_time()
        plot_lines({"loss": points}, 120, 20)
        times.append(time.process_time() - began)
    assert min(times) < 0.05


def test_the_axes_tell_their_ends_their_middle_and_what_they_count() -> None:
    rows = drawn({"loss": FALLING}, axis="step")
    assert rows[0].lstrip().startswith("100")
    assert rows[5].lstrip().startswith("45")
    assert rows[9].lstrip().startswith("1 ")
    assert rows[10].split() == ["0", "step", "99"]
    assert rows[11].split() == ["━━", "loss", "1", "@", "99"]


def test_a_logarithmic_axis_makes_a_power_law_readable_and_keeps_the_true_numbers() -> None:
    points = [(float(x), 10.0**-x) for x in range(5)]
    straight = drawn({"loss": points}, log=True)
    assert straight[0].lstrip().startswith("1 ")
    assert straight[9].lstrip().startswith("0.0001 ")
    assert straight[-1].split()[2:] == ["0.0001", "@", "4"]
    heights = [
        next(at for at, row in enumerate(straight) if braille(row[column : column + 1])) for column in (8, 30, 58)
    ]
    assert heights[0] < heights[1] < heights[2]
    assert drawn({"loss": [(0.0, -1.0), (1.0, 0.0)]}, log=True) == ["no points above zero"]


def test_runs_are_told_apart_by_letters_even_where_they_end_together() -> None:
    runs = {"A first": [(0.0, 1.0), (9.0, 0.5)], "B second": [(0.0, 2.0), (9.0, 0.5)], "C": [(0.0, 3.0), (4.0, 3.0)]}
    rows = drawn(runs, letters=True)
    plane = "\n".join(rows[:10])
    assert [plane.count(letter) for letter in "ABC"] == [1, 1, 1]
    assert "━━ A first" in rows[11]
    assert "╍╍ B second" in rows[11]


def test_without_braille_curves_are_drawn_in_plain_characters() -> None:
    rows = drawn({"A": FALLING, "B": [(x, y / 2) for x, y in FALLING]}, braille=False)
    assert "".join(rows).isascii()
    assert "*" in "".join(rows[:10])
    assert "+" in "".join(rows[:10])
    assert sparkline(FALLING, 10, Look(braille=False)).isascii()


@pytest.mark.parametrize(
    ("env", "works"),
    [({}, True), ({"LANG": "de_DE.UTF-8"}, True), ({"TERM": "linux"}, False), ({"LC_ALL": "de_DE.ISO-8859-1"}, False)],
)
def test_a_terminal_without_braille_is_known(monkeypatch: pytest.MonkeyPatch, env: dict[str, str], works: bool) -> None:
    for name in ("LC_ALL", "LC_CTYPE", "LANG", "TERM"):
        monkeypatch.delenv(name, raising=False)
    for name, value in env.items():
        monkeypatch.setenv(name, value)
    default_look.cache_clear()
    assert plot.default_look().braille is works
    default_look.cache_clear()


@pytest.mark.parametrize("width", [8, 20, 61, 200])
@pytest.mark.parametrize("rows", [2, 5, 30])
def test_every_size_is_kept(width: int, rows: int) -> None:
    lines = plot_lines({"loss": FALLING}, width, rows, Look(legend=False))
    assert len(lines) == rows + 1
    assert all(line.width <= max(width, 4 + 6) for line in lines[:-1])


def test_a_sparkline_falls_as_the_curve_does_and_fits() -> None:
    line = sparkline(FALLING, 12)
    assert len(line) <= 12
    assert list(line) == sorted(line, reverse=True)
    assert sparkline([], 12) == ""
    assert sparkline([(0.0, math.nan)], 12) == ""
    assert len(sparkline([(0.0, 1.0), (1.0, 1.0)], 12)) == 2
