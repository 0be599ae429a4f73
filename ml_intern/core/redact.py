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
import os
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any
from urllib.parse import quote

from ml_intern.core import secret_values
from ml_intern.core.child_env import is_secret_variable
from ml_intern.core.encoded_tokens import RULES as _ENCODED
from ml_intern.core.encoded_tokens import Rule
from ml_intern.core.unsettled import AFTER_ESCAPE, WORD_START, begun

log = logging.getLogger(__name__)

REDACTED = "[REDACTED]"
WITHHELD = "[WITHHELD: this text could not be checked for secrets]"

_SHORTEST_SECRET = 8
"""No known secret shorter than this is looked for: it would be found in ordinary words."""


def _rules(replacement: str, pattern: str, *needles: str) -> tuple[Rule, ...]:
    compiled = re.compile(pattern)
    return tuple((needle, compiled, replacement) for needle in needles)


_WITH_HYPHEN: tuple[Rule, ...] = (
    *_rules(
        "[REDACTED_PRIVATE_KEY]",
        r"-----BEGIN [A-Z0-9 ]{0,32}PRIVATE KEY(?: BLOCK)?-----"
        r"(?:(?:(?!-----)[\s\S]){0,16384}-----END [A-Z0-9 ]{0,32}PRIVATE KEY(?: BLOCK)?-----"
        # or one that was cut off: its headers and what looks like base64
        r"|(?:(?:\s|\\{1,8}[nr]){1,8}(?:[A-Za-z0-9+/=]{16,512}|[A-Za-z-]{1,32}: [^\n\\]{0,128})){1,512})",
        "PRIVATE KEY",
    ),
    *_rules(
        "[REDACTED_PROVIDER_API_KEY]",
        WORD_START + r"sk-(?:(?:ant|proj|svcacct|admin|or|lf)-[A-Za-z0-9_-]{16,}|[A-Za-z0-9]{20,}|[A-Za-z0-9_-]{40,})",
        "sk-",
    ),
    *_rules(
        "[REDACTED_PROVIDER_API_KEY]",
        WORD_START + r"(?:xai|nvapi|pplx|tvly)-[A-Za-z0-9_-]{20,}",
        *("xai-", "nvapi-", "pplx-", "tvly-"),
    ),
    *_rules(
        "[REDACTED_SLACK_TOKEN]",
        r"(?:xox[abeoprs]-(?:[0-9]-)?|xapp-[0-9]-)[A-Za-z0-9-]{10,}",
        *("xox", "xapp-"),
    ),
    *_rules("[REDACTED_GITLAB_TOKEN]", r"glpat-[A-Za-z0-9_-]{20,}", "glpat-"),
    *_rules("[REDACTED_PYPI_TOKEN]", r"pypi-[A-Za-z0-9_-]{50,}", "pypi-"),
)
_WITH_UNDERSCORE: tuple[Rule, ...] = (
    *_rules("[REDACTED_HF_TOKEN]", r"(?:hf|api_org)_[A-Za-z0-9]{29,}", "hf_", "api_org_"),
    *_rules("[REDACTED_GITHUB_TOKEN]", r"gh[pousr]_[A-Za-z0-9]{30,}|github_pat_[A-Za-z0-9_]{30,}", "gh", "github_pat_"),
    *_rules("[REDACTED_PROVIDER_API_KEY]", WORD_START + r"(?:gsk|r8)_[A-Za-z0-9_-]{20,}", "gsk_", "r8_"),
    *_rules("[REDACTED_NPM_TOKEN]", WORD_START + r"npm_[A-Za-z0-9]{36}", "npm_"),
)
_WITH_COLON: tuple[Rule, ...] = (
    *_rules(
        rf"\1{REDACTED}",
        r"(://[^\s/:@\"'<>\\{}$\[\]]{0,128}:)[^\s/@\"'<>\\{}$\[\]]{1,256}(?=@)",
        "://",
    ),
    *_rules(rf"\1{REDACTED}", r"(://)[A-Za-z0-9_-]{20,256}(?=@)", "://"),
)
_OTHERS: tuple[Rule, ...] = (
    *_rules("[REDACTED_GOOGLE_API_KEY]", r"AIza[A-Za-z0-9_-]{35}", "AIza"),
    *_rules("[REDACTED_GOOGLE_TOKEN]", r"ya29\.[A-Za-z0-9_-]{20,}", "ya29."),
    *_rules("[REDACTED_AWS_KEY_ID]", WORD_START + r"(?:AKIA|ASIA)[A-Z0-9]{16}(?![A-Za-z0-9])", "AKIA", "ASIA"),
    *_rules(
        rf"\1{REDACTED}",
        r"(hooks\.slack\.com/(?:services|workflows|triggers)/)[A-Za-z0-9/_-]{16,}",
        "hooks.slack.com/",
    ),
    *_rules(
        "[REDACTED_JWT]",
        rf"(?:(?<![A-Za-z0-9_-])|{AFTER_ESCAPE})" + r"eyJ[A-Za-z0-9_-]{10,}\.eyJ[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]{10,}",
        "eyJ",
    ),
    # In a `.netrc`; prose has no such words after it.
    *_rules(
        rf"\1{REDACTED}",
        r"((?<![A-Za-z0-9_-])password[ \t]{1,8})(?=[A-Za-z_-]{0,64}[0-9])[A-Za-z0-9_-]{20,}",
        *("password ", "password\t"),
    ),
    *_rules(rf"\1{REDACTED}", r"([Bb](?i:earer)[ \t]{1,8})[A-Za-z0-9._~+/=-]{20,}", "earer", "EARER"),
    *_rules(
        rf"\1{REDACTED}",
        r"([Aa](?i:uthorization)\\{0,8}[\"']?[ \t]{0,8}[:=][ \t]{0,8}\\{0,8}[\"']?"
        r"(?i:basic|token|bot|apikey|key|bearer)[ \t]{1,8})[A-Za-z0-9._~+/=-]{6,}",
        *("uthorization", "UTHORIZATION"),
    ),
)

PATTERNS = tuple(
    dict.fromkeys(rule[1] for rule in (*_WITH_HYPHEN, *_WITH_UNDERSCORE, *_WITH_COLON, *_OTHERS, *_ENCODED))
)
"""What tokens look like. `unsettled` must know how each of them begins."""


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
    def from_env(cls, env: Mapping[str, str]) -> Redactor:
        """A redactor that knows the secrets of an environment."""
        redactor = cls()
        redactor.add_env(env)
        return redactor

    def add_env(self, env: Mapping[str, str]) -> None:
        """Learns the value of every variable that holds a secret, going by its name."""
        for name, value in env.items():
            if not is_secret_variable(name, value) or not secret_values.is_plausible(value):
                continue
            # A path to a file with credentials is no secret, and it is found in many texts.
            if not os.path.exists(value):  # noqa: PTH110 - `Path.exists` raises on what is too long for a name
                self.add(value)

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
        if len(text) < _SHORTEST_SECRET:
            return text
        try:
            # What is left after a replacement may only now stand free, where a pattern can see it.
            while (clean := self._checked(text)) != text:
                text = clean
            return text
        except Exception:  # noqa: BLE001 - whatever breaks, a text that could not be checked must not get out
            log.error("redaction failed on a text of %d characters", len(text))
            return WITHHELD

    def known_apart(self, text: str) -> tuple[str, str]:
        """A text that is still being written in two: as far as no known secret has begun without them, and the rest."""
        end = begun(text, self._forms)
        return self.without_known(text[:end]), text[end:]

    def without_known(self, text: str) -> str:
        """The text without the secrets that this run knows; others are left."""
        if len(text) >= self._shortest:
            for form in self._forms:
                if form in text:
                    text = text.replace(form, REDACTED)
        return text

    def data(self, value: Any) -> Any:
        """A copy of JSON-like data without secrets in its strings; a value is judged together with its key."""
        try:
            return self._walk(value)
        except Exception:  # noqa: BLE001 - as above; RecursionError is the likely one
            log.error("redaction failed on a value of type %s", type(value).__name__)
            return WITHHELD

    def _checked(self, text: str) -> str:
        text = self.without_known(text)
        hyphen, underscore, colon = "-" in text, "_" in text, ":" in text
        if hyphen:
            text = _apply(_WITH_HYPHEN, text)
        if underscore:
            text = _apply(_WITH_UNDERSCORE, text)
        if colon:
            text = _apply(_WITH_COLON, text)
        text = _apply(_OTHERS, text)
        text = _apply(_ENCODED, text)
        if colon or hyphen or underscore or "=" in text:
            text = secret_values.redact_named(text, REDACTED)
        return text

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


def _apply(rules: tuple[Rule, ...], text: str) -> str:
    for needle, pattern, replacement in rules:
        # Looking for the literal first is what lets ordinary text through in a microsecond.
        if needle in text:
            text = pattern.sub(replacement, text)
    return text


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
