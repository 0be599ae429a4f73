"""The app on a terminal of glass: whatever it would write to a real one can be looked at."""

from __future__ import annotations

import re
from typing import Any

import pyte
import wcwidth
from textual.drivers.headless_driver import HeadlessDriver

from tests.tui.stage import Stage, WatchedApp

# fmt: off
PIECES = (
    "[/]", "[red", "[@click=app.quit]x[/]", "$accent", "{markup}", "%s %d", "[https://good.test](https://evil.test/x)",
    "\x1b[2J", "\x1b[8m", "\x1b[1;1H", "\x1b]0;stolen\x07", "\x1b]52;c;c3RvbGVu\x07", "\x1b]9;stolen\x07",
    "\x1b]8;;https://evil.test\x1b\\x\x1b]8;;\x1b\\", "\x1bPstolen\x1b\\", "\x1b]0;open", "\x1b", "\x9b2J",
    "\x9d0;x\x9c", "\x00", "\x07", "\x08\x08", "\x7f", "\x0b\x0c", "\x85", "\t",
    "\u202eesrever\u202c", "\u2066\u2067x\u2069", "\u200f", "\u200b\ufeff\u00ad", "\u2028\u2029", "\U000e0041",
    "\ud800", "\udfff", "👩\u200d👩\u200d👧", "a\u200db\u200dc", "❤\ufe0f", "👍🏽", "🇩🇪", "1\ufe0f\u20e3",
    "e\u0301", "z" + "\u0301" * 400, "\u0301", "你好，世界", "ｆｕｌｌ", "한국어", "قد", "ที่นี่", "\u3164\u115f",
)
# fmt: on


def seen(name: str) -> str:
    """What a hostile text of this name begins with: where it shows, the text has arrived and its markup is text."""
    return f"[u]{name}[/u]"


def bomb(name: str) -> str:
    """A text with everything that could do harm."""
    return f"under\r{seen(name)} {' '.join(PIECES)}"


_KNOWN = re.compile(
    r"\x1b\[(?P<sgr>[0-9;:]*)m|\x1b\[\d+;\d+H|\x1b\[\?\d+[hl]|\x1b\[[<>=]\d*u|\x1b\[\?\d+\$p"
    r"|\x1b\]8;(?:id=[\d.-]+)?;(?P<link>[ -~]*)\x1b\\"
    r"|\x1b\]22;[a-z-]*\x07"  # the shape of the mouse pointer
    r"|\x1b\]0;(?P<title>[^\x00-\x1f\x7f-\x9f]*)\x07|\x1b\]52;c;(?P<copied>[A-Za-z0-9+/=]*)\x07"
)
_NOT_TEXT = re.compile(r"\x1b\[[<>=][0-9;]*[a-zA-Z]|\x1b\[\?\d+\$p|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)")
_FORBIDDEN = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\u200b\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff\ud800-\udfff]")


class GlassDriver(HeadlessDriver):
    """Keeps what is written to the terminal."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.written: list[str] = []

    @property
    def is_headless(self) -> bool:
        return False

    def write(self, data: str) -> None:
        self.written.append(data)


class GlassApp(WatchedApp):
    """The app with that driver. Run it with `headless=False`."""

    def get_driver_class(self) -> type[GlassDriver]:
        return GlassDriver

    @property
    def written(self) -> str:
        """All that was written."""
        assert isinstance(self._driver, GlassDriver)
        return "".join(self._driver.written)

    def take_written(self) -> str:
        """What was written since this was asked last."""
        driver = self._driver
        assert isinstance(driver, GlassDriver)
        written, driver.written = "".join(driver.written), []
        return written


def check_bytes(written: str) -> set[str]:
    """Fails if anything was written that no text may put on a terminal. Returns the links that it was told of."""
    links: set[str] = set()
    link, end = "", 0
    for match in [*_KNOWN.finditer(written), None]:
        text = written[end : match.start() if match is not None else len(written)]
        leak = _FORBIDDEN.search(text)
        assert leak is None, f"{leak[0]!r} in {text[max(0, leak.start() - 60) : leak.start() + 40]!r}"
        assert text.strip() in link or not link, f"{text!r} leads to {link}"
        if match is None:
            break
        end = match.end()
        assert match["sgr"] not in {"8", "5"}, "a style of the text's own"
        if match["link"] is not None:
            link = match["link"]
            links |= {link} if link else set()
        assert "stolen" not in (match["title"] or "")
        assert match["copied"] != "c3RvbGVu"
    written.encode()  # a lone surrogate cannot be
    return links


def drawn(written: str, size: tuple[int, int]) -> list[str]:
    """What a terminal shows after all that."""
    screen = pyte.Screen(*size)
    pyte.Stream(screen).feed(_NOT_TEXT.sub("", written))
    return [row.rstrip() for row in screen.display]


def check_rows(stage: Stage) -> None:
    """Fails if a row would take another number of cells on a terminal than the screen has."""
    width = stage.app.size.width
    for strip in stage.app.screen._compositor.render_strips(stage.app.size):
        taken = wcwidth.wcswidth(strip.text)
        assert taken == width, f"{taken} cells for {width}: {strip.text!r}"
