"""What servers say when they refuse, and what it means. Consulted only where type and status leave a question open."""

from __future__ import annotations

import re
from typing import Literal

_OVERFLOW = re.compile(
    r"""
      context[ _]?(?:window|length|size)[ _](?:was\ |has\ been\ |is\ )?exceed
    | exceed\w*\ (?:the\ |this\ )?(?:model'?s?\ )?(?:\w+\ ){0,2}context[ _](?:window|length|size|limit)
    | max(?:imum)?\ (?:context|prompt|input)\ length
    | maximum\ context
    | (?:prompt|input|request|message|conversation)s?\ (?:is|are)\ too\ (?:long|large)
    | prompt\ too\ long
    | prompt\ exceeds\ max
    | too\ many\ (?:input\ )?tokens
    | exceed_context_size
    | input\ (?:length|token\ count|tokens?)\b.{0,60}\bexceed
    | longer\ than\ the\ (?:model'?s\ )?(?:maximum\ )?context
    | reduce\ the\ length\ of\ (?:the\ |your\ )?(?:messages|prompt|input)
    | requested\ token\ count\ exceeds
    | tokens`?\ \+\ `?max_(?:new_)?tokens`?\ must\ be
    | inputs`?\ must\ have\ less\ than
    | context\ the\ overflows
    | request\ too\ large
    | request_too_large
    | larger\ than\ the\ context\ (?:window|length|size)
    """,
    re.VERBOSE,
)

_NUMBER = r"(\d[\d,_]*\d|\d)"
_LIMITS = tuple(
    re.compile(pattern)
    for pattern in (
        rf"tokens? > {_NUMBER}(?: tokens)? maximum",
        rf"context limit: [\d ,+_]+> {_NUMBER}",
        rf"(?:context|prompt|input) (?:length|window|size|limit)\s?(?:is|of|:|=|\()\s?(?:(?:only|up to) )?{_NUMBER}",
        rf"{_NUMBER} maximum context",
        rf"maximum number of tokens allowed \({_NUMBER}\)",
        rf"configured limit of {_NUMBER}",
        rf"(?:must be|have)\s?(?:<=?|less than|at most)\s?{_NUMBER}",
        rf"n_ctx\D{{1,6}}{_NUMBER}",
        rf"(?:limit|maximum) (?:of|is|:) {_NUMBER} tokens",
    )
)
_SMALLEST_WINDOW = 256

_BILLING = re.compile(
    r"insufficient[ _](?:quota|credit|balance|funds)|(?:out of|no|add|requires?|not enough|exhausted) (?:\w+ )?credits"
    r"|credits? (?:\w+ )?(?:exhausted|used up|limit|depleted|balance is too low)|payment required|billing"
    r"|quota (?:exhausted|insufficient)|exceeded your (?:current|monthly) (?:quota|included credits)"
)
_AUTH = re.compile(
    r"api[ _]key (?:not valid|is invalid|expired)|invalid[ _](?:x-)?api[ _-]?key|unauthorized|authentication"
)
_NO_MODEL = re.compile(
    r"model_not_(?:found|supported)|unknown model|no such model"
    r"|model\b.{0,120}?\b(?:not found|does not exist|doesn't exist|is not available)"
)
_NO_PROVIDER = re.compile(
    r"not supported by (?:the |any )?provider|no provider (?:that )?supports|no inference provider"
)
_FILTERED = re.compile(
    r"content[ _](?:filter|management policy|policy)|responsible ai policy|flagged .{0,40}(?:policy|moderation)"
)

_SIGNATURE = re.compile(
    r"invalid `?signature`? in `?thinking`? block|thinking.{0,60}cannot be modified|thought[ _]signature"
)
_REASONING_UNWANTED = re.compile(
    r"(?:reasoning_content|reasoning_details|thinking_blocks|'reasoning'|\.reasoning\b)"
    r".{0,80}(?:not (?:permitted|supported|allowed)|unsupported|unexpected|extra|unknown|unrecognized)"
    r"|(?:not permitted|unsupported|unexpected|extra|unknown|unrecognized).{0,80}"
    r"(?:reasoning_content|reasoning_details|thinking_blocks)",
    re.DOTALL,
)
_REASONING_WANTED = re.compile(
    r"reasoning_content.{0,60}(?:must be passed back|is missing|is required)|missing.{0,20}reasoning_content"
)

_THINKING_UNSUPPORTED = re.compile(
    r"(?:thinking|reasoning)(?! mode must)\b.{0,60}\bnot supported|not support\w* (?:thinking|reasoning)\b"
)
_EFFORT_WORD = re.compile(r"effort|output_config")
_EFFORT_REFUSED = re.compile(
    r"invalid|not supported|unsupported|must be one of|should be one of|not a valid|unrecognized|unknown|unexpected"
    r"|only supported by|does not support|not permitted|extra inputs"
)

_IMAGE_BROKEN = re.compile(
    r"(?:could not|cannot|can't|unable to|failed to) (?:be )?(?:process|decode|identify|load|open|read)\w*"
    r" (?:\w+ ){0,3}image"
    r"|image (?:exceeds|dimensions|size|is too (?:large|small))"
    r"|(?:invalid|unsupported|corrupt\w*|bad) (?:base64 )?image(?:s\b|\b(?!_url| input))"
)
_IMAGES_UNWANTED = re.compile(
    r"image.{0,60}(?:not (?:supported|enabled|available|allowed|permitted)|unsupported|only supported)"
    r"|(?:not|n't) (?:currently )?(?:support|accept|take)\w* (?:\w+ ){0,3}(?:image|vision|multi-?modal)"
    r"|no (?:endpoints?|providers?)\b.{0,60}image|at most 0 image|not an? (?:multi-?modal|vision)"
    r"|image_url.{0,60}(?:expected|unknown|unsupported|invalid|unexpected)"
    r"|(?:unknown|unsupported|invalid|unexpected).{0,60}image_url"
    r"|content\b.{0,30}(?:must|should) be a (?:valid )?string|required for image input",
    re.DOTALL,
)


def is_overflow(text: str) -> bool:
    """Whether it says that the conversation is longer than the model takes."""
    return bool(_OVERFLOW.search(text.lower()))


def context_limit_from(detail: str) -> int | None:
    """The window in tokens that an overflow message names, if it names one."""
    text = detail.lower()
    for pattern in _LIMITS:
        for found in pattern.finditer(text):
            limit = int(re.sub(r"[,_]", "", found.group(1)))
            if limit >= _SMALLEST_WINDOW:
                return limit
    return None


def is_billing(text: str) -> bool:
    """Whether money is missing."""
    return bool(_BILLING.search(text.lower()))


def is_auth(text: str) -> bool:
    """Whether the key was refused."""
    return bool(_AUTH.search(text.lower()))


def is_unknown_model(text: str) -> bool:
    """Whether the model does not exist there."""
    return bool(_NO_MODEL.search(text.lower()))


def is_unserved(text: str) -> bool:
    """Whether the chosen provider does not serve the model."""
    return bool(_NO_PROVIDER.search(text.lower()))


def is_filtered(text: str) -> bool:
    """Whether a content filter refused."""
    return bool(_FILTERED.search(text.lower()))


def replay_verdict(text: str) -> Literal["drop", "send"] | None:
    """Whether replayed reasoning was refused (`drop`), or missing reasoning is wanted back (`send`)."""
    lowered = text.lower()
    if _REASONING_WANTED.search(lowered):
        return "send"
    if _SIGNATURE.search(lowered) or _REASONING_UNWANTED.search(lowered):
        return "drop"
    return None


def effort_verdict(text: str) -> Literal["drop", "lower"] | None:
    """Whether the model takes no reasoning effort at all (`drop`) or not this level (`lower`)."""
    lowered = text.lower()
    if _EFFORT_WORD.search(lowered) and _EFFORT_REFUSED.search(lowered):
        return "lower"
    if _THINKING_UNSUPPORTED.search(lowered):
        return "drop"
    return None


def image_verdict(text: str) -> Literal["broken", "unwanted"] | None:
    """What is said of a request that holds images: one of them is `broken`, or all are `unwanted`."""
    lowered = text.lower()
    if _IMAGE_BROKEN.search(lowered):
        return "broken"
    return "unwanted" if _IMAGES_UNWANTED.search(lowered) else None
