"""What is asked before sessions go where others might see them."""

from __future__ import annotations

_ON = """\
Each session is uploaded when it ends, as one file in a PRIVATE data set of yours on the Hub: your prompts, the answers,
commands and what they printed. Known secrets are taken out first; what cannot be checked stays here."""

_PUBLIC = """\
EVERYBODY will be able to read all published sessions: prompts, code, names of files, outputs. Secrets of known shapes
were taken out; nobody has read the rest. Copies that others make cannot be taken back."""

ASKED = {
    "on": ("publish sessions", " ".join(_ON.split()), "publish them"),
    "public": ("make it public", " ".join(_PUBLIC.split()), "make it public"),
}
"""Title, text and answer by action."""
