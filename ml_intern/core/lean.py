"""Parts of libraries that nothing here uses, and that would take as long to import as all the rest of them."""

from __future__ import annotations

import sys

_UNUSED = (
    "httpx._main",  # its command line, which brings click, rich and pygments
    "httpcore._async.http2",  # HTTP/2, which is used when asked for; nobody asks
    "httpcore._sync.http2",
)


def skip_unused_parts() -> None:
    """Makes httpx do without its optional parts, as if what they need were not installed. Call it before the import."""
    for name in _UNUSED:
        sys.modules.setdefault(name, None)  # type: ignore[arg-type]  # Python's mark for "not to be imported"
