from __future__ import annotations

import itertools
from typing import Any

from ml_intern.core.protocol import (
    EventBase,
    NewComplete,
    PlanItem,
    PlanUpdate,
    SubagentEvent,
    SubagentState,
    ToolCallEvent,
    ToolOutput,
)
from ml_intern.core.tools.fetched import as_data
from ml_intern.core.tools.spec import ToolResult
from ml_intern.core.trail import Source, Trail

_ids = itertools.count(1)


def done(tool: str, output: str = "", success: bool = True, **arguments: Any) -> list[EventBase]:
    call_id = f"c{next(_ids)}"
    said = as_data(ToolResult(output), tool).text
    return [
        ToolCallEvent(tool=tool, arguments=arguments, tool_call_id=call_id, seq=next(_ids)),
        ToolOutput(tool=tool, tool_call_id=call_id, output=said, success=success, seq=next(_ids)),
    ]


def step(content: str) -> PlanUpdate:
    return PlanUpdate(
        plan=(
            PlanItem(id="1", content="before", status="completed"),
            PlanItem(id="2", content=content, status="in_progress"),
        )
    )


def sources(*events: EventBase | list[EventBase]) -> list[Source]:
    flat = [item for event in events for item in (event if isinstance(event, list) else [event])]
    return list(Trail.of(flat).sources)


def only(*events: EventBase | list[EventBase]) -> Source:
    (source,) = sources(*events)
    return source


def test_a_paper_is_known_by_its_id_with_title_and_sections() -> None:
    head = "Direct Preference Optimization (arXiv 2305.18290)\nhttps://arxiv.org/html/2305.18290: 4 Method\n"
    source = only(
        done("hf_papers", "DPO\narXiv 2305.18290", operation="paper_details", arxiv_id="arXiv:2305.18290v2"),
        done("hf_papers", head, operation="read_paper", arxiv_id="2305.18290", section="4"),
        done("hf_papers", head, operation="read_paper", arxiv_id="2305.18290", section="Experiments"),
        done("hf_papers", head, operation="read_paper", arxiv_id="2305.18290", section="4"),
        done("web_fetch", "https://arxiv.org/abs/2305.18290\nDPO paper", url="https://arxiv.org/abs/2305.18290v1"),
    )
    assert (source.kind, source.id, source.url) == ("paper", "2305.18290", "https://arxiv.org/abs/2305.18290")
    assert source.title == "DPO"
    assert source.parts == ("section 4", "Experiments")


def test_the_title_of_a_section_is_that_of_its_paper() -> None:
    head = "Direct Preference Optimization (arXiv 2305.18290)\nhttps://arxiv.org/html/2305.18290: 4 Method\n"
    source = only(done("hf_papers", head, operation="read_paper", arxiv_id="2305.18290", section="4"))
    assert source.title == "Direct Preference Optimization"


def test_pages_carry_their_title_where_they_have_one() -> None:
    found = sources(
        done("web_fetch", "https://site/a\nMoss and you\n120 characters", url="site/a#top"),
        done("web_fetch", "https://site/b\nhtml, 1,200 characters\n\ntext", url="https://site/b"),
        done("fetch_hf_docs", "https://hf.co/docs/trl/sft", url="https://hf.co/docs/trl/sft#trl.SFTConfig"),
    )
    assert [(item.kind, item.url, item.title) for item in found] == [
        ("page", "https://site/a", "Moss and you"),
        ("page", "https://site/b", ""),
        ("documentation", "https://hf.co/docs/trl/sft", ""),
    ]
    assert found[2].parts == ("#trl.SFTConfig",)


def test_files_of_a_repository_are_its_parts() -> None:
    source = only(
        done("github_find_examples", repo="trl", keyword="sft"),
        done("github_read_file", repo="huggingface/trl", path="examples/sft.py", line_start=1, line_end=80),
        done("github_read_file", repo="https://github.com/huggingface/trl/blob/main/README.md", ref="v1"),
    )
    assert (source.kind, source.id, source.url) == (
        "repository",
        "huggingface/trl",
        "https://github.com/huggingface/trl",
    )
    assert source.parts == ("examples/sft.py:1-80", "README.md at v1")


def test_data_sets_and_models_of_the_hub() -> None:
    described = "# model org/small — https://hub/org/small\nfacts\n\n# dataset org/rows — https://hub/datasets/org/rows"
    found = sources(
        done("hf_inspect_dataset", dataset="org/rows", split="train"),
        done("hf_repo_files", operation="read", repo_id="org/rows", repo_type="datasets", path="README.md"),
        done("hf_repo_files", operation="upload", repo_id="me/mine", path="x"),
        done("hub_repo_details", described, repo_ids=["org/small", "org/rows"]),
    )
    assert [(item.kind, item.id) for item in found] == [("data set", "org/rows"), ("model", "org/small")]
    assert found[0].parts == ("train", "README.md")


def test_a_data_set_is_known_by_what_the_tool_has_called_it_and_a_file_has_no_address() -> None:
    found = sources(
        done("hf_inspect_dataset", "org/rows  https://hub/datasets/org/rows\nlicence mit", dataset="datasets/org/rows"),
        done("hf_inspect_dataset", "data/my notes.csv\nCSV · 1.2 KB", dataset="data/my notes.csv"),
    )
    assert [(item.kind, item.id, item.url) for item in found] == [
        ("data set", "org/rows", "https://hub/datasets/org/rows"),
        ("data set", "data/my notes.csv", ""),
    ]


def test_searches_and_failures_are_no_sources() -> None:
    assert (
        sources(
            done("web_search", query="moss"),
            done("hf_papers", operation="search", query="moss"),
            done("hf_papers", operation="read_paper", arxiv_id="not one"),
            done("web_fetch", "ERROR: gone", success=False, url="https://site/a"),
            done("bash", command="ls"),
            [ToolOutput(tool="web_fetch", tool_call_id="unknown", output="x", success=True)],
        )
        == []
    )


def test_each_source_knows_the_steps_and_agents_that_used_it() -> None:
    call, output = done("web_fetch", "https://site/a", url="https://site/a")
    found = sources(
        step("find moss"),
        done("web_fetch", "https://site/a", url="https://site/a"),
        step("compare"),
        SubagentState(agent_id="r1", label="research: moss", model="m", state="running"),
        SubagentEvent(agent_id="r1", event=call, seq=77),
        SubagentEvent(agent_id="r1", event=output, seq=78),
        SubagentEvent(agent_id="r1", event=done("web_fetch", "x", url="https://b")[0], seq=79),
    )
    (source,) = found
    assert source.steps == ("find moss", "compare")
    assert source.agents == ("research: moss",)
    assert 0 < source.seq < 77


def test_a_fresh_conversation_has_a_fresh_trail() -> None:
    events = [*done("web_fetch", "https://site/a", url="https://site/a"), NewComplete(previous_session_id="x")]
    assert sources(events) == []


def test_taking_an_event_tells_whether_something_is_new() -> None:
    trail, events = Trail(), done("web_fetch", "https://site/a", url="https://site/a")
    assert [trail.take(event) for event in events] == [False, True]
    assert [trail.take(event) for event in done("web_fetch", "https://site/a", url="https://site/a")] == [False, False]
