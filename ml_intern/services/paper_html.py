"""A paper's HTML (as LaTeXML makes it for arXiv and ar5iv) as sections of markdown, with formulas as LaTeX."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from difflib import SequenceMatcher
from typing import TYPE_CHECKING

from ml_intern.services.markup import tree_of

if TYPE_CHECKING:
    from lxml.html import HtmlElement

_NUMBER = re.compile(
    r"^(?:(?:Appendix|Section|Chapter)\s+)?([A-Z](?:\.\d+)*|[IVX]+|\d+(?:\.\d+)*)[.:]?$", re.IGNORECASE
)
_NUMBERED = re.compile(r"^(?:Appendix\s+([A-Z](?:\.\d+)*)|(\d+(?:\.\d+)*|[A-Z](?:\.\d+)+))[.:]?\s+")
_SECTIONS = ("ltx_section", "ltx_subsection", "ltx_subsubsection", "ltx_appendix", "ltx_paragraph", "ltx_chapter")
_SKIPPED = ("ltx_note", "ltx_page_footer", "ltx_page_navbar", "ltx_role_footnote", "ltx_bibliography", "ltx_dates")
_ALIKE = 0.7


@dataclass(slots=True)
class Section:
    """A part of a paper.

    Attributes:
        number: As printed, for example `3.1` or `A`; empty without one.
        title: Its heading without the number.
        level: 1 for sections, 2 for what lies in them, and so on.
        text: Its own text, without that of the parts below it.
        parts: The parts below it, in order.
    """

    number: str
    title: str
    level: int
    text: str = ""
    parts: list[Section] = field(default_factory=list)

    @property
    def name(self) -> str:
        """Number and title."""
        return f"{self.number} {self.title}".strip()

    def whole(self) -> str:
        """Its text and that of all parts below it, each once, under their headings."""
        below = (f"{'#' * min(6, part.level + 1)} {part.name}\n\n{part.whole()}" for part in self.parts)
        return "\n\n".join(filter(None, (self.text, *below)))

    def walk(self) -> Iterator[Section]:
        """Itself and all parts below it, in reading order."""
        yield self
        for part in self.parts:
            yield from part.walk()


@dataclass(frozen=True, slots=True)
class PaperText:
    """A paper: its title, its abstract and its sections."""

    title: str
    abstract: str
    sections: tuple[Section, ...]

    def every(self) -> list[Section]:
        """All sections of all levels, in reading order."""
        return [part for section in self.sections for part in section.walk()]

    def find(self, wanted: str) -> Section | None:
        """The section of this number or title; a title may be said in part or slightly differently."""
        text = " ".join(wanted.split()).strip().rstrip(".")
        low = text.lower()
        every = self.every()
        for fits in (
            lambda part: part.number.lower() == low,
            lambda part: low in (part.title.lower(), part.name.lower()),
            lambda part: len(low) > 3 and low in part.title.lower(),
        ):
            if found := next((part for part in every if fits(part)), None):
                return found
        best = max(every, key=lambda part: _likeness(low, part.title.lower()), default=None)
        return best if best is not None and _likeness(low, best.title.lower()) >= _ALIKE else None


def parse_paper(markup: str) -> PaperText | None:
    """The paper in a page, or None when the page holds none. Takes a while for long papers: call it in a thread."""
    tree = tree_of(markup)
    try:
        return None if tree is None else _paper(tree)
    except RecursionError:  # a page that is nested this deeply is no paper
        return None


def parse_abstract(markup: str) -> tuple[str, str] | None:
    """Title and abstract that arXiv's own page about a paper names, or None when it names none."""
    tree = tree_of(markup)
    named = {} if tree is None else {node.get("name"): node.get("content") for node in tree.xpath("//meta[@name]")}
    abstract = " ".join((named.get("citation_abstract") or "").split())
    return (" ".join((named.get("citation_title") or "").split()), abstract) if abstract else None


def _paper(tree: HtmlElement) -> PaperText | None:
    title = _first(tree, "//h1[contains(@class, 'ltx_title_document')]", "//h1[contains(@class, 'ltx_title')]")
    abstract = tree.xpath("//div[contains(@class, 'ltx_abstract')]")
    top = [
        node
        for node in tree.xpath("//section")
        if _is_section(node) and not any(map(_is_section, node.iterancestors()))
    ]
    sections = tuple(_section(node, 1) for node in top)
    if not sections:
        return None
    words = _markdown(abstract[0]) if abstract else ""
    words = re.sub(r"^#+\s*Abstract\.?\s*", "", words, flags=re.IGNORECASE)
    return PaperText(re.sub(r"^Title:\s*", "", _line(title) if title is not None else ""), words.strip(), sections)


def _first(tree: HtmlElement, *paths: str) -> HtmlElement | None:
    for path in paths:
        if found := tree.xpath(path):
            first: HtmlElement = found[0]
            return first
    return None


def _is_section(node: HtmlElement) -> bool:
    return node.tag == "section" and any(name in (node.get("class") or "").split() for name in _SECTIONS)


def _section(node: HtmlElement, level: int) -> Section:
    heading = next((child for child in node if child.tag in ("h1", "h2", "h3", "h4", "h5", "h6")), None)
    number, title = _named(heading) if heading is not None else ("", "")
    section = Section(number, title, level)
    pieces = []
    for child in node:
        if child is heading:
            continue
        for part in _topmost(child):
            section.parts.append(_section(part, level + 1))
        if not _is_section(child):
            pieces.append(_markdown(child))
    section.text = _tidy("\n\n".join(pieces))
    return section


def _named(heading: HtmlElement) -> tuple[str, str]:
    """Number and title of a heading. The page marks numbers; `A closer look` begins with none."""
    name = _line(heading)
    tags = heading.xpath("./*[contains(concat(' ', @class, ' '), ' ltx_tag ')]")
    tag = _line(tags[0]) if tags else ""
    if tag and name.startswith(tag) and (found := _NUMBER.match(tag)):
        return found[1], name[len(tag) :].strip()
    if found := _NUMBERED.match(name):
        return found[1] or found[2], name[found.end() :].strip()
    return "", name


def _topmost(node: HtmlElement) -> list[HtmlElement]:
    """The outermost sections in a node, itself included."""
    if _is_section(node):
        return [node]
    return [found for child in node for found in _topmost(child)] if isinstance(node.tag, str) else []


# ------------------------------------------------------------------------------------------------- text of a node


def _markdown(node: HtmlElement) -> str:
    return _tidy("".join(_pieces(node)))


def _pieces(node: HtmlElement) -> Iterator[str]:
    if not isinstance(node.tag, str) or _is_section(node):
        return
    classes = (node.get("class") or "").split()
    if any(name in classes for name in _SKIPPED) or node.tag in ("script", "style", "button", "nav"):
        return
    if node.tag == "math":
        yield _formula(node)
    elif node.tag == "table" and "ltx_equation" not in classes and "ltx_equationgroup" not in classes:
        yield f"\n\n{_table(node)}\n\n"
    elif node.tag in ("h1", "h2", "h3", "h4", "h5", "h6"):
        yield f"\n\n{'#' * int(node.tag[1])} {_line(node)}\n\n"
    elif node.tag == "li":
        yield f"\n- {_line_of_pieces(_inner(node))}\n"
    elif node.tag == "pre":
        yield f"\n\n```\n{node.text_content().rstrip()}\n```\n\n"
    elif node.tag == "figcaption":
        yield f"\n\n[{_line_of_pieces(_inner(node))}]\n\n"
    elif node.tag == "br":
        yield "\n"
    elif node.tag in ("p", "div", "blockquote", "figure", "ul", "ol", "dl", "tr", "tbody", "article"):
        yield "\n\n"
        yield from _inner(node)
        yield "\n\n"
    else:
        yield from _inner(node)


def _inner(node: HtmlElement) -> Iterator[str]:
    if node.text:
        yield re.sub(r"\s+", " ", node.text)
    for child in node:
        yield from _pieces(child)
        if child.tail:
            yield re.sub(r"\s+", " ", child.tail)


def _formula(node: HtmlElement) -> str:
    """A formula as LaTeX, which the page keeps beside its drawing."""
    latex = (node.get("alttext") or "").strip()
    if not latex:
        notes = node.xpath(".//*[local-name()='annotation' and @encoding='application/x-tex']")
        latex = (notes[0].text_content() if notes else node.text_content()).strip()
    latex = " ".join(latex.split())
    return f"\n\n$${latex}$$\n\n" if node.get("display") == "block" else f"${latex}$"


def _table(node: HtmlElement) -> str:
    rows = []
    for row in node.xpath(".//tr"):
        cells = [_line_of_pieces(_inner(cell)).replace("|", "\\|") for cell in row.xpath("./td|./th")]
        if any(cells):
            rows.append("| " + " | ".join(cells) + " |")
    if len(rows) > 1:
        rows.insert(1, "|" + "---|" * max(1, rows[0].count(" | ") + 1))
    return "\n".join(rows)


def _line(node: HtmlElement) -> str:
    return _line_of_pieces(_inner(node))


def _line_of_pieces(pieces: Iterator[str]) -> str:
    return " ".join("".join(pieces).split())


def _tidy(text: str) -> str:
    lines = [line if line.startswith(("|", "```")) else line.strip() for line in text.splitlines()]
    return re.sub(r"\n{3,}", "\n\n", "\n".join(lines)).strip()


def _likeness(wanted: str, title: str) -> float:
    if not wanted or not title:
        return 0.0
    words = [SequenceMatcher(None, wanted, word).ratio() for word in title.split()]
    return max(SequenceMatcher(None, wanted, title).ratio(), *words)
