"""Rules for programs that work on files: what they delete, where they write, what they run on the way."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

from ml_intern.core.approvals.effects import Effect
from ml_intern.core.approvals.paths import is_directory
from ml_intern.core.approvals.shell.call import Call
from ml_intern.core.approvals.shell.expand import SOMETHING, Arg
from ml_intern.core.approvals.shell.options import Flags, judge_flags, may_hold_flags, values_of
from ml_intern.core.approvals.shell.scripts import awk_deeds, sed_deeds

Rule = Callable[[Call], None]

_LONGEST_SED = 2000
_LONGEST_AWK = 8000


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
    if call.stdin is not None:
        places = [place for target in call.operands() for place in call.scope.places(target.text)]
        call.scope.scripts.update(dict.fromkeys(places, call.stdin))
    call.reads()


def _sed(call: Call) -> None:
    call.reads()
    scripts = list(values_of(call, ("-e", "--expression"), "fl"))
    operands = call.operands("-e", "-f", "--expression", "--file", "-l")
    from_file = any(values_of(call, ("-f", "--file"), "el"))
    if not scripts and not from_file:
        scripts, operands = operands[:1], operands[1:]
    if from_file or may_hold_flags(call):
        call.changes()
    if any(values_of(call, ("-i", "--in-place"), "efl")):
        call.writes(operands, "edits")
    text = "\n".join(script.text for script in scripts)
    if len(text) > _LONGEST_SED:
        call.found.unreadable("a long sed script")
        return
    deeds = sed_deeds(text)
    if deeds.odd:
        call.changes()
    if deeds.runs:
        call.found.unreadable("sed runs what it finds")
    call.writes([Arg(name) for name in deeds.writes])


_AWK = Flags(
    writes=("-o", "-p", "-d", "--pretty-print", "--profile", "--dump-variables"),
    changes=("-f", "--file", "-i", "--include", "-E", "--exec", "-l", "--load", "-D", "--debug", "-W"),
    valued="Fve",
)


def _awk(call: Call) -> None:
    call.reads()
    judge_flags(call, _AWK)
    operands = call.operands("-F", "-v", "-f", "-i", "-e", "-l", "-E", "--source", "--file", "--include")
    if any("inplace" in text for text in call.texts):
        call.writes(operands[1:], "edits")
    programs = [*values_of(call, ("-e", "--source"), "Fvfil"), *operands[:1]]
    for program in programs:
        _awk_program(call, program.text)


def _awk_program(call: Call, program: str) -> None:
    if re.search(r"\bENVIRON\b(?!\s*\[\s*\"(?!\w*(?:TOKEN|KEY|SECRET|PASS))\w+\"\s*\])", program):
        call.found.add(Effect.CREDENTIALS, "reads the environment, secrets included")
    for text in re.findall(r"\bsystem\s*\(\s*\"([^\"]*)\"", program):
        call.run_text(text)
    if len(program) > _LONGEST_AWK:
        call.found.unreadable("a long awk program")
        return
    deeds = awk_deeds(program)
    if deeds.runs:
        call.found.unreadable("awk runs other programs")
    call.writes([Arg(name) for name in deeds.writes])
    if "/inet" in program:
        call.publishes("opens a connection to other machines (awk)")


_TAR = Flags(
    writes=("--index-file", "-g", "--listed-incremental"),
    runs=(
        "-I", "--use-compress-program", "--to-command", "--checkpoint-action", "--rsh-command", "--rmt-command", "-F",
        "--info-script", "--new-volume-script",
    ),
    changes=("-A", "--concatenate", "--catenate"),
    valued="bCfHKLNTVX",
    others=("--list",),
)  # fmt: skip


def _tar(call: Call) -> None:
    first = call.texts[0] if call.texts and not call.texts[0].startswith("-") else ""
    letters = call.letters + first
    call.reads()
    judge_flags(call, _TAR)
    if set("IFg") & set(first):
        call.found.unreadable("tar runs another program")
    if "x" in letters or call.has("--extract", "--get"):
        call.changes()
        call.writes(call.value("-C", "--directory"))
    elif set(letters) & set("cru") or call.has("--create", "--append", "--update", "--delete"):
        call.goes_through(call.operands("-C", "--directory", "-f", "--file"))
        call.writes(_archive(call, first))
    elif "A" in first:
        call.changes()
    if any(re.match(r"[^/]+:", archive.text) for archive in _archive(call, first)) and not call.has("--force-local"):
        call.found.add(Effect.OUTSIDE, "acts on another machine")
    if call.has("--remove-files"):
        call.destroys("deletes the files it packs")


def _archive(call: Call, first: str) -> list[Arg]:
    """The archive: behind the letters without a dash, or the value of `-f`."""
    if "f" in first:
        return call.args[1:2]
    return call.value("-f", "--file") or call.bundled_value("f")


def _unpack(call: Call) -> None:
    call.changes()
    call.goes_through(call.operands("-d") if call.name in {"zip", "7z"} else ())
    call.writes(call.value("-o" if call.name == "7z" else "-d"))
    for text in call.value("-TT", "--unzip-command") if call.name == "zip" else ():
        call.run_text(text.text)


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
    if may_hold_flags(call):
        call.changes()
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
            if (
                not filtered
                and end > index + 1
                and call.texts[index + 1].rpartition("/")[2] in {"rm", "shred", "unlink"}
            ):
                call.removes(targets, whole_trees=True)
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
