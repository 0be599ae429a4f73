"""Rules for programs that only look, unless a flag, an argument or a text that they work on says otherwise."""

from __future__ import annotations

import re
from collections.abc import Callable

from ml_intern.core.approvals.effects import Effect
from ml_intern.core.approvals.shell.call import HIDDEN_CODE, Call
from ml_intern.core.approvals.shell.interpreters import run_arg
from ml_intern.core.approvals.shell.options import FLAGS, judge_flags, values_of
from ml_intern.core.approvals.shell.wrappers import after_flags

READERS = frozenset(
    """
    : [ [[ ag arch base32 base64 basename bat bc break b2sum cal cat cksum cloc cmp column comm continue cut date dc
    declare df diff diff3 dig dir dirname dirs du echo egrep exa exit expand export expr eza factor false fd fdfind
    fgrep file fmt fold free getconf getent getopts gpustat grep groups hash head hexdump host hostname htop iconv
    id ifconfig iostat jobs join jq kinfo last less let local locale locate logname look ls lsb_release lsblk lscpu
    lsmem lsof lspci lsusb man mapfile md5sum more mpstat nl nproc nslookup numfmt nvtop od paste pgrep pidof ping
    pr printf ps pstree pwd read readarray readlink readonly realpath return rev rg ripgrep rocm-smi scc sensors seq set
    sha1sum sha224sum sha256sum sha384sum sha512sum shift shopt shuf sleep sort stat strings sum tac tail test times
    tldr tokei top tput tr tree true tsort tty type typeset ulimit umask uname unexpand uniq unset uptime users
    vmstat w wait wc whatis whereis which who whoami xmllint xxd yes zcat zdiff zgrep zless zmore
    """.split()  # noqa: SIM905 - words read better than as many quotes
)
"""Programs that only look, unless a flag below says otherwise."""

_SEARCHERS = frozenset({"rg", "ag", "ack", "ripgrep"})
_NAMES_ONLY = frozenset(
    {"ls", "dir", "du", "df", "stat", "file", "tree", "exa", "test", "[", "[[", "realpath", "readlink"}
)
_TAKES_NAMES = frozenset(
    """
    let test [ [[ printf unset declare typeset local readonly export read mapfile readarray
    """.split()  # noqa: SIM905 - words read better than as many quotes
)
"""What takes arguments for names and numbers, which may have an index that runs something."""


def reader(call: Call) -> None:
    """A program that only looks, checked for what makes it write or run something."""
    call.reads()
    if flags := FLAGS.get(call.name):
        judge_flags(call, flags)
    _look_for_secrets(call)
    if call.name in _TAKES_NAMES and any(HIDDEN_CODE.search(text) for text in call.texts):
        call.found.unreadable("the index of an array that runs something")
    if further := _FURTHER.get(call.name):
        further(call)


def _look_for_secrets(call: Call) -> None:
    """What shows the content of whole directories, or of all files that a wildcard matches."""
    searches = call.name in _SEARCHERS or (
        call.name in {"grep", "egrep", "fgrep", "zgrep"}
        and (set("rR") & set(call.letters) or call.has("--recursive", "--dereference-recursive"))
    )
    if searches:
        call.goes_through(
            call.operands("-e", "-f", "-A", "-B", "-C", "-m", "-g", "-t", "-T", "--include", "--glob")[1:]
        )
    elif call.name not in _NAMES_ONLY:
        call.goes_through(arg for arg in call.operands() if arg.glob)


def _second_is_written(call: Call) -> None:
    valued = ("-f", "-s", "-w") if call.name == "uniq" else ("-s", "-c", "-l", "-o", "-g", "-n", "-R")
    call.writes(call.operands(*valued)[1:2])


def _date(call: Call) -> None:
    """A date that does not begin with `+` is what the clock is set to. (With `-j`, macOS only prints it.)"""
    operands = call.operands("-d", "-f", "-r", "-v", "--date", "--file", "--reference")
    if "j" not in call.letters and any(arg.known and not arg.text.startswith("+") for arg in operands):
        _sets_the_machine(call)


def _hostname(call: Call) -> None:
    if call.operands():
        _sets_the_machine(call)


def _ifconfig(call: Call) -> None:
    if len(call.operands()) > 1:
        _sets_the_machine(call)


def _rocm_smi(call: Call) -> None:
    if any(text.startswith(("--set", "--reset", "--gpureset", "--load", "--save")) for text in call.texts):
        _sets_the_machine(call)


def _sets_the_machine(call: Call) -> None:
    call.found.add(Effect.OUTSIDE, "changes settings of this machine")


def _setter(call: Call) -> None:
    """`export` and its like."""
    for arg in call.args:
        name, equals, value = arg.text.partition("=")
        if equals:
            call.scope.variables[name] = (value,)
            call.sets(name, value)
        elif name in call.scope.variables:
            call.sets(name, call.scope.variables[name][0])
    _lists_environment(call)


def _lists_environment(call: Call) -> None:
    if not call.args or (call.name != "set" and call.texts in (["-p"], ["-x"])):
        call.found.add(Effect.CREDENTIALS, "lists the environment, secrets included")
    if call.name == "set" and ("a" in call.letters or "allexport" in call.texts):
        call.changes()  # whatever is assigned from now on reaches other programs


def _ps(call: Call) -> None:
    if any(re.fullmatch(r"[a-zA-Z]*e[a-zA-Z]*", text) for text in call.texts[:1]):
        call.found.add(Effect.CREDENTIALS, "lists the environment of processes, secrets included")


def _jq(call: Call) -> None:
    if any(re.search(r"\$ENV\b|(?<![.\w\"])env\b(?!\s*:)", text) for text in call.texts):
        call.found.add(Effect.CREDENTIALS, "reads the environment, secrets included")


def _hash(call: Call) -> None:
    if "p" in call.letters:
        call.found.unreadable("changes what programs do")


def _dc(call: Call) -> None:
    """`!` runs the rest of a line, unless it begins a comparison."""
    if any(re.search(r"!(?![<>=])", text) for text in [*call.texts, call.stdin or ""]):
        call.found.unreadable("dc runs other programs")
    elif call.operands("-e", "--expression") or call.has("-f", "--file") or (call.piped and call.stdin is None):
        call.changes()


def _mapfile(call: Call) -> None:
    for text in values_of(call, ("-C",), "dnOsuc"):
        run_arg(call, text)


def _jobs(call: Call) -> None:
    if "-x" in call.texts:
        call.run(call.args[call.texts.index("-x") + 1 :])


def _arch(call: Call) -> None:
    """On macOS it runs what follows for another architecture."""
    if rest := after_flags(call.args, ("-arch", "-e", "-d")):
        call.run(rest)


def _less(call: Call) -> None:
    if any(text.startswith("+") and {"!", "|", "#"} & set(text) for text in call.texts):
        call.found.unreadable(f"{call.name} runs commands of its own")


def _bat(call: Call) -> None:
    if call.texts[:1] == ["cache"]:
        call.changes()


def _alters_shell(call: Call) -> None:
    """Options of the shell that change how the text behind them is understood."""
    if "expand_aliases" in call.texts and "s" in call.letters:
        call.found.unreadable("has the shell read names as other commands")


_FURTHER: dict[str, Callable[[Call], None]] = {
    **dict.fromkeys(("uniq", "xxd"), _second_is_written),
    "date": _date,
    "hostname": _hostname,
    "ifconfig": _ifconfig,
    "rocm-smi": _rocm_smi,
    **dict.fromkeys(("export", "declare", "typeset", "local", "readonly"), _setter),
    "set": _lists_environment,
    "ps": _ps,
    "jq": _jq,
    "hash": _hash,
    "dc": _dc,
    **dict.fromkeys(("mapfile", "readarray"), _mapfile),
    "jobs": _jobs,
    "arch": _arch,
    **dict.fromkeys(("less", "more", "zless", "zmore"), _less),
    "bat": _bat,
    "shopt": _alters_shell,
}
