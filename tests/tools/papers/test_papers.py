from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from ml_intern.core.tools.spec import ToolResult
from ml_intern.services.endpoints import Endpoints
from ml_intern.services.http import HttpService
from ml_intern.services.paper_edges import best_edges
from ml_intern.services.paper_html import parse_paper
from ml_intern.tools.papers.tool import create_papers_tool
from tests.support.counting import counted_calls
from tests.support.tools import Bench, validated
from tests.support.web import Handler, WebServer, in_turn, page

DPO = "2305.18290"

HTML = Path(__file__).with_name("dpo.html").read_text(encoding="utf-8")


def hub_paper(number: int, **more: Any) -> dict[str, Any]:
    return {
        "paper": {
            "id": f"2401.0000{number}",
            "title": f"Paper {number}",
            "summary": "About things.",
            "upvotes": 3,
            **more,
        }
    }


def scholar(title: str, citations: int, arxiv: str | None = None, **more: Any) -> dict[str, Any]:
    ids = {"ArXiv": arxiv} if arxiv else {"DOI": "10.1/x"}
    return {"title": title, "citationCount": citations, "year": 2024, "externalIds": ids, **more}


def answer(body: Any, status: int = 200) -> Handler:
    async def handler(request: Request) -> Response:
        return JSONResponse(body, status)

    return handler


@pytest.fixture
def web() -> Iterator[WebServer]:
    with WebServer() as server:
        yield server


class Desk:
    """The tool in one session, all services on one server."""

    def __init__(self, place: Path, web: WebServer, **env: str) -> None:
        base = {"HF_ENDPOINT": web.url, "ARXIV_BASE_URL": f"{web.url}/arxiv", "AR5IV_BASE_URL": f"{web.url}/ar5iv"}
        self.http = HttpService(place / "cache", backoff_s=0.01)
        self.bench = Bench.at(place)
        self.web = web
        self.tool = create_papers_tool(
            self.http, Endpoints({**base, "SEMANTIC_SCHOLAR_API_URL": f"{web.url}/s2", **env})
        )

    async def __call__(self, operation: str, **arguments: object) -> ToolResult:
        return await self.bench.run(self.tool, operation=operation, **arguments)

    def asked(self, path: str) -> list[dict[str, str]]:
        """Query parameters of the requests for a path."""
        from urllib.parse import parse_qsl

        return [dict(parse_qsl(item.query)) for item in self.web.asked if item.path == path]


@pytest.fixture
async def ask(tmp_path: Path, web: WebServer) -> AsyncIterator[Desk]:
    desk = Desk(tmp_path, web, HF_TOKEN="hf_secret")
    yield desk
    await desk.http.aclose()


# -------------------------------------------------------------------------------------------------------- finding


async def test_a_plain_search_asks_the_hub(ask: Desk, web: WebServer) -> None:
    web.handlers["/api/papers/search"] = answer([hub_paper(1, githubRepo="https://github.com/a/b", githubStars=1200)])
    result = await ask("search", query="preference tuning", limit="5")
    assert ask.asked("/api/papers/search") == [{"q": "preference tuning", "limit": "5"}]
    assert "1. Paper 1" in result.text
    assert "arXiv 2401.00001 · 3 upvotes · https://github.com/a/b (★ 1,200)" in result.text
    assert "authorization" not in web.asked[0].headers


async def test_filters_are_for_semantic_scholar(ask: Desk, web: WebServer) -> None:
    web.handlers["/s2/graph/v1/paper/search"] = answer({"total": 41, "data": [scholar("DPO", 5000, DPO)]})
    result = await ask(
        "search", query="dpo", date_from="2023-01-01", min_citations=10, categories="Computer Science", limit=3
    )
    (asked,) = ask.asked("/s2/graph/v1/paper/search")
    assert asked["publicationDateOrYear"] == "2023-01-01:"
    assert (asked["minCitationCount"], asked["fieldsOfStudy"], asked["limit"]) == ("10", "Computer Science", "3")
    assert "41 in all" in result.text
    assert f"5,000 citations · arXiv {DPO}" in result.text


async def test_a_sorted_search_sorts_over_all_papers(ask: Desk, web: WebServer) -> None:
    web.handlers["/s2/graph/v1/paper/search/bulk"] = answer({"total": 2, "data": [scholar("A", 9), scholar("B", 1)]})
    await ask("search", query="dpo", sort_by="citationCount")
    assert ask.asked("/s2/graph/v1/paper/search/bulk")[0]["sort"] == "citationCount:desc"


async def test_filters_that_could_not_be_applied_are_named(ask: Desk, web: WebServer) -> None:
    web.handlers["/s2/*"] = answer({"message": "down"}, 503)
    web.handlers["/api/papers/search"] = answer([hub_paper(1)])
    result = await ask("search", query="dpo", min_citations=10, date_to="2024")
    assert result.ok
    assert "your filters were NOT applied: to 2024, at least 10 citations" in result.text
    assert "1. Paper 1" in result.text


async def test_a_rate_limit_is_waited_for_and_told(ask: Desk, web: WebServer) -> None:
    web.handlers["/s2/*"] = in_turn(
        page("{}", status=429, kind="application/json", retry_after="0.05"), answer({"data": [scholar("A", 1)]})
    )
    assert "1. A" in (await ask("search", query="dpo", min_citations=1)).text
    assert any("takes no more requests" in line for line in ask.bench.logged)


async def test_equal_questions_are_asked_once(ask: Desk, web: WebServer) -> None:
    web.handlers["/s2/*"] = answer({"data": [scholar("A", 1)]})
    for _ in range(3):
        await ask("search", query="dpo", min_citations=1)
    assert len(web.asked) == 1


async def test_trending_is_filtered_by_words_in_title_summary_and_keywords(ask: Desk, web: WebServer) -> None:
    web.handlers["/api/daily_papers"] = answer(
        [hub_paper(1), hub_paper(2, ai_keywords=["GRPO"]), hub_paper(3, title="grpo again")]
    )
    result = await ask("trending", query="GRPO", date="2025-01-31")
    assert ask.asked("/api/daily_papers") == [{"limit": "30", "date": "2025-01-31"}]
    assert "Paper 2" in result.text
    assert "grpo again" in result.text
    assert "Paper 1" not in result.text


async def test_passages_come_with_their_paper(ask: Desk, web: WebServer) -> None:
    found = {
        "paper": {"title": "DPO", "year": 2023, "externalIds": {"ArXiv": DPO}},
        "snippet": {"text": "beta 0.1", "section": "4"},
    }
    web.handlers["/s2/graph/v1/snippet/search"] = answer({"data": [found]})
    result = await ask("snippet_search", query="beta value")
    assert f"2023 · arXiv {DPO} · 4\n   “beta 0.1”" in result.text


async def test_what_an_operation_makes_no_use_of_is_pointed_out(ask: Desk, web: WebServer) -> None:
    web.handlers["/api/papers/search"] = web.handlers["/api/daily_papers"] = answer([hub_paper(1)])
    web.handlers["/s2/*"] = answer({"data": [{"paper": {"title": "DPO"}, "snippet": {"text": "beta"}}]})
    searched = await ask("search", query="dpo", date="2024-01-01", sort="likes", limit=5, direction="both")
    assert searched.text.startswith("Papers for 'dpo': 1")
    assert searched.text.endswith("\n\nNote: search makes no use of date, sort; this was done without.")
    assert "no use of categories, min_citations" in (await ask("trending", min_citations=5, categories="CS")).text
    assert "no use of sort_by" in (await ask("snippet_search", query="dpo", sort_by="citationCount")).text
    failed = await ask("paper_details", query="dpo")
    assert failed.text.startswith("ERROR: ")
    assert "no use of query" in failed.text
    assert "makes no use" not in (await ask("search", query="dpo", offset=0, min_citations=None, section="")).text


async def test_passages_and_recommendations_are_paged_and_name_their_filters(ask: Desk, web: WebServer) -> None:
    passages = [{"paper": {"title": f"P{number}"}, "snippet": {"text": "beta"}} for number in range(7)]
    web.handlers["/s2/graph/v1/snippet/search"] = answer({"data": passages})
    text = (await ask("snippet_search", query="beta", limit=2, offset=4, date_from="2024")).text
    assert ask.asked("/s2/graph/v1/snippet/search")[0]["limit"] == "6"
    assert "Passages about 'beta' (from 2024): 2" in text
    assert [f"P{number}" in text for number in range(7)] == [False] * 4 + [True] * 2 + [False]
    web.handlers["/s2/recommendations/*"] = answer({"recommendedPapers": [scholar(f"R{n}", n) for n in range(5)]})
    text = (await ask("recommend", arxiv_id=DPO, limit=1, offset=3)).text
    assert "1. R3" in text
    assert "R2" not in text


async def test_recommendations_like_some_and_unlike_others_are_asked_for_at_once(ask: Desk, web: WebServer) -> None:
    web.handlers["/s2/recommendations/*"] = answer({"recommendedPapers": [scholar("A", 1)]})
    await ask("recommend", arxiv_id=DPO)
    await ask(
        "recommend", positive_ids=f"arXiv:{DPO}, 2401.00002v3", negative_ids=["1706.03762"], arxiv_id="2402.00001"
    )
    assert web.asked[0].path.endswith(f"forpaper/ARXIV:{DPO}")
    assert web.asked[1].method == "POST"
    assert b'"positivePaperIds":["ARXIV:2305.18290","ARXIV:2401.00002","ARXIV:2402.00001"]' in web.asked[1].body
    assert b'"negativePaperIds":["ARXIV:1706.03762"]' in web.asked[1].body


# -------------------------------------------------------------------------------------------------------- reading


async def test_a_paper_is_its_abstract_and_its_sections(ask: Desk, web: WebServer) -> None:
    web.handlers[f"/arxiv/html/{DPO}"] = page(HTML)
    text = (await ask("read_paper", arxiv_id=f"https://arxiv.org/abs/{DPO}v2")).text
    assert text.startswith("Direct Preference Optimization\n")
    assert "We derive a loss." in text
    listed = [line.strip() for line in text.splitlines() if line.strip().startswith("- ")]
    assert [line.split(" (")[0] for line in listed] == [
        "- 1 Introduction", "- 3 Method", "- 3.1 Deriving", "- 4 Experiments", "- A Proofs", "- A.1 Of the first lemma",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("wanted", "begins"),
    [
        ("3", "The loss"),
        ("Method", "The loss"),
        ("methodology", "The loss"),
        ("3.1", "Derivation"),
        ("A", "### A.1"),
        ("Experiment", "[Table 1"),
        ("A.1", "Proof."),
    ],
)
async def test_a_section_is_found_by_number_or_title(wanted: str, begins: str, ask: Desk, web: WebServer) -> None:
    web.handlers[f"/arxiv/html/{DPO}"] = page(HTML)
    text = (await ask("read_paper", arxiv_id=DPO, section=wanted)).text
    assert text.split("\n\n", 1)[1].startswith(begins)


async def test_formulas_stay_latex_tables_stay_tables_and_nothing_comes_twice(ask: Desk, web: WebServer) -> None:
    web.handlers[f"/arxiv/html/{DPO}"] = page(HTML)
    method = (await ask("read_paper", arxiv_id=DPO, section="3")).text
    assert r"The loss is $\mathcal{L}_{\text{DPO}}(\pi)$ with weight $\beta$." in method
    assert "$$x^{2}+1$$" in method
    assert method.count("Derivation words only here.") == 1
    assert "Introduction words" not in method
    table = (await ask("read_paper", arxiv_id=DPO, section="4")).text
    assert "| DPO | 61 \\| 2 |" in table
    assert "a footnote" not in (await ask("read_paper", arxiv_id=DPO, section="1")).text


async def test_a_long_section_is_read_to_its_end(ask: Desk, web: WebServer) -> None:
    words = " ".join(f"word{number}" for number in range(5000))
    web.handlers[f"/arxiv/html/{DPO}"] = page(HTML.replace("LONG", words))
    seen, offset = "", 0
    while True:
        body = (await ask("read_paper", arxiv_id=DPO, section="4", offset=offset)).text.split("\n\n", 1)[1]
        seen += body.partition("\n\n[")[0]
        if "go on with offset=" not in body:
            break
        offset = int(body.rsplit("offset=", 1)[1].rstrip("]"))
    assert words in seen
    assert len(web.asked) == 1


async def test_an_unknown_section_brings_those_there_are(ask: Desk, web: WebServer) -> None:
    web.handlers[f"/arxiv/html/{DPO}"] = page(HTML)
    result = await ask("read_paper", arxiv_id=DPO, section="Quantum gravity")
    assert not result.ok
    assert "- 3.1 Deriving" in result.text


async def test_ar5iv_stands_in_for_arxiv_and_the_abstract_for_both(ask: Desk, web: WebServer) -> None:
    web.handlers[f"/ar5iv/html/{DPO}"] = page(HTML)
    assert "Sections:" in (await ask("read_paper", arxiv_id=DPO)).text
    web.handlers["/api/papers/2401.00009"] = answer({"id": "2401.00009", "title": "T", "summary": "The abstract."})
    result = await ask("read_paper", arxiv_id="2401.00009")
    assert result.ok
    assert f"{web.url}/arxiv/pdf/2401.00009" in result.text
    assert "The abstract." in result.text


async def test_a_paper_that_the_hub_does_not_know_is_looked_up_at_arxiv(ask: Desk, web: WebServer) -> None:
    known = '<meta name="citation_title" content="Old"><meta name="citation_abstract" content="  Long\n ago.">'
    web.handlers["/arxiv/abs/math.GT/0309136"] = page(f"<html><head>{known}</head></html>")
    text = (await ask("read_paper", arxiv_id="arXiv:math.GT/0309136v2")).text
    assert text.startswith("Old\nThere is no HTML version of math.GT/0309136; this is its abstract. The PDF: ")
    assert text.endswith("Long ago.")
    result = await ask("read_paper", arxiv_id="2401.00008")
    assert not result.ok
    assert "/arxiv/pdf/2401.00008 (web_fetch reads it)" in result.text


async def test_details_tell_authors_links_and_what_the_hub_has(ask: Desk, web: WebServer) -> None:
    paper = {
        "id": DPO, "title": "DPO", "summary": "Abstract text.", "authors": [{"name": f"A{n}"} for n in range(12)],
        "numTotalModels": 900, "linkedModels": [{"id": "a/zephyr"}],
    }  # fmt: skip
    web.handlers[f"/api/papers/{DPO}"] = answer(paper)
    text = (await ask("paper_details", arxiv_id=DPO)).text
    assert "A9 and 2 more" in text
    assert "Models on the Hub: 900, among them a/zephyr" in text


# ---------------------------------------------------------------------------------------------------- connections


async def test_the_influential_and_much_cited_come_first_in_both_directions(ask: Desk, web: WebServer) -> None:
    references = [{"citedPaper": scholar("Small", 1)}, {"citedPaper": scholar("Big", 900, "1706.03762")}]
    citations = [
        {"citingPaper": scholar("Popular", 99)},
        {
            "citingPaper": scholar("Key", 5),
            "isInfluential": True,
            "intents": ["methodology"],
            "contexts": ["c" * 300, "d"],
        },
    ]
    web.handlers[f"/s2/graph/v1/paper/ARXIV:{DPO}/references"] = answer({"data": references})
    web.handlers[f"/s2/graph/v1/paper/ARXIV:{DPO}/citations"] = answer({"data": citations, "next": 500})
    with counted_calls(best_edges) as here:
        text = (await ask("citation_graph", arxiv_id=DPO, limit=1)).text
    assert here.total == 0, "an answer of megabytes is not taken apart on the event loop"
    assert "References: 1 of 2, the influential and much cited first\n1. Big" in text
    assert "Citations: 1 of the first 2, the influential and much cited first\n1. Key" in text
    assert "cited as: methodology" in text
    assert "[1 more: offset=1]" in text
    assert "2. Popular" in (await ask("citation_graph", arxiv_id=DPO, direction="citations", offset=1)).text


async def test_one_direction_that_fails_is_reported_beside_the_other(ask: Desk, web: WebServer) -> None:
    web.handlers[f"/s2/graph/v1/paper/ARXIV:{DPO}/references"] = answer({"data": [{"citedPaper": scholar("Big", 9)}]})
    web.handlers[f"/s2/graph/v1/paper/ARXIV:{DPO}/citations"] = answer({"error": "no"}, 400)
    result = await ask("citation_graph", arxiv_id=DPO)
    assert result.ok
    assert "Citations: could not be asked: Semantic Scholar answered 400: no." in result.text
    assert "1. Big" in result.text


async def test_everything_the_hub_has_is_asked_for_at_once_and_a_failure_stays_where_it_is(
    ask: Desk, web: WebServer
) -> None:
    web.handlers["/api/models"] = answer(
        [{"id": "a/zephyr", "downloads": 5, "likes": 1, "pipeline_tag": "text-generation"}]
    )
    web.handlers["/api/datasets"] = answer({"error": "broken"}, 500)
    web.handlers["/api/collections"] = answer([{"slug": "a/c-1", "title": "C", "owner": {"name": "a"}, "items": [1]}])
    result = await ask("find_all_resources", arxiv_id=DPO)
    assert result.ok
    assert "Datasets:\n   could not be asked: The Hub answered 500: broken." in result.text
    assert f"1. a/zephyr  ({web.url}/a/zephyr)\n   5 downloads · 1 likes · text-generation" in result.text
    assert f"1. C  ({web.url}/collections/a/c-1)" in result.text
    assert ask.asked("/api/models")[0] == {
        "filter": f"arxiv:{DPO}", "limit": "10", "sort": "downloads", "direction": "-1",
    }  # fmt: skip


async def test_data_sets_are_sorted_as_asked_and_none_is_an_answer(ask: Desk, web: WebServer) -> None:
    web.handlers["/api/datasets"] = in_turn(answer([{"id": "a/prefs", "tags": ["arxiv:1", "size:1K"]}]), answer([]))
    found = (await ask("find_datasets", arxiv_id=DPO, sort="trending")).text
    assert ask.asked("/api/datasets")[0]["sort"] == "trendingScore"
    assert "size:1K" in found
    assert "Look at a/prefs with hf_inspect_dataset" in found
    assert "has no datasets" in (await ask("find_datasets", arxiv_id="2401.00002")).text


# ------------------------------------------------------------------------------------------------------- mistakes


@pytest.mark.parametrize(
    ("operation", "needs"),
    [
        ("search", "query"), ("snippet_search", "query"), ("paper_details", "arxiv_id"), ("read_paper", "arxiv_id"),
        ("citation_graph", "arxiv_id"), ("recommend", "arxiv_id"), ("find_models", "arxiv_id"),
        ("find_all_resources", "arxiv_id"),
    ],
)  # fmt: skip
async def test_what_is_missing_is_named(operation: str, needs: str, ask: Desk) -> None:
    result = await ask(operation)
    assert not result.ok
    assert f"`{operation}` needs" in result.text
    assert f"`{needs}`" in result.text


@pytest.mark.parametrize("limit", [None, "5", 999, 50])
async def test_any_number_of_results_may_be_asked_for(limit: object, ask: Desk, web: WebServer) -> None:
    web.handlers["/api/daily_papers"] = answer([hub_paper(1)])
    assert (await ask("trending", limit=limit)).ok


@pytest.mark.parametrize(
    "wrong",
    [{"operation": "find_papers"}, {"operation": "search", "limit": 0}, {"operation": "trending", "date": "soon"}],
)
def test_wrong_arguments_are_refused(wrong: dict[str, object], ask: Desk) -> None:
    with pytest.raises(ValueError, match=r"operation|limit|date"):
        validated(ask.tool, wrong)


async def test_services_that_are_down_are_named(ask: Desk, web: WebServer) -> None:
    web.handlers["/arxiv/*"] = web.handlers["/ar5iv/*"] = page("", status=503)
    web.handlers["/api/*"] = page("", status=500)
    result = await ask("read_paper", arxiv_id=DPO)
    assert not result.ok
    assert "The Hub answered 500" in result.text


@pytest.mark.parametrize(
    "markup",
    [
        "", "<html></html>", "\0", "<section class='ltx_section'></section>", "<math><section>",
        "<section class=ltx_section><h2>y</h2>" * 3000, "<section class=ltx_section>" + "<span>" * 3000,
    ],
)  # fmt: skip
def test_broken_pages_do_not_break_the_reader(markup: str) -> None:
    paper = parse_paper(markup)
    assert paper is None or (paper.find("x") is None and len(paper.sections[0].whole()) < 10_000)


@pytest.mark.parametrize(
    ("heading", "number", "title"),
    [
        ('<span class="ltx_tag ltx_tag_section">3 </span>Method', "3", "Method"),
        ('<span class="ltx_tag ltx_tag_section">IV </span>Results', "IV", "Results"),
        ('<span class="ltx_tag ltx_tag_appendix">Appendix B </span>A proof', "B", "A proof"),
        ("A closer look", "", "A closer look"),
        ("I will survive", "", "I will survive"),
        ("2.1 Without a tag", "2.1", "Without a tag"),
        ("Appendix A Proofs", "A", "Proofs"),
        ("4-bit training", "", "4-bit training"),
    ],
)
def test_a_number_is_told_from_the_first_word_of_a_title(heading: str, number: str, title: str) -> None:
    paper = parse_paper(f'<section class="ltx_section"><h2 class="ltx_title">{heading}</h2><p>words</p></section>')
    assert paper is not None
    assert [(part.number, part.title) for part in paper.sections] == [(number, title)]
