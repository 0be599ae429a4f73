"""What keeps a person from seeing something that was to be shown."""

from __future__ import annotations


class PreviewError(Exception):
    """There is nothing to show; the text is a sentence with the next step."""
