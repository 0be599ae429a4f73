"""From what a server sent to text worth reading: the main part of a page as markdown, the words of a PDF."""

from __future__ import annotations

import io
import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ml_intern.services.http import Answer
from ml_intern.services.markup import tree_of

if TYPE_CHECKING:
    from lxml.html import HtmlElement
    from pypdf import PageObject

MAX_PDF_PAGES = 2000
MAX_PARTED_CHARS = 2_000_000
"""To find the main part of a longer page would take many seconds: all of its words are shown."""
_MARKUP = re.compile(rb"<(?:!doctype\s+html|html|head|body|div|p|article|main|title)\b", re.IGNORECASE)
_TEXTUAL = ("text/", "application/xml", "application/javascript", "application/x-yaml", "application/toml")


class UnreadableError(Exception):
    """There is no text to be had from an answer; the text says what it is instead."""


@dataclass(frozen=True, slots=True)
class Page:
    """Text of an answer.

    Attributes:
        title: As the page names itself, or empty.
        text: Markdown for web pages, plain text otherwise.
        kind: `page`, `pdf`, `json` or `text`.
        about: Facts on the whole, for example its number of pages.
    """

    title: str
    text: str
    kind: str
    about: str = ""


def readable(answer: Answer) -> Page:
    """The text of an answer. Takes up to seconds for long documents: call it in a thread.

    Raises:
        UnreadableError: It has none.
    """
    said = answer.headers.get("content-type", "").split(";")[0].strip().lower()
    body = answer.body
    if body[:5] == b"%PDF-" or said == "application/pdf":
        return _pdf(body)
    if said in ("text/html", "application/xhtml+xml") or (not said and _MARKUP.search(body[:2000])):
        return _html(answer)
    if said.endswith("json"):
        return _json(answer)
    if said.startswith(_TEXTUAL) or said.endswith("+xml") or _is_text(body):
        return Page("", answer.text, "text")
    size = f"{len(body):,} bytes"
    raise UnreadableError(f"{answer.url} is {said or 'binary data'} ({size}), which has no text to read.")


def _html(answer: Answer) -> Page:
    import trafilatura

    markup, text = answer.text, ""
    tree = tree_of(markup)
    title = _title(tree) if tree is not None else ""
    if len(markup) <= MAX_PARTED_CHARS:
        text = trafilatura.extract(
            markup, url=answer.url, output_format="markdown", include_links=True, include_tables=True,
            include_formatting=True, include_comments=False, favor_recall=True,
        ) or ""  # fmt: skip
    if not text.strip() and tree is not None:
        text = _all_words(tree)
    if not text.strip():
        raise UnreadableError(f"{answer.url} is a page without text; it may be put together by scripts in a browser.")
    return Page(title, text.strip(), "page")


def _title(tree: HtmlElement) -> str:
    found = [*tree.xpath("//head/title"), *tree.xpath("//h1")]
    titles = (" ".join(node.text_content().split()) for node in found)
    return next(filter(None, titles), "")[:300]


def _all_words(tree: HtmlElement) -> str:
    """Every word of a page, where no main part can be told."""
    for node in tree.xpath("//script|//style|//noscript|//template|//head"):
        node.drop_tree()
    lines = (" ".join(line.split()) for line in tree.text_content().splitlines())
    return "\n".join(line for line in lines if line)


def _pdf(body: bytes) -> Page:
    from pypdf import PdfReader

    failures: list[str] = []
    try:
        reader = PdfReader(io.BytesIO(body))
        count = len(reader.pages)
        words = [_words_of(page, failures) for page in reader.pages[:MAX_PDF_PAGES]]
        title = str((reader.metadata.title if reader.metadata else "") or "").strip()
    except MemoryError:  # the worker's limit, which has words of its own
        raise
    except Exception as error:  # the border of foreign code: what a broken file does to a parser is anybody's guess
        raise UnreadableError(f"The PDF cannot be read: {_reason(error)}.") from error
    if not any(words):
        if failures:
            raise UnreadableError(f"The PDF cannot be read: {failures[0]}.")
        raise UnreadableError(f"The PDF has {count} pages but no text: they are most likely scanned images.")
    parts = (f"[page {number} of {count}]\n{text}" for number, text in enumerate(words, 1))
    unread = f", {len(failures)} of which cannot be read" if failures else ""
    return Page(title, "\n\n".join(parts), "pdf", f"{count} pages{unread}")


def _words_of(page: PageObject, failures: list[str]) -> str:
    """The words of a page; one that cannot be read costs no more than its own."""
    try:
        return page.extract_text().strip()
    except MemoryError:
        raise
    except Exception as error:  # noqa: BLE001 - as above
        failures.append(_reason(error))
        return ""


def _reason(error: Exception) -> str:
    return (str(error) or type(error).__name__).splitlines()[0]


def _json(answer: Answer) -> Page:
    try:
        return Page("", json.dumps(json.loads(answer.body), indent=1, ensure_ascii=False), "json")
    except (ValueError, RecursionError):
        return Page("", answer.text, "text")


def _is_text(body: bytes) -> bool:
    head = body[:4000]
    if b"\0" in head:
        return False
    try:
        head.decode("utf-8")
    except UnicodeDecodeError as error:
        return error.start > len(head) - 4  # cut within a character
    return True
