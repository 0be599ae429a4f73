"""Papers, citations and what belongs to them, in lines of text."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ml_intern.services.shapes import items, record, records

Item = Mapping[str, Any]


def short(text: Any, limit: int) -> str:
    """A text in one line, cut at a word."""
    line = " ".join(str(text or "").split())
    return line if len(line) <= limit else line[:limit].rsplit(" ", 1)[0] + " …"


def number(value: Any) -> str:
    """A count, or a question mark."""
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else "?"


def hub_paper(index: int, entry: Item) -> list[str]:
    """A paper as the Hub lists it."""
    paper = record(entry.get("paper")) or entry
    arxiv_id = str(paper.get("id") or "?")
    facts = [f"arXiv {arxiv_id}", f"{number(paper.get('upvotes'))} upvotes"]
    if published := str(paper.get("publishedAt") or entry.get("publishedAt") or "")[:10]:
        facts.insert(1, published)
    if repo := paper.get("githubRepo"):
        facts.append(f"{repo} (★ {number(paper.get('githubStars'))})")
    lines = ["", f"{index}. {short(paper.get('title'), 300)}", f"   {' · '.join(facts)}"]
    if keywords := [str(word) for word in items(paper.get("ai_keywords"))][:5]:
        lines.append(f"   {', '.join(keywords)}")
    if summary := paper.get("ai_summary") or paper.get("summary"):
        lines.append(f"   {short(summary, 300)}")
    return lines


def scholar_paper(index: int, item: Item) -> list[str]:
    """A paper as Semantic Scholar lists it."""
    facts = [str(item.get("publicationDate") or item.get("year") or "no date")]
    facts.append(f"{number(item.get('citationCount'))} citations")
    facts += [str(item["venue"])] if item.get("venue") else []
    facts.append(named(item))
    lines = ["", f"{index}. {short(item.get('title'), 300)}", f"   {' · '.join(facts)}"]
    if tldr := record(item.get("tldr")).get("text"):
        lines.append(f"   {short(tldr, 300)}")
    return lines


def named(item: Item) -> str:
    """How a paper can be asked for again."""
    ids = record(item.get("externalIds"))
    if arxiv_id := ids.get("ArXiv"):
        return f"arXiv {arxiv_id}"
    return f"not on arXiv (DOI {ids['DOI']})" if ids.get("DOI") else "not on arXiv"


def citation(index: int, edge: Item, other: str) -> list[str]:
    """One citation: the paper at its other end, and how it cites."""
    paper = record(edge.get(other))
    mark = " · influential" if edge.get("isInfluential") else ""
    facts = f"{paper.get('year') or '?'} · {number(paper.get('citationCount'))} citations · {named(paper)}{mark}"
    lines = [f"{index}. {short(paper.get('title'), 200)}", f"   {facts}"]
    if intents := [str(intent) for intent in items(edge.get("intents"))]:
        lines.append(f"   cited as: {', '.join(intents)}")
    lines += [f"   “{short(context, 200)}”" for context in items(edge.get("contexts"))[:2]]
    return lines


def resource(index: int, kind: str, item: Item, endpoint: str) -> list[str]:
    """A model, data set or collection that belongs to a paper."""
    if kind == "collections":
        owner = record(item.get("owner")).get("name") or record(item.get("owner")).get("user") or "?"
        slug = item.get("slug")
        return [
            f"{index}. {short(item.get('title'), 200)}  ({endpoint}/collections/{slug})",
            f"   by {owner} · {number(item.get('upvotes'))} upvotes · {len(items(item.get('items')))} items shown",
        ]
    repo_id = str(item.get("id") or "?")
    place = f"{endpoint}/datasets/{repo_id}" if kind == "datasets" else f"{endpoint}/{repo_id}"
    facts = [f"{number(item.get('downloads'))} downloads", f"{number(item.get('likes'))} likes"]
    for key in ("pipeline_tag", "library_name"):
        facts += [str(item[key])] if item.get(key) else []
    lines = [f"{index}. {repo_id}  ({place})", f"   {' · '.join(facts)}"]
    tags = [str(tag) for tag in items(item.get("tags")) if not str(tag).startswith(("arxiv:", "region:"))][:5]
    lines += [f"   {', '.join(tags)}"] if tags else []
    lines += [f"   {short(item['description'], 300)}"] if item.get("description") else []
    return lines


def details(paper: Item, endpoint: str, arxiv: str) -> list[str]:
    """Everything the Hub knows about one paper."""
    arxiv_id = str(paper.get("id") or "?")
    authors = [str(author["name"]) for author in records(paper.get("authors")) if author.get("name")]
    more = f" and {len(authors) - 10} more" if len(authors) > 10 else ""
    lines = [
        short(paper.get("title"), 300),
        f"arXiv {arxiv_id} · {str(paper.get('publishedAt') or '')[:10]} · {number(paper.get('upvotes'))} upvotes",
        f"{endpoint}/papers/{arxiv_id} · {arxiv}/abs/{arxiv_id}",
    ]
    lines += [f"Authors: {', '.join(authors[:10])}{more}"] if authors else []
    keywords = [str(word) for word in items(paper.get("ai_keywords"))]
    lines += [f"Keywords: {', '.join(keywords)}"] if keywords else []
    if paper.get("githubRepo"):
        lines.append(f"Code: {paper['githubRepo']} (★ {number(paper.get('githubStars'))})")
    for kind in ("Models", "Datasets", "Spaces"):
        if total := paper.get(f"numTotal{kind}"):
            names = [str(item.get("id")) for item in records(paper.get(f"linked{kind}"))][:5]
            lines.append(f"{kind} on the Hub: {total}" + (f", among them {', '.join(names)}" if names else ""))
    lines += ["", f"Summary: {paper['ai_summary']}"] if paper.get("ai_summary") else []
    lines += ["", f"Abstract: {short(paper.get('summary'), 3000)}"] if paper.get("summary") else []
    return lines
