"""Keeps secrets away from disk, screen and wire.

Two nets: the literal values of the secrets this run knows (and the shapes they take in other encodings), and patterns
of what secrets look like. Text about machine learning is full of innocent "tokens" (`pad_token = eos_token`,
`max_token: 512`), so a name alone never condemns a value; `secret_values` judges name and value together.

All of it is linear in the text: patterns begin with a literal, and every repetition is bounded or cannot fail late.
"""

from __future__ import annotations

import base64
import json
import logging
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any
from urllib.parse import quote

from ml_intern.core import secret_values

log = logging.getLogger(__name__)

REDACTED = "[REDACTED]"
WITHHELD = "[WITHHELD: this text could not be checked for secrets]"

_SHORTEST_SECRET = 8
"""No known secret shorter than this is looked for: it would be found in ordinary words."""

_SECRET_VARIABLE = re.compile(
    r"(?:TOKEN|API_?KEY|SECRET|PASSWORD|PASSWD|PASSPHRASE|ACCESS_KEY|PRIVATE_KEY|CREDENTIALS?)(?:_?\d+)?$|(?:SECRET|PASSWORD)_",
    re.IGNORECASE,
)

# A letter or digit before `sk-` or `AKIA` means that it is part of a longer word - unless it is the `n` of an escaped
# line break, since much of what is checked is JSON.
_START = r"(?:(?<![A-Za-z0-9])|(?<=\\[nrt]))"

_Rule = tuple[tuple[str, ...], re.Pattern[str], str]

_RULES: tuple[_Rule, ...] = (
    (
        ("PRIVATE KEY",),
        re.compile(
            r"-----BEGIN [A-Z0-9 ]{0,32}PRIVATE KEY(?: BLOCK)?-----"
            r"(?:(?:(?!-----)[\s\S]){0,16384}-----END [A-Z0-9 ]{0,32}PRIVATE KEY(?: BLOCK)?-----"
            r"|(?:(?:\s|\\{1,8}[nr]){1,8}[A-Za-z0-9+/=]{16,512}){1,512})"
        ),
        "[REDACTED_PRIVATE_KEY]",
    ),
    (("hf_",), re.compile(r"hf_[A-Za-z0-9]{29,}"), "[REDACTED_HF_TOKEN]"),
    (("api_org_",), re.compile(r"api_org_[A-Za-z0-9]{29,}"), "[REDACTED_HF_TOKEN]"),
    (
        ("sk-",),
        re.compile(
            _START + r"sk-(?:(?:ant|proj|svcacct|admin|or|lf)-[A-Za-z0-9_-]{16,}|[A-Za-z0-9]{20,}|[A-Za-z0-9_-]{40,})"
        ),
        "[REDACTED_PROVIDER_API_KEY]",
    ),
    (
        ("gsk_", "xai-", "r8_", "nvapi-", "pplx-", "tvly-", "csk-", "fw_"),
        re.compile(_START + r"(?:gsk_|xai-|r8_|nvapi-|pplx-|tvly-|csk-|fw_)[A-Za-z0-9_-]{20,}"),
        "[REDACTED_PROVIDER_API_KEY]",
    ),
    (("AIza",), re.compile(r"AIza[A-Za-z0-9_-]{35}"), "[REDACTED_GOOGLE_API_KEY]"),
    (("ya29.",), re.compile(r"ya29\.[A-Za-z0-9_-]{20,}"), "[REDACTED_GOOGLE_TOKEN]"),
    (("ghp_", "gho_", "ghu_", "ghs_", "ghr_"), re.compile(r"gh[pousr]_[A-Za-z0-9]{30,}"), "[REDACTED_GITHUB_TOKEN]"),
    (("github_pat_",), re.compile(r"github_pat_[A-Za-z0-9_]{30,}"), "[REDACTED_GITHUB_TOKEN]"),
    (("glpat-",), re.compile(r"glpat-[A-Za-z0-9_-]{20,}"), "[REDACTED_GITLAB_TOKEN]"),
    (
        ("AKIA", "ASIA"),
        re.compile(_START + r"(?:AKIA|ASIA)[A-Z0-9]{16}(?![A-Za-z0-9])"),
        "[REDACTED_AWS_KEY_ID]",
    ),
    (
        ("xox", "xapp-"),
        re.compile(r"(?:xox[abeoprs]-(?:[0-9]-)?|xapp-[0-9]-)[A-Za-z0-9-]{10,}"),
        "[REDACTED_SLACK_TOKEN]",
    ),
    (
        ("hooks.slack.com/",),
        re.compile(r"(hooks\.slack\.com/(?:services|workflows|triggers)/)[A-Za-z0-9/_-]{16,}"),
        rf"\1{REDACTED}",
    ),
    (("npm_",), re.compile(_START + r"npm_[A-Za-z0-9]{36}"), "[REDACTED_NPM_TOKEN]"),
    (("pypi-",), re.compile(r"pypi-[A-Za-z0-9_-]{50,}"), "[REDACTED_PYPI_TOKEN]"),
    (
        ("eyJ",),
        re.compile(r"eyJ[A-Za-z0-9_-]{10,}\.eyJ[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]{10,}"),
        "[REDACTED_JWT]",
    ),
    (
        ("://",),
        re.compile(r"(://[^\s/:@\"'<>\\{}$\[\]]{0,128}:)[^\s/@\"'<>\\{}$\[\]]{1,256}(?=@)"),
        rf"\1{REDACTED}",
    ),
    (("://",), re.compile(r"(://)[A-Za-z0-9_-]{20,256}(?=@)"), rf"\1{REDACTED}"),
    (
        ("earer", "EARER"),
        re.compile(r"(\b[Bb](?i:earer)[ \t]{1,8})[A-Za-z0-9._~+/=-]{20,}"),
        rf"\1{REDACTED}",
    ),
    (
        ("uthorization", "UTHORIZATION"),
        re.compile(
            r"([Aa](?i:uthorization)\\{0,8}[\"']?[ \t]{0,8}[:=][ \t]{0,8}\\{0,8}[\"']?"
            r"(?i:basic|token|bot|apikey|key|bearer)[ \t]{1,8})[A-Za-z0-9._~+/=-]{6,}"
        ),
        rf"\1{REDACTED}",
    ),
)
"""`(literals of which one must occur, pattern, replacement)`, tried in this order."""


class Redactor:
    """Replaces secrets in text.

    Applying it twice changes nothing more. When a check breaks, the whole text is withheld rather than let through.
    """

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        self._forms: tuple[str, ...] = ()
        self._shortest = 0
        for secret in secrets:
            self.add(secret)

    @classmethod
    def from_env(cls, env: Mapping[str, str], extra: Iterable[str] = ()) -> Redactor:
        """A redactor that knows the value of every variable whose name says that it holds a secret."""
        named = (value for name, value in env.items() if _SECRET_VARIABLE.search(name))
        return cls([*filter(secret_values.is_plausible, named), *extra])

    def add(self, secret: str) -> None:
        """Learns one secret that must never be seen, in plain, base64, JSON and URL form."""
        secret = secret.strip()
        if len(secret) < _SHORTEST_SECRET:
            return
        forms = {*self._forms, *_forms_of(secret)}
        self._forms = tuple(sorted(forms, key=len, reverse=True))
        self._shortest = min(map(len, forms))

    def text(self, text: str) -> str:
        """The text without secrets."""
        if not self._may_hold_secrets(text):
            return text
        try:
            return self._checked(text)
        except Exception:  # noqa: BLE001 - whatever breaks, a text that could not be checked must not get out
            log.error("redaction failed on a text of %d characters", len(text))
            return WITHHELD

    def data(self, value: Any) -> Any:
        """A copy of JSON-like data without secrets in its strings; a value is judged together with its key."""
        try:
            return self._walk(value)
        except Exception:  # noqa: BLE001 - as above; RecursionError is the likely one
            log.error("redaction failed on a value of type %s", type(value).__name__)
            return WITHHELD

    def _may_hold_secrets(self, text: str) -> bool:
        """A quick look that lets nearly every short text through. Must hold for every text that `_checked` changes."""
        if len(text) < _SHORTEST_SECRET:
            return False
        # Every pattern needs one of these; spelt out because a loop would cost more than the checks.
        if (
            ":" in text
            or "=" in text
            or "-" in text
            or "_" in text
            or "earer" in text
            or "EARER" in text
            or "AIza" in text
            or "AKIA" in text
            or "ASIA" in text
            or "eyJ" in text
            or "ya29." in text
            or "hooks.slack.com/" in text
        ):
            return True
        return bool(self._forms) and len(text) >= self._shortest and any(form in text for form in self._forms)

    def _checked(self, text: str) -> str:
        if len(text) >= self._shortest:
            for form in self._forms:
                if form in text:
                    text = text.replace(form, REDACTED)
        for needles, pattern, replacement in _RULES:
            for needle in needles:
                if needle in text:
                    text = pattern.sub(replacement, text)
                    break
        return secret_values.redact_named(text, REDACTED)

    def _walk(self, value: Any) -> Any:
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, Mapping):
            return {self._walk(key): self._walk_named(key, item) for key, item in value.items()}
        if isinstance(value, (list, tuple)):
            return type(value)(map(self._walk, value)) if type(value) in {list, tuple} else [*map(self._walk, value)]
        return value

    def _walk_named(self, key: Any, value: Any) -> Any:
        if isinstance(key, str) and isinstance(value, str) and secret_values.is_secret(key, value, quoted=True):
            return REDACTED
        return self._walk(value)


def _forms_of(secret: str) -> Iterable[str]:
    """What a secret looks like, alone or inside a longer text, in the encodings it commonly meets."""
    yield secret
    yield json.dumps(secret)[1:-1]
    yield json.dumps(secret, ensure_ascii=False)[1:-1]
    yield quote(secret, safe="")
    raw = secret.encode("utf-8", "surrogatepass")
    encoders: tuple[Callable[[bytes], bytes], ...] = (base64.b64encode, base64.urlsafe_b64encode)
    for encode in encoders:
        for before in range(3):
            # Inside a longer text (`user:secret`) the encoding depends on how many bytes stand before, modulo three.
            # Characters that also hold bits of a neighbour are left off at either end.
            whole = encode(b"\0" * before + raw).decode().rstrip("=")
            first = -(-before * 8 // 6)
            last = (before + len(raw)) * 8 // 6
            if last - first >= _SHORTEST_SECRET:
                yield whole[first:last]
