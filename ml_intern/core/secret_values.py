"""Tells whether a value is a secret, by its name and its looks: `HF_TOKEN="abc"` is one, `pad_token = eos` is not."""

from __future__ import annotations

import re
from functools import lru_cache

_KEYWORD = re.compile(r"key(?:[_-]?id)?|token|secret|passw(?:or)?d|passphrase")
"""What every name of a secret ends with; looked for in lower case."""

_ASSIGNMENT = re.compile(
    r"(?:[_-]?\d{1,3})?"
    r"(?P<closed>\\{0,8}[\"'`]\]?)?"
    r"(?:[ \t]{0,4}:[ \t]{0,4}(?:str|SecretStr|Optional\[str\]|str[ \t]{0,4}\|[ \t]{0,4}None)(?=[ \t]{0,4}=))?"
    r"(?P<separator>[ \t]{0,8}(?:=>|:=|!=|[:=]=?|,)[ \t]{0,8}|[ \t]{1,4})"
    r"(?:\\{0,8}(?P<mark>[\"'])(?P<quoted>(?:(?!(?P=mark))\S){1,4096}?)(?=\\{0,8}(?P=mark))"
    r"|(?P<bare>[^\s\"'`\\,;&<>(){}|\[$%*:=.!?][^\s\"'`\\,;&<>(){}|=]{0,255}={0,2}))"
)
"""What follows the keyword: an end of its quotes, an annotation, a separator, and the value with or without quotes."""

_REST_OF_BARE = re.compile(r"[^\s\"'`\\,;&<>(){}|]*")
_REST_OF_VARIABLE = re.compile(r"[^\s\"'`\\;)|]*")
"""What belongs to a bare value beyond the part that is looked at; a variable in capitals is set to all that follows."""

_UNFINISHED = re.compile(
    r"(?:[_-]?\d{1,3})?"
    r"(?P<closed>\\{0,8}[\"'`]\]?)?"
    r"(?:[ \t]{0,4}:[ \t]{0,4}(?:str|SecretStr|Optional\[str\]|str[ \t]{0,4}\|[ \t]{0,4}None)(?=[ \t]{0,4}=))?"
    r"(?P<separator>[ \t]{0,8}(?:=>|:=|!=|[:=]=?|,)[ \t]{0,8}|[ \t]{1,4})"
    r"(?P<value>\\{0,8}(?P<mark>[\"'])(?:(?!(?P=mark))\S){0,4096}"
    r"|[^\s\"'`\\,;&<>(){}|\[$%*:=.!?][^\s\"'`\\;)|]*)\Z"
)
"""The same where the text ends within the value: no quote has closed it, and nothing that no value goes on with."""

_LONGEST_NAME = 64
_NAME_CHARACTERS = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-")


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


_OWNERS = _words(
    "access admin anthropic api auth aws bearer bot client csrf deploy discord gh git github gitlab hf hub huggingface"
    " id jwt kaggle npm oauth openai personal private pypi refresh secret security service session slack telegram user"
    " wandb write"
)
"""Words before `token` that make it a credential."""

_PARTS_OF_TEXT = _words(
    "additional audio begin bos class cls context current decoder default draft end eos eot first forced fim generated"
    " image input label last mask max min new next num number output pad placeholder prefix prompt re sep special start"
    " stop sub suffix system target text tool total unk video vision word"
)
"""Words before `token` that make it a piece of text, also in capitals (`DEFAULT_PAD_TOKEN`)."""

_KEY_OWNERS = _words("access account api encryption master private secret signing")
"""Words before `key` that make it a credential."""

_NO_VALUES = _words(
    "any bool boolean changeme empty false hidden int integer masked none null number object optional redacted"
    " required self str string todo true undefined unset"
)
_TEMPLATE_START = ("$", "<", "[", "{", "%", "(", "*", ")", ",", ";", ":", "=", ".", "!", "?")
_IDENTIFIER = re.compile(r"[A-Za-z_]+(?:\.[A-Za-z_]+)*\Z")
_EXPRESSION = re.compile(r"[A-Za-z_][A-Za-z0-9_.]{0,128}[(\[{]")
_VARIABLE_NAME = re.compile(r"[A-Z][A-Z0-9]*(?:_[A-Z0-9]+)+\Z")
_FILLER = re.compile(r"[x*.\-_#]{3,}\Z|your[-_]", re.IGNORECASE)
_RUN = re.compile(r"[A-Za-z0-9]{12,}")
_DIGIT = re.compile(r"\d")
_LETTER = re.compile(r"[A-Za-z]")
_WORD = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])")
_NUMBER = re.compile(r"[\d.]{1,7}\Z")


def redact_named(text: str, replacement: str) -> str:
    """Replaces the values of assignments, JSON members, headers and flags whose name says that they are secret."""
    lowered = text.replace("\u0130", "i").lower()  # the one letter whose lower case is longer than itself
    if not ("key" in lowered or "token" in lowered or "secret" in lowered or "pass" in lowered):
        return text
    parts: list[str] = []
    done = 0
    for keyword in _KEYWORD.finditer(lowered):
        match = _ASSIGNMENT.match(text, keyword.end()) if keyword.start() >= done else None
        name = _whole_name(text, *keyword.span()) if match else ""
        if match and _condemned(text, name, match):
            start, end = match.span("quoted" if match["quoted"] else "bare")
            rest = (_REST_OF_VARIABLE if name.isupper() else _REST_OF_BARE).match(text, end) if match["bare"] else None
            parts += (text[done:start], replacement)
            done = rest.end() if rest else end
    if not parts:
        return text
    return "".join((*parts, text[done:]))


def open_value(text: str) -> int:
    """Where the value begins with which a text ends, if its name may make a secret of it; else the length of the text.

    Only the name counts, since whoever asks has not seen the whole of the value.
    """
    lowered = text.replace("\u0130", "i").lower()
    for keyword in _KEYWORD.finditer(lowered):
        if match := _UNFINISHED.match(text, keyword.end()):
            said = match["separator"].strip()
            flag = not said and not match["closed"] and _whole_name(text, *keyword.span()).startswith("--")
            if flag or (said if said != "," else match["closed"] and match["mark"]):
                return match.start("value")
    return len(text)


def _condemned(text: str, name: str, match: re.Match[str]) -> bool:
    value = match["quoted"] or match["bare"]
    separator = match["separator"].strip()
    if separator == "" and (match["closed"] or not name.startswith("--")):
        return False  # prose; only a flag has its value after a blank
    if separator == "," and not (match["closed"] and match["quoted"] and "_" in name and _is_opaque(value)):
        return False  # a list; only `setenv("NAME", "value")` has its value after a comma
    if match["bare"] and _EXPRESSION.match(text, match.start("bare")):
        return False
    return is_secret(name, value, quoted=bool(match["quoted"]))


def _whole_name(text: str, start: int, end: int) -> str:
    """The whole word a keyword ends."""
    first = start
    while first > 0 and start - first < _LONGEST_NAME and text[first - 1] in _NAME_CHARACTERS:
        first -= 1
    if first > 0 and text[first - 1] == "\\" and text[first] in "nrt":
        first += 1  # what stands there is an escaped line break or tab
    return text[first:end]


def is_secret(name: str, value: str, *, quoted: bool) -> bool:
    """Whether a value is a secret that belongs to this name.

    Args:
        name: Name of a variable, key, header or flag.
        value: What it is set to, without quotes.
        quoted: Whether it stood in quotes, and so is no name or expression of a program.
    """
    strength = _strength(name)
    if strength == "none" or _says_nothing(name, value):
        return False
    if strength == "weak":
        return _is_opaque(value) and (quoted or not _IDENTIFIER.match(value))
    if quoted:
        return not _VARIABLE_NAME.match(value)
    if _NUMBER.match(value):
        return False
    # A bare word is a variable in a program and a value in an environment file: capitals tell which.
    capitals = name.isupper()
    if _IDENTIFIER.match(value):
        return "." not in value and (capitals or len(value) >= 20)
    return capitals or len(value) >= 6


@lru_cache(maxsize=512)
def _strength(name: str) -> str:
    """How sure a name is: `strong`, `weak` (the value must look like a secret too) or `none`."""
    words = [word.lower() for word in _WORD.findall(name)]
    last, before = (words[-1], words[-2] if len(words) > 1 else "") if words else ("", "")
    if last in {"secret", "password", "passwd", "passphrase"} or words[-2:] == ["key", "id"]:
        return "strong"
    for keyword, owners in (("key", _KEY_OWNERS), ("token", _OWNERS)):
        if last.endswith(keyword):
            owner = last.removesuffix(keyword) or before
            if owner in owners:
                return "strong"
    if not last.endswith("token"):
        return "none"
    return "strong" if name.isupper() and before not in _PARTS_OF_TEXT else "weak"


def _says_nothing(name: str, value: str) -> bool:
    """Whether a value is a reference, a template or a placeholder."""
    lowered = value.lower().rstrip(",;")
    return (
        value.startswith(_TEMPLATE_START)
        or lowered in _NO_VALUES
        or lowered == name.lower()
        or bool(_FILLER.match(value))
        or bool(_VARIABLE_NAME.match(value) and value.endswith(("TOKEN", "KEY", "SECRET", "PASSWORD", "_ID")))
    )


def _is_opaque(value: str) -> bool:
    """Whether a value looks random: sixteen characters or more, with a long run that mixes letters and digits."""
    if len(value) < 16:
        return False
    return any(_DIGIT.search(run) and _LETTER.search(run) for run in _RUN.findall(value))


def is_plausible(value: str) -> bool:
    """Whether the value of a secret variable can be looked for in text without hitting ordinary words."""
    value = value.strip()
    if len(value) < 8 or value.lower() in _NO_VALUES:
        return False
    return len(value) >= 12 or bool(_DIGIT.search(value) and _LETTER.search(value))
