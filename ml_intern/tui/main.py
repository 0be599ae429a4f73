"""Starts the full-screen app: a first frame at once, then Textual, then, behind the app's own first frame, the core."""

from __future__ import annotations

import gc
import signal
import sys
from typing import TYPE_CHECKING, NoReturn

from ml_intern.tui.terminal import FirstFrame

if TYPE_CHECKING:
    from ml_intern.options import Options
    from ml_intern.tui.background import BackgroundQuery

INTERRUPTED = 130
SWITCH_S = 0.001
"""A thread that computes gives way to whoever types after so long."""
END_SIGNALS = tuple(getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name))


def run(options: Options) -> int:
    """Runs the app until the person leaves. Returns the exit code."""
    sys.setswitchinterval(SWITCH_S)
    gc.disable()  # importing makes little but long-lived objects; the app switches it on again when it is up
    frame = FirstFrame()
    farewell = ""
    try:
        for number in END_SIGNALS:
            signal.signal(number, _leave_at_once)
        frame.show()
        query = _ask_for_background(options)
        from ml_intern.tui.app import MLInternApp

        app = MLInternApp(options, terminal=query.answer() if query is not None else None)
        app.run()
        farewell = app.farewell
        return app.return_code or 0
    except KeyboardInterrupt:
        return INTERRUPTED
    finally:
        frame.close()
        if farewell:
            sys.stderr.write(f"{farewell}\n")


def _ask_for_background(options: Options) -> BackgroundQuery | None:
    """Asks the terminal only when a person wants the theme to follow it."""
    from ml_intern.tui.preferences import preferences_at_start

    if (options.theme or preferences_at_start(options).theme) != "auto":
        return None
    from ml_intern.tui.background import BackgroundQuery

    query = BackgroundQuery()
    query.ask()
    return query


def _leave_at_once(_number: int, _frame: object) -> NoReturn:
    # Until the app is up and handles signals itself.
    raise SystemExit(INTERRUPTED)
