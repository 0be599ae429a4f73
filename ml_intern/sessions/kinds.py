"""Kinds of events as they stand in lines of a log, for those who look at lines without parsing them."""

from __future__ import annotations

import re

PIECE = "assistant_chunk"
STREAM_END = "assistant_stream_end"
NEXT = frozenset({"turn_complete", "interrupted", "processing", "user_message", "tool_call", "session_resumed"})
"""What cannot come before a reply has ended, one way or another."""
ENDED = NEXT | {"history", "assistant_message"}
"""What a reply has left something whole with, or nothing at all."""
STATE = "tool_state_change"
STOPPED = frozenset({"rejected", "cancelled", "abandoned"})
"""States of calls that somebody refused or stopped. Their results say that they failed, but nothing went wrong."""
STOPS = re.compile(rb'"state":\s?"(?:rejected|cancelled|abandoned)"')
