"""Counts tokens on this machine: no network, no model, cheap enough to run on every message.

Every provider has a tokenizer of its own. One common vocabulary is close enough for all of them, since what a provider
reports with each reply replaces the estimate of everything before it (see `meter`).
"""

from __future__ import annotations

import asyncio
import base64
import importlib.util
import logging
import math
import os
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from ml_intern.core.context.messages import Message

if TYPE_CHECKING:
    from tiktoken import Encoding

log = logging.getLogger(__name__)

VOCABULARY = "fb374d419588a4632f3f557e76b4b70aebbca790"
"""File name of the 200,000-token vocabulary in a tiktoken cache directory; litellm carries a copy."""
SAMPLE_ABOVE = 24_000
"""Texts with more characters than this are counted from samples, so that no count takes longer than a few ms."""

_PIECE = 4_000  # the tokenizer's regex engine overflows its stack on very long runs of one character class
_SAMPLES = 6
_PER_MESSAGE = 4
_PER_CALL = 12
_SPLIT = r"[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|[\r\n]+|\s+(?!\S)|\s"
_LETTERS_AND_SPACES = bytes(byte for byte in range(128) if chr(byte).isalpha() or chr(byte).isspace())


class TokenCounter:
    """Counts with a vocabulary found on this machine once `warm` or `load` has read it, by estimate until then."""

    def __init__(self) -> None:
        self._encoding: Encoding | None = None
        self._looked = False

    @property
    def exact(self) -> bool:
        """Whether a vocabulary is in use."""
        return self._encoding is not None

    async def warm(self) -> bool:
        """Reads the vocabulary in a thread (about 0.3 CPU-seconds), once. Tells whether there is one."""
        return await asyncio.to_thread(self.load)

    def load(self) -> bool:
        """Reads the vocabulary, blocking, once. Tells whether there is one."""
        if self._looked:
            return self.exact
        self._looked = True
        path = find_vocabulary()
        if path is None:
            log.info("no tokenizer vocabulary on this machine: tokens are estimated from text length")
            return False
        try:
            self._encoding = _read_encoding(path)
        except (OSError, ValueError, ImportError) as error:
            log.warning("the tokenizer vocabulary %s is unusable, tokens are estimated: %s", path, error)
        return self.exact

    def text(self, text: str) -> int:
        """Tokens of a text; scaled up from samples where it is longer than `SAMPLE_ABOVE` characters."""
        if self._encoding is None:
            return estimate(text)
        if len(text) <= SAMPLE_ABOVE:
            return sum(self._piece(text[at : at + _PIECE]) for at in range(0, len(text), _PIECE))
        step = (len(text) - _PIECE) // (_SAMPLES - 1)
        counted = sum(self._piece(text[n * step : n * step + _PIECE]) for n in range(_SAMPLES))
        return math.ceil(counted * len(text) / (_SAMPLES * _PIECE))

    def message(self, message: Message) -> int:
        """Tokens of a message as it is sent, with what the format adds around it."""
        tokens = _PER_MESSAGE + self.text(message.content)
        for call in message.tool_calls:
            tokens += _PER_CALL + self.text(call.name) + self.text(call.arguments)
        tokens += sum(image.tokens for image in message.images)
        if message.provider:  # reasoning goes back only together with the fields a provider signed it with
            tokens += self.text(message.reasoning)
        return tokens

    def _piece(self, text: str) -> int:
        assert self._encoding is not None
        return len(self._encoding.encode_ordinary(text))  # `encode` would refuse texts that spell a special token


def estimate(text: str) -> int:
    """Tokens of a text by what it is made of, within about a third for prose, code, logs and most scripts.

    Words of ASCII letters come to about 4.8 characters a token, digits and punctuation to 1.6. Other scripts are
    counted by their UTF-8 bytes at 4.2 a token: about 0.7 tokens for a Chinese character and 1 for an emoji.
    """
    raw = text.encode("utf-8", "surrogatepass")
    dense = len(raw.translate(None, _LETTERS_AND_SPACES))
    foreign = 0 if text.isascii() else dense - len(text.encode("ascii", "ignore").translate(None, _LETTERS_AND_SPACES))
    return math.ceil((len(raw) - dense) / 4.8 + (dense - foreign) / 1.6 + foreign / 4.2)


def find_vocabulary() -> Path | None:
    """Where a vocabulary file lies, in a cache directory the person has set or in litellm (which is not imported)."""
    places = [Path(place)] if (place := os.environ.get("TIKTOKEN_CACHE_DIR")) else []
    if (bundled := _bundled_directory()) is not None:
        places.append(bundled)
    return next((path for place in places if (path := place / VOCABULARY).is_file()), None)


@cache
def _bundled_directory() -> Path | None:
    spec = importlib.util.find_spec("litellm")
    if spec is None or spec.origin is None:
        return None
    return Path(spec.origin).parent / "litellm_core_utils" / "tokenizers"


@cache
def _read_encoding(path: Path) -> Encoding:
    """An encoding made from a vocabulary file: a token in base64 and its rank on each line.

    It is built here because tiktoken's own look-up downloads whatever it does not find, and kept since researchers and
    new sessions count with the same one.

    Raises:
        OSError, ValueError, ImportError: It cannot be read or used.
    """
    from tiktoken import Encoding

    ranks: dict[bytes, int] = {}
    for line in path.read_bytes().splitlines():
        token, _, rank = line.partition(b" ")
        ranks[base64.b64decode(token)] = int(rank)
    if not all(bytes([byte]) in ranks for byte in range(256)):
        raise ValueError("the file does not hold every byte")
    return Encoding(path.name, pat_str=_SPLIT, mergeable_ranks=ranks, special_tokens={})
