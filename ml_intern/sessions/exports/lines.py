"""Lines of JSON."""

from __future__ import annotations

import json
from typing import Any


def json_line(value: Any) -> str:
    """JSON on a line of its own, in valid Unicode; no reader finds a second line break in it, whatever it splits at."""
    line = json.dumps(value, ensure_ascii=False)
    for character in "\u2028\u2029\x85":
        line = line.replace(character, json.dumps(character)[1:-1])
    return line.encode("utf-8", "replace").decode() + "\n"
