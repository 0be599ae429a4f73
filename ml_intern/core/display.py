"""What a tool shows a person, as data. Front ends decide how a block looks; core and tools only say what it is."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field


class _Block(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)


class TextBlock(_Block):
    """Plain or highlighted text.

    Attributes:
        text: The text itself; never interpreted as markup.
        language: Name of a syntax to highlight it by (`python`, `bash`, `markdown`, ...), `prose` for sentences
            that are broken between words, or empty for plain text.
        title: A short heading, for example a path.
    """

    type: Literal["text"] = "text"
    text: str
    language: str = ""
    title: str = ""


class DiffBlock(_Block):
    """A change of one file, as its text before and after.

    Attributes:
        first_line: Number in the file of the first line of both texts: of a large file only a part is shown.
    """

    type: Literal["diff"] = "diff"
    path: str
    old: str
    new: str
    first_line: int = 1


class TableBlock(_Block):
    """Rows under column headings; every row has as many cells as there are columns."""

    type: Literal["table"] = "table"
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    title: str = ""


class LogBlock(_Block):
    """The tail of a log and where the whole of it is kept."""

    type: Literal["log"] = "log"
    lines: tuple[str, ...]
    omitted: int = 0
    path: str = ""


class PlanBlock(_Block):
    """The plan as `(content, status)` pairs in plan order."""

    type: Literal["plan"] = "plan"
    items: tuple[tuple[str, Literal["pending", "in_progress", "completed"]], ...]


class JobCard(_Block):
    """One compute job at a glance.

    Attributes:
        job_id: The backend's own id.
        backend: `local`, `hub`, `slurm`.
        stage: The backend's stage in capitals, for example `RUNNING`.
        flavor: Hardware flavor the job runs on.
        url: Where a browser shows it, or empty.
        elapsed_s: Seconds since it started running.
        timeout_s: Seconds after which it is stopped, or None.
        cost_usd: Spent so far; None when unknown.
        max_cost_usd: At most, at the timeout; None when unknown.
        load: How busy it is now, for example `GPU 94 %, 19.2 of 24 GB`, or empty.
    """

    type: Literal["job"] = "job"
    job_id: str
    backend: str
    stage: str
    title: str = ""
    flavor: str = ""
    url: str = ""
    elapsed_s: float | None = None
    timeout_s: float | None = None
    cost_usd: float | None = None
    max_cost_usd: float | None = None
    load: str = ""


class CurveBlock(_Block):
    """One or more named series of `(x, y)` points, for example loss over steps."""

    type: Literal["curve"] = "curve"
    title: str
    series: dict[str, tuple[tuple[float, float], ...]]


class DatasetFit(_Block):
    """Whether a data set fits one way of training.

    Attributes:
        method: `SFT`, `DPO`, `GRPO`, `classification`.
        fits: True as it is; None after a small change; False otherwise.
        reason: Why, and what to change.
    """

    method: str
    fits: bool | None
    reason: str = ""


class DatasetColumn(_Block):
    """A column of a data set, as far as it is known.

    Attributes:
        name: Its name.
        kind: Its type in words.
        facts: Missing values, range, mean and the like, in one line.
        unit: What its histogram counts: `characters`, `items`, or empty for its values themselves.
        counts: How many values lie in each bin of the histogram.
        edges: Where the bins begin, and the last one ends; one more than `counts`.
        values: The most frequent values with how often they occur, where it holds classes.
        distinct: How many different values it has, 0 when that is not known.
    """

    name: str
    kind: str
    facts: str = ""
    unit: str = ""
    counts: tuple[int, ...] = ()
    edges: tuple[float, ...] = ()
    values: tuple[tuple[str, int], ...] = ()
    distinct: int = 0


class DatasetBlock(_Block):
    """A data set to look at with one's own eyes.

    Attributes:
        name: Its id on the Hub, or a path.
        part: Config and split that were looked into, or empty for a file.
        url: Where a browser shows it, or empty.
        facts: Licence, gating and the like, one fact each.
        row_count: How many rows that part has; None when unknown.
        splits: Each part with its number of rows and its size, in words.
        fits: A verdict for each way of training.
        columns: Its columns.
        rows: Some rows, with a cell for each column: text as it is, other values as JSON, None for nothing.
        notes: What else was seen: repeated rows, how chats are built, what is missing in this account.
    """

    type: Literal["dataset"] = "dataset"
    name: str
    part: str = ""
    url: str = ""
    facts: tuple[str, ...] = ()
    row_count: int | None = None
    splits: tuple[tuple[str, str, str], ...] = ()
    fits: tuple[DatasetFit, ...] = ()
    columns: tuple[DatasetColumn, ...] = ()
    rows: tuple[tuple[str | None, ...], ...] = ()
    notes: tuple[str, ...] = ()


DisplayBlock = Annotated[
    TextBlock | DiffBlock | TableBlock | LogBlock | PlanBlock | JobCard | CurveBlock | DatasetBlock,
    Field(discriminator="type"),
]
