"""How fast documentation is found in the index, beside a plain scan of the same pages, and what a second start costs.

python -m benchmarks.docs [--pages N]
"""

from __future__ import annotations

import argparse
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from benchmarks.sessions import WORDS
from ml_intern.services.search_index import Listed, SearchIndex

QUERIES = ("learning rate warmup", "SFTConfig max_length", "lora rank", "quokka", "tokenizer padding mask attention")
RUNS = 20


def main(arguments: Sequence[str] | None = None) -> int:
    """Makes pages, measures, and prints a table. Returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.docs", description=__doc__.partition("\n")[0])
    parser.add_argument("--pages", type=int, default=10_000, metavar="N", help="how many (default 10000)")
    pages = parser.parse_args(arguments).pages
    with tempfile.TemporaryDirectory(prefix="benchmarks-") as directory:
        path = Path(directory) / "search.db"
        texts = dict(_pages(pages))
        filled = _seconds(lambda: _fill(SearchIndex(path), texts))
        index = SearchIndex(path)
        opened = _seconds(lambda: index.count("docs"))
        searched = [_seconds(lambda: index.search(("docs",), query, 20)) for query in QUERIES for _ in range(RUNS)]  # noqa: B023 - called at once
        scanned = [_seconds(lambda: _scan(texts, query)) for query in QUERIES]  # noqa: B023 - called at once
        index.close()
    searched.sort()
    print(f"{pages:,} pages, {sum(map(len, texts.values())) / 1e6:.0f} MB")
    print(f"filling           {filled:8.1f} s")
    print(f"second start      {opened * 1000:8.1f} ms to the first answer, nothing fetched")
    print(f"search, median    {statistics.median(searched) * 1000:8.1f} ms")
    print(f"search, p95       {searched[int(0.95 * len(searched))] * 1000:8.1f} ms")
    print(f"plain scan        {statistics.median(scanned) * 1000:8.1f} ms")
    return 0


def _pages(count: int) -> Iterator[tuple[str, str]]:
    chance = random.Random(7)
    # As in a language, a word is as frequent as its rank is low; those of the field are among the first few hundred.
    vocabulary = [f"word{number}" for number in range(20_000)]
    vocabulary[20:20] = WORDS
    weights = [1 / (rank + 3) for rank in range(len(vocabulary))]
    for number in range(count):
        parts = [f"# Page {number}"]
        for section in range(4):
            name = f"{chance.choice(WORDS).title()}{chance.choice(WORDS).title()}Config"
            parts.append(f"## {name}\n\nSection {section}: " + " ".join(chance.choices(vocabulary, weights, k=120)))
        parts.append("SFTConfig takes max_length." if number % 400 == 7 else "")
        yield f"https://docs.example/{number}", "\n\n".join(parts)


def _fill(index: SearchIndex, texts: dict[str, str]) -> None:
    index.list_pages("docs", [Listed(url, text.partition("\n")[0].lstrip("# ")) for url, text in texts.items()])
    for url, text in texts.items():
        index.store("docs", url, text)
    index.close()


def _scan(texts: dict[str, str], query: str) -> list[str]:
    words = query.lower().split()
    return [url for url, text in texts.items() if any(word in text.lower() for word in words)]


def _seconds(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


if __name__ == "__main__":
    sys.exit(main())
