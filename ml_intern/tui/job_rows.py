"""Rows of jobs for lists, as far as no more than the session's events is needed for them."""

from __future__ import annotations

from dataclasses import replace

from ml_intern.core.metrics import TrainingMetrics
from ml_intern.tui.job_book import KnownJob
from ml_intern.tui.widgets.job_list import JobRow
from ml_intern.tui.widgets.plot import sparkline
from ml_intern.tui.widgets.text import clock_span, money, one_line

SPARK_CELLS = 12


def row_of_known(job: KnownJob, now: float) -> JobRow:
    """A job in the side pane, as the session's events tell of it."""
    card = job.card
    ran, cost = job.elapsed_s(now), job.cost_usd(now)
    row = JobRow(
        key=card.job_id,
        title=one_line(job.title),
        stage=card.stage,
        load=one_line(card.load) if job.active else "",
        flavor=card.flavor,
        time=clock_span(ran) if ran is not None else "",
        limit=clock_span(card.timeout_s) if card.timeout_s is not None and job.active else "",
        cost=("free" if cost == 0 and card.max_cost_usd == 0 else money(cost)) if ran is not None else "",
    )
    return with_trend(row, job.metrics)


def with_trend(row: JobRow, metrics: TrainingMetrics | None) -> JobRow:
    """The row with the course of the loss, its newest value, and what is wrong with it."""
    curve = metrics.main if metrics is not None else None
    if metrics is None or curve is None or curve.last is None:
        return row
    warning = f"⚠ {metrics.warning}" if metrics.failing else ""
    return replace(row, spark=sparkline(curve.points(), SPARK_CELLS), value=f"{curve.last[1]:.4g}", warning=warning)


def shortened(job_id: str) -> str:
    """An id in a few characters that still tell jobs apart."""
    return job_id if len(job_id) <= 14 else f"{job_id[:4]}…{job_id[-4:]}"
