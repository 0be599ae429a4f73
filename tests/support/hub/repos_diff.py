"""What differs between two states of a repository, and how two of them become one."""

from __future__ import annotations

import difflib
from collections.abc import Mapping

from tests.support.hub.repos_store import Blobs, Entry, pointer

Files = Mapping[str, Entry]


def changed(before: Files, after: Files) -> list[str]:
    """Paths that were added, changed or removed, sorted."""
    return sorted(path for path in {*before, *after} if before.get(path) != after.get(path))


def conflicts(base: Files, ours: Files, theirs: Files) -> list[str]:
    """Paths that both sides changed since `base`, each in its own way."""
    both = set(changed(base, ours)) & set(changed(base, theirs))
    return sorted(path for path in both if ours.get(path) != theirs.get(path))


def merge(base: Files, ours: Files, theirs: Files) -> dict[str, Entry]:
    """Our files with what they changed since `base`."""
    result = dict(ours)
    for path in changed(base, theirs):
        if path in theirs:
            result[path] = theirs[path]
        else:
            result.pop(path, None)
    return result


def unified(blobs: Blobs, before: Files, after: Files) -> str:
    """All differences, as git prints them."""
    return "".join(_one(blobs, path, before.get(path), after.get(path)) for path in changed(before, after))


def _one(blobs: Blobs, path: str, before: Entry | None, after: Entry | None) -> str:
    head = [f"diff --git a/{path} b/{path}\n"]
    if before is None:
        head.append("new file mode 100644\n")
    if after is None:
        head.append("deleted file mode 100644\n")
    head.append(f"index {before.oid if before else '0' * 40}..{after.oid if after else '0' * 40}\n")
    old, new = _text(blobs, before), _text(blobs, after)
    if old is None or new is None:
        return "".join([*head, f"Binary files a/{path} and b/{path} differ\n"])
    names = f"a/{path}" if before else "/dev/null", f"b/{path}" if after else "/dev/null"
    lines = difflib.unified_diff(old.splitlines(keepends=True), new.splitlines(keepends=True), *names)
    return "".join(
        [*head, *(line if line.endswith("\n") else f"{line}\n\\ No newline at end of file\n" for line in lines)]
    )


def _text(blobs: Blobs, entry: Entry | None) -> str | None:
    if entry is None:
        return ""
    if entry.lfs:
        return pointer(entry.sha256, entry.size).decode()
    try:
        return blobs.path(entry.sha256).read_text(encoding="utf-8")
    except UnicodeDecodeError:
        return None
