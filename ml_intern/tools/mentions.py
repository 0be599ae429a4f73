"""What goes with a prompt that names files: their content, with line numbers as `read` gives it, and lists of folders.

The agent need not read again what a person has put in front of it. Large files come as far as `read` would go, what is
no text is named only, and files that hold secrets are not opened at all.
"""

from __future__ import annotations

import codecs
import html
import os
from collections.abc import Callable
from pathlib import Path

from ml_intern.core.approvals.paths import Surroundings, resolved
from ml_intern.core.file_index import list_files
from ml_intern.core.hearing import Mentioned
from ml_intern.core.images import human_size, kind_of
from ml_intern.core.mentions import Mention, mentions_in
from ml_intern.core.protocol import Attachment, ImageFile
from ml_intern.core.tools.spec import SessionState
from ml_intern.tools.file_state import ReadFiles
from ml_intern.tools.files import read_lines
from ml_intern.tools.text_files import SNIFF_BYTES, FileError, regular_file

MOST_LINES = 2_000
MOST_CHARS = 60_000
"""Of one file."""
MOST_CHARS_IN_ALL = 120_000
MOST_ENTRIES = 200


class MentionReader:
    """Reads what prompts name.

    Args:
        home: The person's home directory.
        redact: Takes secrets out of what goes along.
    """

    def __init__(self, home: Path, redact: Callable[[str], str]) -> None:
        self._home = home
        self._redact = redact

    def __call__(self, text: str, workspace: Path, state: SessionState) -> Mentioned:
        """See `Mentions`."""
        return _Gathering(Surroundings.of(workspace, self._home), self._redact, state).gather(text, workspace)


class _Gathering:
    def __init__(self, around: Surroundings, redact: Callable[[str], str], state: SessionState) -> None:
        self._around = around
        self._redact = redact
        self._state = state
        self._room = MOST_CHARS_IN_ALL
        self._attached: list[Attachment] = []
        self._images: list[ImageFile] = []
        self._problems: list[str] = []

    def gather(self, text: str, workspace: Path) -> Mentioned:
        for mention in mentions_in(text, workspace):
            try:
                self._take(mention)
            except (FileError, OSError) as error:
                reason = error.strerror if isinstance(error, OSError) else str(error)
                self._problems.append(f"@{mention.name} does not go along: {reason or error}")
        return Mentioned(tuple(self._attached), tuple(self._images), tuple(self._problems))

    def _take(self, mention: Mention) -> None:
        if self._around.secret(mention.path):
            self._problems.append(f"{mention.name} may hold secrets: only its name was sent.")
        elif mention.path.is_dir():
            self._take_folder(mention)
        else:
            self._take_file(mention)

    def _take_file(self, mention: Mention) -> None:
        size = regular_file(mention.path).st_size
        with mention.path.open("rb") as file:
            start = file.read(SNIFF_BYTES)
        if kind_of(start):
            self._images.append(ImageFile(path=str(mention.path)))
        elif self._room <= 0:
            self._problems.append(f"{mention.name} is named only: enough goes with the prompt already.")
        elif b"\0" in start and not start.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
            self._attach(mention, "file", f"(no text, {human_size(size)})", human_size(size))
        else:
            first = mention.first or 1
            wanted = min(MOST_LINES, mention.last - first + 1 if mention.last else MOST_LINES)
            content, seen = read_lines(mention.path, first, wanted, min(MOST_CHARS, self._room))
            self._state.get(ReadFiles).remember(resolved(mention.path), seen)
            lines = sum("\t" in line[:8] for line in content.split("\n"))  # without the remark that there are more
            self._attach(mention, "file", content, f"{lines:,} {'line' if lines == 1 else 'lines'}")

    def _take_folder(self, mention: Mention) -> None:
        near = self._around.inside(mention.path) and mention.path.parent != mention.path
        names = list_files(mention.path) if near else _entries(mention.path)
        shown = names[:MOST_ENTRIES]
        if len(names) > len(shown):
            shown.append(f"[… {len(names) - len(shown):,} more]")
        count = f"{len(names):,} {'entry' if len(names) == 1 else 'entries'}"
        self._attach(mention, "folder", "\n".join(shown) or "(empty)", count)

    def _attach(self, mention: Mention, what: str, content: str, size: str) -> None:
        content = self._redact(content).replace(f"</attached_{what}", f"<\\/attached_{what}")
        self._room -= len(content)
        name = html.escape(mention.name)
        lines = f' lines="{mention.lines[1:]}"' if mention.lines else ""
        text = f'<attached_{what} path="{name}"{lines}>\n{content}\n</attached_{what}>'
        self._attached.append(Attachment(label=f"{mention.name}{mention.lines} · {size}", text=text))


def _entries(folder: Path) -> list[str]:
    """What lies directly in a folder; folders end with `/`."""
    with os.scandir(folder) as entries:
        return sorted(f"{entry.name}/" if entry.is_dir(follow_symlinks=False) else entry.name for entry in entries)
