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
    from pypdf.errors import PyPdfError

    try:
        reader = PdfReader(io.BytesIO(body))
        count = len(reader.pages)
        parts = []
        for number, page in enumerate(reader.pages[:MAX_PDF_PAGES], 1):
            words = page.extract_text().strip()
            parts.append(f"[page {number} of {count}]\n{words}")
        title = str((reader.metadata.title if reader.metadata else "") or "").strip()
    except (PyPdfError, ValueError, KeyError, TypeError, AttributeError, RecursionError, OSError) as error:
        reason = (str(error) or type(error).__name__).splitlines()[0]
        raise UnreadableError(f"The PDF cannot be read: {reason}.") from error
    if not any(part.partition("\n")[2] for part in parts):
        raise UnreadableError(f"The PDF has {count} pages but no text: they are most likely scanned images.")
    return Page(title, "\n\n".join(parts), "pdf", f"{count} pages")


def _json(answer: Answer) -> Page:
    try:
        return Page("", json.dumps(json.loads(answer.body), indent=1, ensure_ascii=False), "json")
    except ValueError:
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
