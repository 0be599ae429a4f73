"""Rules for git: what it only shows, what it throws away, what it sends to others, and what it runs."""

from __future__ import annotations

import re
from dataclasses import replace

from ml_intern.core.approvals.effects import Effect
from ml_intern.core.approvals.paths import is_directory, is_file
from ml_intern.core.approvals.shell.call import Call
from ml_intern.core.approvals.shell.expand import Arg
from ml_intern.core.approvals.shell.options import Flags, judge_flags, may_hold_flags, values_of

_READING = frozenset(
    """
    status log diff show rev-parse ls-files ls-tree ls-remote blame annotate describe shortlog grep cat-file name-rev
    merge-base rev-list for-each-ref count-objects fsck check-ignore check-attr help version whatchanged diff-tree
    diff-index diff-files show-ref show-branch var cherry range-diff verify-commit verify-tag --version --help
    """.split()  # noqa: SIM905 - words read better than as many quotes
)
_RUNS_VALUE = re.compile(
    r"(?i)^(?:alias\.|core\.(?:sshcommand|pager|editor|fsmonitor|hookspath|askpass|gitproxy)|sequence\.editor|pager\."
    r"|credential\.|diff\.external|diff\..*\.(?:command|textconv)|filter\.|merge\..*\.driver|gpg\.|uploadpack\."
    r"|receive\.|protocol\.|remote\..*\.(?:uploadpack|receivepack))"
)
_HARMLESS_SETTING = re.compile(
    r"(?i)(?:color|advice|column|i18n|blame|log|grep|user|author|committer|safe)\.[\w.]+$"
    r"|core\.(?:quotepath|abbrev|autocrlf|ignorecase|precomposeunicode|longpaths)$|diff\.(?!external)\w+$"
    r"|(?:commit|tag)\.gpgsign$|init\.defaultbranch$|http\.(?:version|postbuffer|lowspeed\w+)$|merge\.\w+$"
)
"""Settings that only change what git prints, or whom it names."""
_READ = Flags(
    writes=("--output",), runs=("--ext-diff", "--upload-pack", "--exec"), changes=("--lost-found",), valued="nSGLlUX"
)
_GREP = Flags(runs=("-O", "--open-files-in-pager"), valued="efABCm")
_LISTS = frozenset(
    """
    list show-current contains no-contains merged no-merged sort format points-at column no-column color no-color abbrev
    no-abbrev ignore-case all remotes verbose
    """.split()  # noqa: SIM905 - words read better than as many quotes
)
"""Flags with which branches and tags are listed."""
_ASKS = frozenset(
    """
    get get-all get-regexp get-urlmatch list show-origin show-scope name-only null global system local worktree file
    blob type bool int path includes no-includes default all regexp value fixed-value url show-names
    """.split()  # noqa: SIM905 - words read better than as many quotes
)
"""Flags with which settings are shown."""


def judge_git(call: Call) -> None:
    """Judges one call of git."""
    args, settings, directory = _global_options(call.args)
    for setting in settings:
        name, _, value = setting.partition("=")
        if (Arg(name).known and value in {"", "cat", "false"}) or _HARMLESS_SETTING.match(name):
            continue
        if _RUNS_VALUE.match(name):
            _run_setting(call, name, value)
        call.changes()
    if directory is not None:
        places = tuple(call.scope.places(directory.text))
        call = replace(call, scope=replace(call.scope, cwds=places))
    if not args:
        call.reads()
        return
    inner = replace(call, args=args[1:])
    _subcommand(inner, args[0].text)


def _run_setting(call: Call, name: str, value: str) -> None:
    """A setting whose value git runs: an alias without `!` is a command of git's own."""
    own = name.lower().startswith("alias.") and not value.startswith("!")
    call.run_text(f"git {value}" if own else value.removeprefix("!"))


def _global_options(args: list[Arg]) -> tuple[list[Arg], list[str], Arg | None]:
    """The subcommand and its arguments, settings given with `-c`, and the directory given with `-C`."""
    settings: list[str] = []
    directory: Arg | None = None
    index = 0
    while index < len(args) and args[index].text.startswith("-"):
        text = args[index].text
        if text in {"--version", "--help"}:
            break
        following = args[index + 1] if index + 1 < len(args) else None
        if text in {"-c", "-C", "--git-dir", "--work-tree", "--namespace", "--exec-path", "--config-env"} and following:
            if text == "-c":
                settings.append(following.text)
            elif text in {"-C", "--git-dir", "--work-tree"}:
                directory = following
            if text not in {"-c", "-C", "--namespace"}:
                settings.append(f"{text}=…")
            index += 1
        elif text.startswith(("--git-dir=", "--work-tree=", "--exec-path=", "--config-env=")):
            directory = Arg(text.partition("=")[2]) if text[2] in "gw" else directory
            settings.append(text)
        index += 1
    return args[index:], settings, directory


def _subcommand(call: Call, name: str) -> None:
    if name in _READING:
        _read(call, _GREP if name == "grep" else _READ)
        if name == "ls-remote":
            _asks_remote(call)
    elif rule := _RULES.get(name):
        rule(call)
    else:
        call.changes()


def _read(call: Call, flags: Flags = _READ) -> None:
    call.reads()
    judge_flags(call, flags)


def _asks_remote(call: Call) -> None:
    for address in call.operands()[:1]:
        if address.text.startswith("ext::"):
            call.run_text(address.text[5:])
            call.found.unreadable("git runs another program")
        elif not address.known:
            call.publishes("sends data inside an address")


def _push(call: Call) -> None:
    call.publishes("pushes commits to a remote repository")
    texts = call.texts
    forced = call.has("--force", "--force-with-lease", "--mirror", "--delete", "--prune") or set("fd") & set(
        call.letters
    )
    if forced or any(text.startswith(("+", ":")) for text in texts):
        call.destroys("overwrites or deletes branches of a remote repository")
    if call.has("--mirror") or (call.has("--all", "--branches") and forced):
        call.found.add(Effect.CATASTROPHIC, "overwrites every branch of a remote repository")


def _reset(call: Call) -> None:
    call.changes()
    if call.has("--hard", "--merge", "--keep"):
        call.destroys("throws away changes that are not committed")


def _clean(call: Call) -> None:
    call.changes()
    if call.has("--dry-run") or "n" in call.letters:
        call.reads()
    else:
        call.destroys("deletes files that git does not know")


def _checkout(call: Call) -> None:
    call.changes()
    operands = [arg.text for arg in call.operands("-b", "-B", "--orphan")]
    forced = call.has("--force", "--discard-changes") or "f" in call.letters
    if forced or "--" in call.texts or "." in operands or any(_names_file(call, text) for text in operands):
        call.destroys("throws away changes that are not committed")


def _names_file(call: Call, text: str) -> bool:
    """Whether the operand of a checkout is a path and no branch."""
    return text.endswith(".py") or any(is_file(place) or is_directory(place) for place in call.scope.places(text))


def _restore(call: Call) -> None:
    call.changes()
    if not call.has("--staged") or call.has("--worktree") or "W" in call.letters:
        call.destroys("throws away changes that are not committed")


def _branch(call: Call) -> None:
    if set("dD") & set(call.letters) or call.has("--delete"):
        call.changes()
        if "D" in call.letters or call.has("--force"):
            call.destroys("deletes a branch")
    elif _only_lists(call, "arvliq", "list", "show-current", "contains", "merged", "no-merged"):
        call.reads()
    else:
        call.changes()


def _only_lists(call: Call, letters: str, *listing: str) -> bool:
    """Whether branches or tags are listed: no flag does anything else, and what is named is not made."""
    long = {text[2:].partition("=")[0] for text in call.texts if text.startswith("--")}
    if may_hold_flags(call) or long - _LISTS or set(re.sub(r"\d", "", call.letters)) - set(letters):
        return False
    return bool(long & set(listing)) or "l" in call.letters or not call.operands()


def _tag(call: Call) -> None:
    if "d" in call.letters or call.has("--delete"):
        call.destroys("deletes a tag")
    elif _only_lists(call, "lni", "list", "contains", "merged", "no-merged", "points-at"):
        call.reads()
    else:
        call.changes()


def _stash(call: Call) -> None:
    first = (call.texts or ["push"])[0]
    if first in {"drop", "clear"}:
        call.destroys("deletes stashed changes")
    elif first in {"list", "show"}:
        _read(call)
    else:
        call.changes()


def _remote(call: Call) -> None:
    first = (call.operands() or [Arg("show")])[0].text
    if first in {"show", "get-url"}:
        call.reads()
    else:
        call.changes()


def _config(call: Call) -> None:
    operands = call.operands("-f", "--file", "--type")
    texts = [arg.text for arg in operands]
    long = {text[2:].partition("=")[0] for text in call.texts if text.startswith("--")}
    asks = not (long - _ASKS or set(call.letters) - set("lzf") or may_hold_flags(call))
    named = long & {"get", "get-all", "get-regexp", "get-urlmatch", "list"} or "l" in call.letters
    if asks and (named or texts[:1] in (["get"], ["list"]) or (len(texts) < 2 and texts[:1] != ["edit"])):
        call.reads()
        return
    names = texts[1:] if texts[:1] in (["set"], ["unset"]) else texts
    call.changes()
    call.writes(values_of(call, ("-f", "--file")))
    if call.has("--global", "--system"):
        call.found.add(Effect.OUTSIDE, "changes git's settings for the whole account")
    if len(names) > 1 and _RUNS_VALUE.match(names[0]):
        _run_setting(call, names[0], names[1])


def _reflog(call: Call) -> None:
    if call.texts[:1] in (["expire"], ["delete"], ["drop"]):
        call.destroys("deletes the record of earlier states")
    else:
        _read(call)


def _gc(call: Call) -> None:
    call.changes()
    if any(text.startswith("--prune") for text in call.texts):
        call.destroys("deletes objects that no branch holds")


def _rewrites(call: Call) -> None:
    call.destroys("rewrites the history")
    for index, text in enumerate(call.texts):
        if text.endswith("-filter") and index + 1 < len(call.args):
            call.run_text(call.texts[index + 1])


def _removes(call: Call) -> None:
    call.changes()
    if "f" in call.letters or call.has("--force"):
        call.removes(call.operands(), whole_trees="r" in call.letters)


def _worktree(call: Call) -> None:
    if call.texts[:1] == ["list"]:
        call.reads()
        return
    call.changes()
    if call.texts[:1] == ["remove"]:
        call.removes(call.operands()[1:], whole_trees=True)
    elif call.texts[:1] == ["add"]:
        call.writes(call.operands("-b", "-B")[1:2], "makes")


def _runs_shell(call: Call) -> None:
    """`rebase --exec`, `bisect run`, `submodule foreach`: shell text as an argument."""
    call.changes()
    for text in call.value("-x", "--exec"):
        call.run_text(text.text)
    for word in ("run", "foreach"):
        if word in call.texts:
            rest = [arg for arg in call.args[call.texts.index(word) + 1 :] if not arg.text.startswith("--")]
            call.run_text(" ".join(arg.text for arg in rest))


def _clone(call: Call) -> None:
    call.changes()
    call.writes(
        call.operands("-b", "--branch", "--depth", "-o", "--origin", "-c", "--config", "--filter", "-j")[1:2], "makes"
    )
    for operand in call.operands("-b", "--branch", "--depth")[:1]:
        if operand.text.startswith("ext::"):
            call.run_text(operand.text[5:])
        name = operand.text.rstrip("/").removesuffix(".git").rpartition("/")[2]
        call.scope.made.update(call.scope.places(name))


def _credential(call: Call) -> None:
    call.found.add(Effect.CREDENTIALS, "shows or changes stored credentials")


def _lfs(call: Call) -> None:
    call.changes()
    if "push" in call.texts:
        call.publishes("pushes large files to a remote repository")


def _puts_back(call: Call) -> None:
    """`read-tree` and `checkout-index`: what stands under `checkout` and `reset`."""
    call.changes()
    if call.has("--reset", "--force", "-f"):
        call.destroys("throws away changes that are not committed")


def _serves(call: Call) -> None:
    call.publishes("serves repositories to the network")


def _notes_like(call: Call) -> None:
    call.publishes("sends commits to others")


_RULES = {
    "push": _push,
    "reset": _reset,
    "clean": _clean,
    "checkout": _checkout,
    "switch": _checkout,
    "restore": _restore,
    "branch": _branch,
    "tag": _tag,
    "stash": _stash,
    "remote": _remote,
    "config": _config,
    "reflog": _reflog,
    "gc": _gc,
    "prune": _rewrites,
    "filter-branch": _rewrites,
    "filter-repo": _rewrites,
    "update-ref": _rewrites,
    "replace": _rewrites,
    "rm": _removes,
    "worktree": _worktree,
    "rebase": _runs_shell,
    "bisect": _runs_shell,
    "submodule": _runs_shell,
    "clone": _clone,
    "credential": _credential,
    "credential-store": _credential,
    "lfs": _lfs,
    "read-tree": _puts_back,
    "checkout-index": _puts_back,
    **dict.fromkeys(("daemon", "instaweb", "http-backend"), _serves),
    "send-email": _notes_like,
    "svn": _notes_like,
    "request-pull": _notes_like,
}
