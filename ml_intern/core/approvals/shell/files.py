"""Rules for programs that work on files: what they delete, where they write, what they run on the way."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

from ml_intern.core.approvals.effects import Effect
from ml_intern.core.approvals.paths import is_directory
from ml_intern.core.approvals.shell.call import Call
from ml_intern.core.approvals.shell.expand import SOMETHING, Arg

Rule = Callable[[Call], None]

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

_WRITING_FLAGS = {
    "sort": ("-o", "--output"),
    "tree": ("-o",),
    "shuf": ("-o", "--output"),
    "iconv": ("-o", "--output"),
    "less": ("-o", "-O", "--log-file", "--LOG-FILE"),
}
_SECOND_IS_WRITTEN = frozenset({"uniq", "xxd"})
"""Programs whose second operand is a file that they make."""
_SEARCHERS = frozenset({"rg", "ag", "ack", "ripgrep"})
_NAMES_ONLY = frozenset(
    {"ls", "dir", "du", "df", "stat", "file", "tree", "exa", "test", "[", "[[", "realpath", "readlink"}
)
_RUNNING_FLAGS = {
    "rg": ("--pre", "--hostname-bin"),
    "fd": ("-x", "-X", "--exec", "--exec-batch"),
    "sort": ("--compress-program",),
}
_RUNNING_FLAGS["fdfind"] = _RUNNING_FLAGS["fd"]


_LONGEST_SED = 2000
_SETTERS = frozenset({"export", "declare", "typeset", "local", "readonly"})


def reader(call: Call) -> None:
    """A program that only looks, checked for the flags that make it write or run something."""
    call.reads()
    if flags := _WRITING_FLAGS.get(call.name):
        call.writes(call.value(*flags))
    if call.has(*_RUNNING_FLAGS.get(call.name, ())):
        call.changes()
        call.found.unreadable(f"{call.name} runs another program")
    if call.name in _SECOND_IS_WRITTEN:
        call.writes(call.operands("-f", "-s", "-w", "-c", "-l", "-o", "-g", "-n", "-R")[1:2])
    _look_for_secrets(call)
    if call.name in {"date", "hostname"} and (call.has("-s", "--set") or (call.name == "hostname" and call.operands())):
        call.found.add(Effect.OUTSIDE, "changes settings of this machine")
    if call.name in _SETTERS:
        for name, equals, value in (arg.text.partition("=") for arg in call.args):
            if equals:
                call.scope.variables[name] = (value,)
                call.sets(name, value)
    if call.name in {"set", "declare", "typeset", "export"} and (not call.args or call.texts in (["-p"], ["-x"])):
        call.found.add(Effect.CREDENTIALS, "lists the environment, secrets included")
    if call.name == "ps" and any(re.fullmatch(r"[a-zA-Z]*e[a-zA-Z]*", text) for text in call.texts[:1]):
        call.found.add(Effect.CREDENTIALS, "lists the environment of processes, secrets included")
    if call.name == "jq" and any(re.search(r"\$ENV\b|(?<![.\w\"])env\b(?!\s*:)", text) for text in call.texts):
        call.found.add(Effect.CREDENTIALS, "reads the environment, secrets included")
    if (call.name == "hash" and "p" in call.letters) or (call.name == "ifconfig" and len(call.operands()) > 1):
        call.found.unreadable("changes what programs do") if call.name == "hash" else call.found.add(
            Effect.OUTSIDE, "changes settings of this machine"
        )


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


def _rm(call: Call) -> None:
    call.removes(call.operands(), whole_trees=bool(set(call.letters) & set("rR")) or call.has("--recursive"))


def _rmdir(call: Call) -> None:
    call.writes(call.operands(), "removes the empty directory")


def _shred(call: Call) -> None:
    call.removes(call.operands("-n", "-s"), whole_trees=False, verb="overwrites")
    for target in call.operands("-n", "-s"):
        call.writes([target])


def _truncate(call: Call) -> None:
    targets = call.operands("-s", "--size", "-r", "--reference")
    call.writes(targets)
    for target in targets:
        call.destroys(f"cuts {target.shown}")


def _dd(call: Call) -> None:
    targets = [Arg(arg.text[3:], arg.glob) for arg in call.args if arg.text.startswith("of=")]
    call.writes(targets, "overwrites")
    for target in targets:
        if not target.text.startswith("/dev/null"):
            call.destroys(f"overwrites {target.shown}")
    call.reads()


def _makes(call: Call) -> None:
    targets = call.operands("-m", "--mode", "-d", "-r", "-t", "--date", "--reference")
    call.writes(targets, "makes")
    call.scope.made.update(place for target in targets for place in call.scope.places(target.text))
    call.reads()


def _target_of_copy(call: Call, *valued: str) -> tuple[list[Arg], list[Arg]]:
    """Sources and targets of `cp`, `mv`, `ln`, `install`, `rsync`."""
    operands = call.operands("-t", "--target-directory", "-S", "--suffix", *valued)
    if directory := call.value("-t", "--target-directory"):
        return operands, directory
    return operands[:-1], operands[-1:]


def _cp(call: Call) -> None:
    sources, targets = _target_of_copy(call, "-m", "-o", "-g")
    call.goes_through(sources)
    call.writes(targets)
    call.changes()


def _mv(call: Call) -> None:
    sources, targets = _target_of_copy(call)
    call.writes([*targets])
    call.changes()
    call.scope.moved_into += [place for target in targets for place in call.scope.places(target.text)]
    for target in targets:
        if target.text == "/dev/null":
            call.destroys(f"throws away {', '.join(source.shown for source in sources)}")
    for source in sources:
        for place in call.scope.places(source.text):
            around = call.scope.around
            if not around.inside(place):
                call.found.add(Effect.OUTSIDE, f"moves {place} away, which is outside the workspace")
                if place.parent == Path(place.anchor) or around.is_system(place):
                    call.found.add(Effect.CATASTROPHIC, f"moves {place} away")
            if around.home.is_relative_to(place) or around.workspace.is_relative_to(place):
                call.found.add(Effect.CATASTROPHIC, f"moves {place} away")


def _chmod(call: Call) -> None:
    operands = call.operands("--reference")
    targets = operands if call.has("--reference") else operands[1:]
    call.writes(targets, "changes who may use")
    if "R" in call.letters or call.has("--recursive"):
        for target in targets:
            fixed = target.text.rstrip("*") or "/"
            for place in call.scope.places(fixed):
                danger = call.scope.around.removal_danger(place)
                if danger and place != call.scope.around.workspace:
                    call.found.add(Effect.CATASTROPHIC, f"changes who may use {danger}")


def _tee(call: Call) -> None:
    call.writes(call.operands())
    call.reads()


def _sed(call: Call) -> None:
    scripts = call.value("-e", "--expression")
    operands = call.operands("-e", "-f", "--expression", "--file", "-l")
    if not scripts and not call.has("-f", "--file"):
        scripts, operands = operands[:1], operands[1:]
    if call.has("-f", "--file"):
        call.changes()
    if "i" in call.letters.split("e")[0] or call.has("--in-place"):
        call.writes(operands, "edits")
    call.reads()
    for script in scripts:
        if len(script.text) > _LONGEST_SED:
            call.found.unreadable("a long sed script")
            continue
        if re.search(r"(^|[;{}\n/0-9$])\s*e(\s|$)|s(.).*\2.*\2[a-zA-Z0-9]*e[a-zA-Z0-9]*\s*(;|$)", script.text):
            call.found.unreadable("sed runs what it finds")
        call.writes([Arg(name) for name in re.findall(r"(?:^|[;{}/\n])\s*[gpI]*w\s+(\S+)", script.text)])


def _awk(call: Call) -> None:
    call.reads()
    programs = call.operands("-F", "-v", "-f", "-i")[:1]
    if call.has("-f", "--file", "-i", "--include"):  # a program in a file
        call.changes()
    if "inplace" in call.texts:
        call.writes(call.operands("-F", "-v", "-f", "-i")[1:], "edits")
    for program in programs:
        if re.search(r"\bENVIRON\b(?!\s*\[\s*\"(?!\w*(?:TOKEN|KEY|SECRET|PASS))\w+\"\s*\])", program.text):
            call.found.add(Effect.CREDENTIALS, "reads the environment, secrets included")
        if re.search(r"\bprintf?\b[^;}\n]*>\s*[^\s\"=\d]", program.text):
            call.writes([Arg(SOMETHING)])
        for text in re.findall(r"\bsystem\s*\(\s*\"([^\"]*)\"", program.text):
            call.run_text(text)
        if re.search(r"\bsystem\s*\(|\|\s*&?\s*(getline|\"|')|\"\s*\|\s*getline|@load", program.text):
            call.found.unreadable("awk runs other programs")
        call.writes([Arg(name) for name in re.findall(r">\s*\"([^\"]+)\"", program.text)])


def _tar(call: Call) -> None:
    first = call.texts[0] if call.texts and not call.texts[0].startswith("-") else ""
    letters = call.letters + first
    if any(
        text.startswith(("--to-command", "--checkpoint-action", "--use-compress-program", "-I")) for text in call.texts
    ):
        call.found.unreadable("tar runs another program")
    call.reads()
    if "x" in letters or call.has("--extract", "--get"):
        call.changes()
        call.writes(call.value("-C", "--directory"))
    elif set(letters) & set("cru") or call.has("--create", "--append", "--update", "--delete"):
        call.goes_through(call.operands("-C", "--directory", "-f", "--file"))
        after = call.texts.index(first) + 1 if first and "f" in first else 0
        call.writes(call.args[after : after + 1] if after else call.value("-f", "--file") or call.bundled_value("f"))
    if call.has("--remove-files"):
        call.destroys("deletes the files it packs")


def _unpack(call: Call) -> None:
    call.changes()
    call.goes_through(call.operands("-d") if call.name in {"zip", "7z"} else ())
    call.writes(call.value("-d"))


def _ln(call: Call) -> None:
    sources, targets = _target_of_copy(call)
    call.writes(targets, "links")
    call.changes()
    if len(sources) == len(targets) == 1:
        leads_to = call.scope.places(sources[0].text)
        call.scope.links.update(dict.fromkeys(call.scope.places(targets[0].text), leads_to[0]) if leads_to else {})


def _rsync(call: Call) -> None:
    operands = call.operands(
        "-e", "--rsh", "--exclude", "--include", "--filter", "-f", "--files-from", "--exclude-from"
    )
    sources, targets = operands[:-1], operands[-1:]
    call.changes()
    call.goes_through(sources)
    for target in targets:
        if re.match(r"^[^/]+:|^rsync://", target.text):
            call.publishes(f"copies files to {target.shown}")
        elif call.name == "rsync" or not target.text.startswith("-"):
            call.writes([target])
    if any(text.startswith(("--del", "--remove-source-files")) for text in call.texts):
        call.removes(targets if "--remove-source-files" not in call.texts else sources, whole_trees=True)
    for shell in call.value("-e", "--rsh"):
        if shell.text.split()[:1] != ["ssh"]:
            call.run_text(shell.text)


def _find(call: Call) -> None:
    call.reads()
    start = next(
        (i for i, text in enumerate(call.texts) if text[:1] in {"-", "(", "!"} and text not in {"-L", "-H", "-P"}),
        len(call.args),
    )
    roots = [arg for arg in call.args[:start] if not arg.text.startswith("-")] or [Arg(".")]
    filtered = any(
        text.startswith(
            ("-name", "-iname", "-path", "-ipath", "-regex", "-iregex", "-empty", "-size", "-newer", "-mtime", "-mmin")
        )
        for text in call.texts
    )
    targets = [Arg(f"{root.text.rstrip('/') or ''}/{SOMETHING}") if filtered else root for root in roots]
    if "-delete" in call.texts:
        call.removes(targets, whole_trees=True)
    call.writes(
        [
            arg
            for flag in ("-fprint", "-fprintf", "-fls", "-fprint0")
            for arg in call.value(flag)[:1]
            if flag in call.texts
        ]
    )
    for index, text in enumerate(call.texts):
        if text in {"-exec", "-execdir", "-ok", "-okdir"}:
            end = next((i for i in range(index + 1, len(call.args)) if call.texts[i] in {";", "+"}), len(call.args))
            for target in targets:
                call.run([_filled(arg, target) for arg in call.args[index + 1 : end]])


def _filled(arg: Arg, target: Arg) -> Arg:
    return Arg(arg.text.replace("{}", target.text), arg.glob)


def _cd(call: Call) -> None:
    call.reads()
    operands = call.operands()
    text = operands[0].text if operands else call.scope.variables.get("HOME", ("",))[0]
    before = call.scope.cwds
    places = tuple(call.scope.places(text)) if text != "-" else ()
    # A change that fails leaves the rest to run where it was.
    sure = bool(places) and (is_directory(places[0]) or places[0] in call.scope.made)
    call.scope.cwds = places if sure or not places else (*places, *before)
    call.scope.variables["PWD"] = (str(places[0]),) if places else (SOMETHING,)


def _popd(call: Call) -> None:
    call.reads()
    call.scope.cwds = ()


def _wipes_disk(call: Call) -> None:
    looks = (call.name in {"fdisk", "sfdisk", "parted"} and call.has("-l", "--list")) or call.texts[:1] == ["list"]
    if looks or call.only_tells() or (call.name == "parted" and call.texts[1:] == ["print"]):
        call.reads()
        return
    call.found.add(Effect.CATASTROPHIC, f"changes disks with {call.name}")


def _git_like_patch(call: Call) -> None:
    call.changes()
    call.writes(call.value("-o", "-d", "--output", "--directory"))


RULES: dict[str, Rule] = {
    **dict.fromkeys(("rm", "unlink", "srm", "trash", "rmtrash"), _rm),
    **dict.fromkeys(("touch", "mkdir", "mkfifo", "mktemp"), _makes),
    **dict.fromkeys(("cp", "install", "gcp"), _cp),
    **dict.fromkeys(("chmod", "chown", "chgrp", "chattr", "setfacl"), _chmod),
    **dict.fromkeys(("awk", "gawk", "mawk", "nawk"), _awk),
    **dict.fromkeys(("tar", "gtar", "bsdtar"), _tar),
    **dict.fromkeys(("unzip", "7z", "gunzip", "gzip", "bzip2", "xz", "zstd", "zip", "unrar"), _unpack),
    **dict.fromkeys(("rsync", "scp"), _rsync),
    **dict.fromkeys(
        ("mkfs", "fdisk", "sfdisk", "parted", "wipefs", "mkswap", "diskutil", "cfdisk", "blkdiscard"), _wipes_disk
    ),
    **dict.fromkeys(("cd", "pushd", "chdir"), _cd),
    "rmdir": _rmdir,
    "shred": _shred,
    "truncate": _truncate,
    "dd": _dd,
    "mv": _mv,
    "tee": _tee,
    "sed": _sed,
    "ln": _ln,
    "find": _find,
    "popd": _popd,
    "patch": _git_like_patch,
}
