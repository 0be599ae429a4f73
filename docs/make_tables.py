"""Writes the tables of keys and settings from where the app has them: `uv run python docs/make_tables.py`."""

from __future__ import annotations

import json
from pathlib import Path

from ml_intern.core.settings_schema import Setting, setting_groups
from ml_intern.tui.keys.actions import PLACES, Action
from ml_intern.tui.keys.names import spoken

DOCS = Path(__file__).parent

KEYS = """\
# Keys

What can be done where, with the keys it comes with. In the app, `/keys` shows this table with the keys that count for
you, and `F1` explains what has the focus. Written by `docs/make_tables.py`.

Other keys are chosen in `/keys`, or in the configuration by the name in the last column, several with commas between
them; `none` leaves an action without a key:

```json
{"keys": {"interrupt": "ctrl+x", "prompt.send": "ctrl+enter", "prompt.newline": "enter", "/trail": "f8"}}
```

Names and keys that do not exist, and keys that get into each other's way, are told when the app starts, and by
`ml-intern doctor`. Pressing Ctrl+C twice always leaves.
"""
SETTINGS = """\
# Settings

Everything that `cli_agent_config.json` may hold. In the app, `/settings` (F5) shows it with the values that count, and
changes them. Written by `docs/make_tables.py`.
"""


def keys_table() -> str:
    """docs/keys.md."""
    parts = [KEYS]
    for place in PLACES:
        parts.append(
            f"## {place.title[:1].upper()}{place.title[1:]}\n\n| keys | what they do | name |\n| --- | --- | --- |"
        )
        parts.append("\n".join(_key_row(action) for action in place.actions) + "\n")
    return "\n".join(parts)


def _key_row(action: Action) -> str:
    keys = " ".join(f"`{spoken(key)}`" for key in action.standard) or "–"
    return f"| {keys.replace('|', '&#124;')} | {action.does} | {'fixed' if action.fixed else f'`{action.id}`'} |"


def settings_table() -> str:
    """docs/settings.md."""
    parts = [SETTINGS]
    for group in setting_groups():
        parts.append(f"## {group.name[:1].upper()}{group.name[1:]}\n\n{group.description}\n")
        parts.append("| key | default | what it does |\n| --- | --- | --- |")
        parts.append("\n".join(_setting_row(setting) for setting in group.settings) + "\n")
    return "\n".join(parts)


def _setting_row(setting: Setting) -> str:
    may = ", ".join(f"`{choice}`" for choice in setting.choices if choice) or setting.bounds
    default = "–" if setting.default in (None, "", []) else f"`{json.dumps(setting.default, ensure_ascii=False)}`"
    says = setting.description.replace("|", "&#124;") + (f" ({may})" if may else "")
    return f"| `{setting.key}` | {default} | {says} |"


def main() -> None:
    """Writes both."""
    (DOCS / "keys.md").write_text(keys_table(), encoding="utf-8")
    (DOCS / "settings.md").write_text(settings_table(), encoding="utf-8")


if __name__ == "__main__":
    main()
