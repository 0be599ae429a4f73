"""What is said in a conversation that is measured."""

from __future__ import annotations

PARAGRAPHS = (
    "The run on **two cards** ended after 41 minutes; `loss` fell from 2.31 to 1.02 and stays there.\n\n",
    "## Data\n\nOf 4,212 rows 31 are empty. They are left out: an empty answer teaches the model to stop.\n\n",
    "- the split is read as a stream\n- rows of 4,096 tokens and more are dropped\n- the *seed* is fixed\n\n",
    "```python\nfrom datasets import load_dataset\n\nrows = load_dataset('me/notes')\nprint(len(rows))\n```\n\n",
    "| run | rate | loss |\n|---|---|---|\n| a | 2e-5 | 1.312 |\n| b | 5e-5 | 1.297 |\n\n",
    "1. start the job\n2. read its log\n3. compare it with the [baseline](https://example.org/run)\n\n",
)
ELSEWHERE = "QZXJ"
"""Letters that are in none of them: typed, they are known again wherever they are painted."""


def words(number: int) -> list[str]:
    """As many pieces of markdown as asked for, of about a word each."""
    found: list[str] = []
    while len(found) < number:
        for paragraph in PARAGRAPHS:
            head, *rest = paragraph.split(" ")
            found += [head, *(" " + word for word in rest)]
    return found[:number]
