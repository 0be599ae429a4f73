"""Parameters of `hf_papers`."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field

from ml_intern.core.tools.spec import Params

Operation = Literal[
    "trending", "search", "paper_details", "read_paper", "citation_graph", "snippet_search", "recommend",
    "find_datasets", "find_models", "find_collections", "find_all_resources",
]  # fmt: skip

MOST = 50
_DEFAULT = 10
_DATE = r"^\d{4}(-\d{2}(-\d{2})?)?$"


_NARROWING = ("query", "date_from", "date_to", "categories", "min_citations", "limit", "offset")
_USED: dict[Operation, tuple[str, ...]] = {
    "trending": ("query", "date", "limit", "offset"),
    "search": (*_NARROWING, "sort_by"),
    "paper_details": ("arxiv_id",),
    "read_paper": ("arxiv_id", "section", "offset", "find"),
    "citation_graph": ("arxiv_id", "direction", "limit", "offset"),
    "snippet_search": _NARROWING,
    "recommend": ("arxiv_id", "positive_ids", "negative_ids", "limit", "offset"),
    "find_datasets": ("arxiv_id", "sort", "limit", "offset"),
    "find_models": ("arxiv_id", "sort", "limit", "offset"),
    "find_collections": ("arxiv_id", "limit", "offset"),
    "find_all_resources": ("arxiv_id", "limit"),
}
"""What each operation makes use of; whatever else a call says is pointed out, never silently dropped."""


def _count(value: Any) -> Any:
    """A number of results however it was said; too many are as many as there may be."""
    if value is None:
        return _DEFAULT
    if isinstance(value, str) and value.strip().lstrip("-").isdigit():
        value = int(value)
    return min(value, MOST) if isinstance(value, int) and not isinstance(value, bool) else value


def _ids(value: Any) -> Any:
    return [part for part in value.replace(",", " ").split() if part] if isinstance(value, str) else value or []


def _normal(value: Any) -> Any:
    return value.strip().lower() if isinstance(value, str) else value


Text = Annotated[str, BeforeValidator(lambda value: "" if value is None else value)]
Day = Annotated[str, BeforeValidator(lambda value: "" if value is None else value), Field(pattern=f"^$|{_DATE}")]


class PapersParams(Params):
    """What a call of `hf_papers` may say."""

    operation: Annotated[Operation, BeforeValidator(_normal)]
    query: Text = Field("", description="search, snippet_search: what to look for. trending: only papers that say it.")
    arxiv_id: Text = Field("", description="Id or address of a paper, for example 2305.18290.")
    section: Text = Field("", description="read_paper: number or title of a section; without it abstract and sections.")
    direction: Literal["citations", "references", "both"] = Field("both", description="citation_graph.")
    date: Day = Field("", description="trending: YYYY-MM-DD.")
    date_from: Day = Field("", description="search, snippet_search: published on or after this.")
    date_to: Day = Field("", description="search, snippet_search: published on or before this.")
    categories: Text = Field("", description="search, snippet_search: field of study, for example Computer Science.")
    min_citations: Annotated[int, Field(ge=0)] | None = Field(None, description="search, snippet_search.")
    sort_by: Literal["relevance", "citationCount", "publicationDate"] = Field("relevance", description="search.")
    positive_ids: Annotated[list[str], BeforeValidator(_ids)] = Field(
        default_factory=list, description="recommend: papers like these."
    )
    negative_ids: Annotated[list[str], BeforeValidator(_ids)] = Field(
        default_factory=list, description="recommend: papers unlike these."
    )
    sort: Literal["downloads", "likes", "trending"] = Field("downloads", description="find_datasets, find_models.")
    limit: Annotated[int, BeforeValidator(_count), Field(ge=1)] = Field(
        _DEFAULT, description="Most papers or resources to list, 50 at most."
    )
    offset: Annotated[int, Field(ge=0)] = Field(
        0, description="Results to pass over; read_paper: character of the section to begin at."
    )
    find: Text = Field("", description="read_paper: begin shortly before these words instead.")

    @property
    def unused(self) -> list[str]:
        """Names of parameters that were given and mean nothing to this operation."""
        known = {"operation", *_USED[self.operation]}
        defaults = {
            name: field.get_default(call_default_factory=True) for name, field in type(self).model_fields.items()
        }
        given = (name for name in type(self).model_fields if name in self.model_fields_set and name not in known)
        return [name for name in given if getattr(self, name) != defaults[name]]

    @property
    def filters(self) -> dict[str, str]:
        """The filters that only Semantic Scholar knows, as it names them."""
        found = {}
        if self.date_from or self.date_to:
            found["publicationDateOrYear"] = f"{self.date_from}:{self.date_to}"
        if self.categories:
            found["fieldsOfStudy"] = self.categories
        if self.min_citations is not None:
            found["minCitationCount"] = str(self.min_citations)
        return found
