"""The words of the hardware picker: rows of the list, the sum below it and how it is reckoned, as pure functions."""

from __future__ import annotations

from collections.abc import Sequence

from textual.content import Content

from ml_intern.core.fit import Estimate, Fit, Method, fit
from ml_intern.core.jobs import Flavor, JobsError, duration_text, parse_duration
from ml_intern.tui.widgets.display import LinesPiece
from ml_intern.tui.widgets.lines import BLANK, Line, Run, wrap
from ml_intern.tui.widgets.tables import table_lines
from ml_intern.tui.widgets.text import cells, money, pad
from ml_intern.tui.widgets.text import fit as cut

METHODS: tuple[tuple[Method, str], ...] = (
    ("full", "full fine-tuning"),
    ("lora", "LoRA"),
    ("qlora", "QLoRA, 4 bit"),
    ("inference", "inference"),
)
VERDICTS = {
    "fits": ("✓ fits", "$success"),
    "tight": ("~ tight", "$warning"),
    "too small": ("✗ too small", "$error"),
    "unknown": ("? unknown", "$foreground-muted"),
    "no GPU": ("– no GPU", "$foreground-muted"),
}

PRICE_CELLS = 9
MOST_CELLS = 10
VERDICT_CELLS = 11
GAP = "  "


def seconds_of(text: str) -> float | None:
    """The time that was typed; None when it is not one."""
    try:
        return parse_duration(text)
    except JobsError:
        return None


def price(flavor: Flavor) -> str:
    """What an hour costs."""
    if flavor.usd_per_hour is None:
        return "$?/h"
    return f"{money(flavor.usd_per_hour)}/h" if flavor.usd_per_hour else "free"


def heading(flavors: Sequence[Flavor], width: int, *, seconds: float | None, fits: bool) -> Content:
    """The line above the list."""
    widths = _widths(flavors, width, timed=seconds is not None, fits=fits)
    shown = _fitted(("flavor", "hardware", "price", "at most"), widths[:-1])
    last = ["memory (an estimate)" if width >= 90 else "memory"] if fits else []
    return Content.styled("  " + GAP.join([*shown, *last]).rstrip(), "$foreground-muted")


def row(
    flavor: Flavor,
    flavors: Sequence[Flavor],
    width: int,
    *,
    seconds: float | None,
    needs: Estimate | None,
    current: bool,
) -> Content:
    """One flavor.

    Args:
        flavor: The flavor.
        flavors: All of the list, so that columns align.
        width: Cells of the list.
        seconds: For how long; None when there is no time to reckon with.
        needs: What is to fit; None when nothing is known.
        current: Whether it is the one that was asked for.
    """
    most = "" if seconds is None else worst(flavor, seconds)
    verdict, style = verdict_of(fit(needs, flavor)) if needs else ("", "")
    widths = _widths(flavors, width, timed=seconds is not None, fits=needs is not None)
    shown = _fitted((flavor.name, flavor.hardware, price(flavor), most, verdict), widths)
    room = width - 2 - sum(map(cells, shown)) - len(GAP) * (len(shown) - 1)
    aside = _figures(fit(needs, flavor)) if needs else ""
    return Content.assemble(
        ("● " if current else "  ", "$accent"),
        GAP.join(shown[:-1]),
        GAP if len(shown) > 1 else "",
        (shown[-1], style),
        (f"{GAP}{aside}" if aside and cells(aside) + len(GAP) <= room else "", "$foreground-muted"),
    )


def worst(flavor: Flavor, seconds: float) -> str:
    """What it costs at most."""
    return "$?" if flavor.usd_per_hour is None else money(flavor.usd_per_hour * seconds / 3600)


def verdict_of(found: Fit) -> tuple[str, str]:
    """A verdict in a sign and words, and its style."""
    return VERDICTS[found.verdict]


def _figures(found: Fit) -> str:
    return f"{found.needed_gb:.1f} of {found.available_gb:.0f} GB each" if found.available_gb else ""


def _widths(flavors: Sequence[Flavor], width: int, *, timed: bool, fits: bool) -> list[int]:
    """Widths of the columns name, hardware, price, at most, memory; 0 leaves one out."""
    name = max([len("flavor"), *(cells(flavor.name) for flavor in flavors)])
    hardware = max([len("hardware"), *(cells(flavor.hardware) for flavor in flavors)])
    fixed = [name, PRICE_CELLS, MOST_CELLS if timed else 0, VERDICT_CELLS if fits else 0]
    room = width - 2 - sum(fixed) - len(GAP) * (sum(1 for size in fixed if size))
    if room < hardware and fits:  # the memory says more of the hardware than its name does
        hardware = max(0, room)
    return [name, hardware if hardware >= 6 else 0, *fixed[1:]]


def _fitted(texts: Sequence[str], widths: Sequence[int]) -> list[str]:
    return [pad(cut(text, width), width) for text, width in zip(texts, widths, strict=True) if width]


def total(needs: Estimate | None, problem: str, method: Method, *, parts: bool) -> Content:
    """The line below the list: what is needed, and of which parts it consists, or why nobody can say."""
    if needs is None:
        return Content.styled(problem or "Type a model's name or size above to see what it needs.", "$foreground-muted")
    task = "for inference" if method == "inference" else "to train"
    each = " + ".join(f"{part.name.partition(' (')[0].partition(':')[0]} {part.gb:.1f}" for part in needs.parts)
    return Content.assemble(
        ("estimate: ", "$foreground-muted"),
        (f"about {needs.gb_on():.1f} GB {task} on one GPU", "bold"),
        (f"  {each}, 10 % and 1 GB to spare" if parts else "", "$foreground-muted"),
    )


def reckoning(needs: Estimate, method: Method) -> list[LinesPiece]:
    """How an estimate comes about: a table of its parts, then what it takes for granted."""
    task = "inference" if method == "inference" else "training"

    def table(width: int) -> list[Line]:
        head = [[Run(text, "strong")] for text in (f"memory for {task}", "GB", "how")]
        rows = [[[Run(part.name)], [Run(f"{part.gb:.2f}")], [Run(part.formula, "muted")]] for part in needs.parts]
        rows.append([[Run("all, and 10 % + 1 GB")], [Run(f"{needs.gb_on():.2f}")], [Run("fragments, CUDA", "muted")]])
        return table_lines([head, *rows], ("", "right", ""), width)

    def words(width: int) -> list[Line]:
        said = [line for text in needs.assumptions for line in wrap([Run(text)], width)]
        note = "This is an estimate from the size alone: it tells 24 GB from 80 GB, not 23 from 25."
        scale = "✓ fits: up to 85 % of a GPU's memory. ~ tight: up to all of it. ✗ too small: more than it has."
        return [BLANK, *said, BLANK, *wrap([Run(scale)], width), *wrap([Run(note, "muted")], width)]

    return [LinesPiece(table, height=10), LinesPiece(words, height=8)]


def rental(flavor: Flavor | None, seconds: float | None, typed: str) -> Content:
    """The line that says what Enter would choose, or what is wrong."""
    if flavor is None:
        return Content("")
    if seconds is None:
        return Content.styled(f"{typed!r} is no time. Write 90m, 2h or 1h30m.", "$error")
    if flavor.usd_per_hour is None:
        return Content.styled(f"{flavor.name}: the price is unknown, which counts as over every cap", "$warning")
    if flavor.usd_per_hour == 0:
        return Content(f"{flavor.name} · nothing is rented · at most {duration_text(seconds)}")
    most = money(flavor.usd_per_hour * seconds / 3600)
    return Content.assemble(
        f"{flavor.name} · {price(flavor)} × {duration_text(seconds)} = ", ("at most ", "bold"), (most, "bold")
    )
