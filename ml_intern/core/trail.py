"""What an answer rests on: the papers, pages, repositories, data sets and models that a session has looked into.

It comes out of events alone: finished calls of the tools that open one named thing. What was only searched for, or
could not be opened, is no source. Events are known by their `type`, so that a screen can keep a trail before the core
is loaded, and an export can make one from a log.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal
from urllib.parse import quote, urldefrag, urlsplit

SourceKind = Literal["paper", "documentation", "page", "repository", "data set", "model", "Space"]

ARXIV = "https://arxiv.org/abs/"
GITHUB = "https://github.com/"
HUB = "https://huggingface.co/"
EVENTS = frozenset({"tool_call", "tool_output", "plan_update", "subagent_state", "subagent", "new_complete"})
"""Types of the events that a trail looks at."""

_PAPER_OPERATIONS = frozenset({"paper_details", "read_paper", "citation_graph", "find_all_resources"})
_TITLED = frozenset({"paper_details", "read_paper"})
_ARXIV_ID = re.compile(r"\d{4}\.\d{4,5}")
_GITHUB_PATH = re.compile(r"https?://(?:www\.)?github\.com/([\w.-]+/[\w.-]+)(?:/(?:blob|tree)/[^/]+/(.+))?")
_SIZE = re.compile(r"[\d,]+ characters")
_DESCRIBED = re.compile(r"^# (model|dataset|space) (\S+) — (https?://\S+)", re.MULTILINE)
_REPO_KINDS: dict[str, tuple[SourceKind, str]] = {
    "dataset": ("data set", "datasets/"),
    "space": ("Space", "spaces/"),
    "model": ("model", ""),
}
_TITLE_CHARS = 200


@dataclass(frozen=True, slots=True)
class Source:
    """One thing that was looked into.

    Attributes:
        kind: What it is.
        id: Its own name: arXiv id, `owner/name`, or address.
        url: Where a browser shows it; empty for a file of this machine.
        title: What it calls itself, as far as that was seen.
        parts: Which parts of it were read: sections, paths, splits.
        steps: Steps of the plan that were in progress meanwhile.
        agents: Sub-agents that read it; empty for the main agent alone.
        seq: Number of the event that it first stands in.
    """

    kind: SourceKind
    id: str
    url: str
    title: str = ""
    parts: tuple[str, ...] = ()
    steps: tuple[str, ...] = ()
    agents: tuple[str, ...] = ()
    seq: int = 0


@dataclass(frozen=True, slots=True)
class _Call:
    tool: str
    arguments: Mapping[str, Any]
    step: str
    agent: str


class Trail:
    """The sources of one session, in the order in which they were first opened."""

    def __init__(self) -> None:
        self._sources: dict[tuple[str, str], Source] = {}
        self._calls: dict[str, _Call] = {}
        self._labels: dict[str, str] = {}
        self._step = ""

    @classmethod
    def of(cls, events: Iterable[Any]) -> Trail:
        """The trail that events come to."""
        trail = cls()
        for event in events:
            trail.take(event)
        return trail

    @property
    def sources(self) -> tuple[Source, ...]:
        """All sources, oldest first."""
        return tuple(self._sources.values())

    def take(self, event: Any, agent: str = "", seq: int = 0) -> bool:
        """Learns from the next event. True when the trail has changed.

        Args:
            event: An event; of other types than `EVENTS` nothing is learnt.
            agent: The sub-agent it happened in.
            seq: Its number, where it does not carry one itself.
        """
        match getattr(event, "type", ""):
            case "tool_call":
                self._calls[event.tool_call_id] = _Call(event.tool, event.arguments, self._step, agent)
            case "tool_output":
                call = self._calls.pop(event.tool_call_id, None)
                return call is not None and event.success and self._add(call, event.output, seq or event.seq)
            case "plan_update":
                self._step = next((item.content for item in event.plan if item.status == "in_progress"), "")
            case "subagent_state":
                self._labels[event.agent_id] = event.label
            case "subagent":
                return self.take(event.event, self._labels.get(event.agent_id, "research"), event.seq)
            case "new_complete":
                self.clear()
                return True
        return False

    def clear(self) -> None:
        """Forgets everything: a fresh conversation began."""
        self._sources.clear()
        self._calls.clear()
        self._labels.clear()
        self._step = ""

    def _add(self, call: _Call, output: str, seq: int) -> bool:
        before = dict(self._sources)
        for found in sources_of(call.tool, call.arguments, output):
            key = (found.kind, found.id)
            known = self._sources.get(key) or replace(found, parts=(), seq=seq)
            self._sources[key] = replace(
                known,
                title=known.title or found.title,
                parts=_with(known.parts, *found.parts),
                steps=_with(known.steps, call.step),
                agents=_with(known.agents, call.agent),
            )
        return before != self._sources


def sources_of(tool: str, arguments: Mapping[str, Any], output: str) -> Iterator[Source]:
    """What a successful call has opened.

    Args:
        tool: The tool.
        arguments: As the model wrote them.
        output: What the model got.
    """
    find = _FINDERS.get(tool)
    if find is not None:
        yield from find(arguments, output)


def _paper(arguments: Mapping[str, Any], output: str) -> Iterator[Source]:
    operation, found = _text(arguments, "operation").lower(), _ARXIV_ID.search(_text(arguments, "arxiv_id"))
    if found is None or operation not in _PAPER_OPERATIONS:
        return
    section = _text(arguments, "section")
    title = _line(output, 0).removesuffix(f" (arXiv {found[0]})") if operation in _TITLED else ""
    part = f"section {section}" if section.replace(".", "").isdigit() else section
    parts = _with((), part or {"citation_graph": "citations"}.get(operation, ""))
    yield Source("paper", found[0], ARXIV + found[0], title, parts)


def _page(arguments: Mapping[str, Any], output: str) -> Iterator[Source]:
    url = urldefrag(_text(arguments, "url")).url
    url = url if "://" in url else f"https://{url}"
    title = _line(output, 1)
    title = "" if _SIZE.search(title) else title
    if paper := re.search(rf"arxiv\.org/(?:abs|pdf|html)/({_ARXIV_ID.pattern})", url):
        yield Source("paper", paper[1], ARXIV + paper[1], title)
    elif urlsplit(url).netloc:
        yield Source("page", url, url, title)


def _documentation(arguments: Mapping[str, Any], _output: str) -> Iterator[Source]:
    url, fragment = urldefrag(_text(arguments, "url"))
    if url:
        yield Source("documentation", url, url, parts=_with((), f"#{fragment}" if fragment else ""))


def _github_file(arguments: Mapping[str, Any], _output: str) -> Iterator[Source]:
    repo, path, ref = (_text(arguments, key) for key in ("repo", "path", "ref"))
    if address := _GITHUB_PATH.match(repo):
        repo, path = address[1].removesuffix(".git"), path or address[2] or ""
    start, end = arguments.get("line_start"), arguments.get("line_end")
    lines = f":{start}-{end}" if start and end else ""
    place = f"{path}{lines}{f' at {ref}' if ref else ''}" if path else ""
    if repo.count("/") == 1:
        yield Source("repository", repo, GITHUB + quote(repo), parts=_with((), place))


def _github_repo(arguments: Mapping[str, Any], output: str) -> Iterator[Source]:
    repo = _text(arguments, "repo")
    if repo and "/" not in repo:
        repo = f"{_text(arguments, 'org') or 'huggingface'}/{repo}"
    yield from _github_file({"repo": repo}, output)


def _data_set(arguments: Mapping[str, Any], output: str) -> Iterator[Source]:
    name, config, split = (_text(arguments, key) for key in ("dataset", "config", "split"))
    told, at, url = _line(output, 0).partition(" http")
    part = "/".join(filter(None, (config, split)))
    if told and told == name and not at:  # a file of this machine has no address
        yield Source("data set", name, "")
    elif name:
        name = told or name
        yield Source("data set", name, f"http{url}" if at else f"{HUB}datasets/{quote(name)}", parts=_with((), part))


def _hub_file(arguments: Mapping[str, Any], _output: str) -> Iterator[Source]:
    if _text(arguments, "operation") in {"list", "read"}:
        kind, prefix = _repo_kind(arguments)
        if repo_id := _text(arguments, "repo_id"):
            yield Source(kind, repo_id, f"{HUB}{prefix}{quote(repo_id)}", parts=_with((), _text(arguments, "path")))


def _hub_repos(_arguments: Mapping[str, Any], output: str) -> Iterator[Source]:
    for said, repo_id, url in _DESCRIBED.findall(output):
        yield Source(_REPO_KINDS[said][0], repo_id, url)


def _repo_kind(arguments: Mapping[str, Any]) -> tuple[SourceKind, str]:
    said = _text(arguments, "repo_type").lower().removesuffix("s")
    return _REPO_KINDS.get(said, _REPO_KINDS["model"])


_FINDERS: dict[str, Callable[[Mapping[str, Any], str], Iterator[Source]]] = {
    "hf_papers": _paper,
    "web_fetch": _page,
    "fetch_hf_docs": _documentation,
    "github_read_file": _github_file,
    "github_find_examples": _github_repo,
    "hf_inspect_dataset": _data_set,
    "hf_repo_files": _hub_file,
    "hub_repo_details": _hub_repos,
}


def _text(arguments: Mapping[str, Any], key: str) -> str:
    value = arguments.get(key)
    return value.strip() if isinstance(value, str) else str(value) if isinstance(value, int | float) else ""


def _with(known: tuple[str, ...], *more: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys((*known, *(text for text in more if text))))


def _line(output: str, number: int) -> str:
    """A line of an output, without the mark that fetched text begins with; empty when there is none."""
    lines = [line for line in output.split("\n", number + 2)[: number + 2] if not line.startswith("<fetched ")]
    line = " ".join(lines[number].split()) if len(lines) > number else ""
    return line if len(line) <= _TITLE_CHARS else f"{line[: _TITLE_CHARS - 1]}…"
