"""`hf_inspect_dataset`: what a data set really holds, and whether it fits the training it is meant for."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import BeforeValidator, Field

from ml_intern.core.tools.late import Late
from ml_intern.core.tools.spec import Params, ToolSpec

if TYPE_CHECKING:
    from ml_intern.tools.datasets.inspector import Inspection, Inspector

MOST_ROWS = 10

_DESCRIPTION = """\
Looks into a data set of the Hub without downloading it, or into a data file here (CSV, TSV, JSON Lines, JSON): \
configs, splits, numbers of rows, sizes, columns and their types, statistics, missing values, repeated rows, sample \
rows, how its chats are built, licence and gating, and whether it fits SFT, DPO, GRPO or classification. Use it before \
writing code for a data set. The user sees a preview of it."""


def _rows(value: Any) -> Any:
    if value is None:
        return 3
    number = int(value) if isinstance(value, str) and value.strip().lstrip("-").isdigit() else value
    return max(0, min(number, MOST_ROWS)) if isinstance(number, int) and not isinstance(number, bool) else number


def _source(value: Any) -> Any:
    return value.strip() if isinstance(value, str) else value


class InspectParams(Params):
    """What a call of `hf_inspect_dataset` may say."""

    dataset: Annotated[
        str,
        BeforeValidator(_source),
        Field(min_length=1, description="Id of a data set, for example mia/notes; or a path, for example data/a.csv."),
    ]
    config: Annotated[str | None, Field(description="Config (subset); the first or default one otherwise.")] = None
    split: Annotated[str | None, Field(description="Split; train, or the config's first one otherwise.")] = None
    sample_rows: Annotated[int, BeforeValidator(_rows), Field(description="Rows to show, at most 10.")] = 3


def create_inspect_dataset(inspector: Callable[[], Inspector]) -> ToolSpec:
    """The tool over an inspector, which is made when it is needed."""

    def make() -> Inspection:
        from ml_intern.tools.datasets.inspector import Inspection

        return Inspection(inspector())

    inspection = Late(make)
    return ToolSpec(
        "hf_inspect_dataset",
        _DESCRIPTION,
        InspectParams,
        inspection.method("handle"),
        assess=inspection.method("assess"),
        fetches=True,
    )
