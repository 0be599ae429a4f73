"""Starts the full-screen app: a first frame at once, then Textual, then, behind the app's own first frame, the core."""

from __future__ import annotations

import gc
import signal
import sys

from ml_intern.options import TYPE_CHECKING
from ml_intern.tui.early.frame import FirstFrame
from ml_intern.tui.early.guard import guarded
from ml_intern.tui.early.look import AUTO
from ml_intern.tui.early.preferences import preferences_at_start, theme_at_start

if TYPE_CHECKING:
    from ml_intern.options import Options
    from ml_intern.tui.app import MLInternApp

INTERRUPTED = 130
SWITCH_S = 0.001
"""A thread that computes gives way to whoever types after so long."""
END_SIGNALS = tuple(getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name))


def run(options: Options) -> int:
    """Runs the app until the person leaves. Returns the exit code."""
    return guarded(lambda: _run(options))


def _run(options: Options) -> int:
    sys.setswitchinterval(SWITCH_S)
    gc.disable()  # importing makes little but long-lived objects; the app switches it on again when it is up
    frame = FirstFrame()
    app: MLInternApp | None = None
    farewell = ""
    leaving = importing = False

    def leave(_number: int, _frame: object) -> None:  # until the app is up and handles signals itself
        nonlocal leaving
        leaving = True
        if importing:
            raise SystemExit(0 if frame.left else INTERRUPTED)
        if app is not None:
            app.leaves_when_up = True

    try:
        for number in END_SIGNALS:
            signal.signal(number, leave)
        if resized := getattr(signal, "SIGWINCH", None):
            signal.signal(resized, lambda *_: frame.resized())
        chosen = preferences_at_start(options)
        theme = theme_at_start(options, chosen)
        frame.show(theme, own_keys=bool(chosen.keys))
        importing = True  # it may be broken off; the first frame may not, coming or going
        if leaving:
            return INTERRUPTED
        from ml_intern.tui.app import MLInternApp

        importing = False
        app = MLInternApp(options, first_frame=frame, light=theme == AUTO and frame.is_light())
        if leaving:  # where a library has swallowed the exception
            app.leaves_when_up = True
        app.run()
        farewell = app.farewell
        return app.return_code or 0
    except KeyboardInterrupt:
        return INTERRUPTED
    except Exception:
        if not leaving:
            raise
        return INTERRUPTED  # what a library has made of the exception that ends the import
    finally:
        importing = False
        frame.close()
        if farewell:
            sys.stderr.write(f"{farewell}\n")
