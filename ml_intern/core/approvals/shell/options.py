"""The flags that make a program write, run or change something, for programs that only look without them.

Flags are understood as programs understand them: bundled (`-uo x`), with their value behind them (`-ox`), and long ones
abbreviated (`--outp=x`).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from ml_intern.core.approvals.effects import Effect
from ml_intern.core.approvals.shell.call import Call
from ml_intern.core.approvals.shell.expand import SOMETHING, UNKNOWN, Arg


@dataclass(frozen=True, slots=True)
class Flags:
    """What the flags of a program do.

    Attributes:
        writes: Their value is a file that they make.
        runs: They run another program, or take further flags from somewhere.
        changes: They change something here.
        settings: They change the machine.
        valued: Letters of other flags that take a value: what follows such a letter is no flag.
        others: Long flags that are none of these, though they look like the beginning of one.
    """

    writes: tuple[str, ...] = ()
    runs: tuple[str, ...] = ()
    changes: tuple[str, ...] = ()
    settings: tuple[str, ...] = ()
    valued: str = ""
    others: tuple[str, ...] = ()


_LESS = Flags(
    writes=("-o", "-O", "--log-file", "--LOG-FILE"),
    runs=("-k", "--lesskey-file", "--lesskey-src", "--lesskey-content"),
    valued="bhjpPtTxyz#D",
)
_FD = Flags(runs=("-x", "-X", "--exec", "--exec-batch"), valued="dteEScjo")
_BAT = Flags(runs=("--pager",), valued="lmHr")
FLAGS: dict[str, Flags] = {
    "sort": Flags(writes=("-o", "--output"), runs=("--compress-program",), valued="kStT"),
    "shuf": Flags(writes=("-o", "--output"), valued="in"),
    "tree": Flags(writes=("-o",), changes=("-R",), valued="LPIHT"),
    "iconv": Flags(writes=("-o", "--output"), valued="ft"),
    **dict.fromkeys(("less", "zless", "more", "zmore"), _LESS),
    "man": Flags(
        runs=("-P", "--pager", "-H", "--html", "-C", "--config-file", "--preprocessor"), valued="LRmMSserEpTX"
    ),
    **dict.fromkeys(("bat", "batcat"), _BAT),
    **dict.fromkeys(("rg", "ripgrep"), Flags(runs=("--pre", "--hostname-bin"), valued="ABCEMdefgjmrtT")),
    "ag": Flags(runs=("--pager",), valued="ABCGgmp"),
    **dict.fromkeys(("fd", "fdfind"), _FD),
    "date": Flags(settings=("-s", "--set"), valued="dfrIv"),
    "hostname": Flags(settings=("-F", "--file", "-b", "--boot")),
    "lsof": Flags(changes=("-D",), valued="acdFgikopsSTux+"),
    "file": Flags(changes=("-C", "--compile"), valued="mFfeP"),
    "diff3": Flags(runs=("--diff-program",), valued="L"),
    "xmllint": Flags(writes=("-o", "--output"), runs=("--shell", "-s"), valued="fhnprvx"),
    "cloc": Flags(
        writes=("--out", "--report-file", "--counted", "--ignored", "--categorized", "--write-lang-def", "--sql"),
        runs=("--extract-with", "--config", "--script-lang"),
    ),
    "scc": Flags(writes=("-o", "--output"), changes=("--format-multi",), valued="fis"),
    "sensors": Flags(settings=("-s", "--set"), runs=("-c", "--config-file")),
}


def judge_flags(call: Call, flags: Flags) -> None:
    """Adds what the flags of a call do."""
    call.writes(values_of(call, flags.writes, flags.valued, flags.others))
    if any(value.text not in {"cat", "less"} for value in values_of(call, flags.runs, flags.valued)):
        call.changes()
        call.found.unreadable(f"{call.name} runs another program")
    if next(values_of(call, flags.changes, flags.valued), None) is not None:
        call.changes()
    if next(values_of(call, flags.settings, flags.valued), None) is not None:
        call.found.add(Effect.OUTSIDE, "changes settings of this machine")
    if may_hold_flags(call):
        call.changes()


def may_hold_flags(call: Call) -> bool:
    """Whether an argument that is not known beforehand may turn out to be a flag."""
    return any(text and not text.strip(UNKNOWN + SOMETHING) for text in call.before_dashes())


def values_of(call: Call, names: tuple[str, ...], valued: str = "", others: tuple[str, ...] = ()) -> Iterator[Arg]:
    """The values of these flags; an empty one for a flag without."""
    long = tuple(name for name in names if name.startswith("--"))
    letters = {name[1] for name in names if len(name) == 2}
    args = call.args[: len(call.before_dashes())]
    for index, arg in enumerate(args):
        following = args[index + 1] if index + 1 < len(args) else Arg("")
        if arg.text[:2] == "--":
            name, equals, value = arg.text.partition("=")
            if name not in others and any(other.startswith(name) for other in long):
                yield Arg(value, arg.glob) if equals else following
        elif arg.text[:1] == "-":
            for at, letter in enumerate(arg.text[1:], 2):
                if letter in letters:
                    yield Arg(arg.text[at:], arg.glob) if arg.text[at:] else following
                if letter in letters or letter in valued:
                    break
