"""`hf_papers`: finding papers, reading them section by section, following citations, and what the Hub has for them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ml_intern.core.tools.late import Late
from ml_intern.core.tools.spec import ToolSpec
from ml_intern.services.endpoints import Endpoints
from ml_intern.tools.papers.params import PapersParams

if TYPE_CHECKING:
    from ml_intern.services.http import HttpService
    from ml_intern.services.workers import Runner
    from ml_intern.tools.papers.desk import PapersDesk

_DESCRIPTION = """\
Finds and reads papers. search (by date_from, date_to, categories, min_citations, sort_by too), trending, \
paper_details, read_paper (abstract and sections; then one section by number or title, formulas as LaTeX, going on \
with offset), citation_graph (the influential and much cited first), snippet_search (passages of full texts), \
recommend (by arxiv_id, or positive_ids and negative_ids), find_datasets, find_models, find_collections and \
find_all_resources (what the Hub has for a paper). Papers are named by arXiv id. Read methods and results, not only \
abstracts, and name the paper and section that a choice rests on."""


def create_papers_tool(http: HttpService, endpoints: Endpoints, runner: Runner | None = None) -> ToolSpec:
    """The tool over a client; `runner` takes papers apart."""

    def make() -> PapersDesk:
        from ml_intern.services.papers import Papers
        from ml_intern.tools.papers.desk import PapersDesk

        return PapersDesk(Papers(http, endpoints, runner=runner), endpoints)

    return ToolSpec("hf_papers", _DESCRIPTION, PapersParams, Late(make).method("handle"), fetches=True)
