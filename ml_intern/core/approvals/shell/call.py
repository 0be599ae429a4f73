"""What the rules about single programs work with: the call, what is known around it, and what they find."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path

from ml_intern.core.approvals.effects import Effect
from ml_intern.core.approvals.paths import Surroundings, is_secret_path
from ml_intern.core.approvals.shell.environment import command_in, file_in, leads_astray, reaches_others
from ml_intern.core.approvals.shell.expand import SOMETHING, UNKNOWN, Arg

UNREADABLE = "runs text that cannot be read beforehand"
_MOST_REASONS = 8
_LONGEST_PATH = 1000
_WHERE_TOKENS_GO = frozenset({"HF_ENDPOINT", "HF_INFERENCE_ENDPOINT"})
_IS_TRUSTED = re.compile(r"(?:https://huggingface\.co|http://(?:localhost|127\.0\.0\.1|\[::1\])(?::\d+)?)(?:/|\Z)|\Z")
HIDDEN_CODE = re.compile(r"\w\[[^\]\n]{0,200}?(?:\$\(|`)")
"""The index of an array that runs something: a shell does so wherever it takes a text for a number or a name."""
_TELLTALE = re.compile(r"rm|shred|dd|wipefs|mkfs(?:\.\w+)?|sudo|doas|(?:ba|z|da|k)?sh|python[\d.]*|hf|huggingface-cli")
"""Programs that are not named for nothing behind another one that nobody knows."""
_TELLTALE_TEXT = re.compile(r"(?:^|[\s!;&|'\"({`])(rm\s+-[^'\"]*)")
_HARMLESS_DEVICES = ("/dev/null", "/dev/stdout", "/dev/stderr", "/dev/tty", "/dev/fd/", "/dev/full")


class Findings:
    """Effects found so far, and in words those that a person should hear of.

    Attributes:
        rents: Something is paid for by the hour, at a price that the command does not tell.
    """

    def __init__(self) -> None:
        self.effects: set[Effect] = set()
        self.reasons: dict[str, None] = {}
        self.rents = False

    def add(self, effect: Effect, reason: str = "") -> None:
        """Adds an effect; the reason is a phrase that goes on after "it …"."""
        self.effects.add(effect)
        if reason and len(self.reasons) < _MOST_REASONS:
            self.reasons[reason] = None

    def unreadable(self, what: str = "") -> None:
        """Something runs that nobody can judge now."""
        self.add(Effect.DESTROY, f"{UNREADABLE} ({what})" if what else UNREADABLE)


@dataclass(slots=True)
class Scope:
    """What is known where a command stands.

    Attributes:
        cwds: Directories it may run in, the likeliest first; empty when that is not known.
        variables: Values of variables; more than one for a loop.
        scripts: Files this command has written, with their text.
        fetched: Files it has downloaded.
        moved_into: Where it has moved things to.
        made: Directories it has made.
        links: Links it has made, and where they lead.
    """

    around: Surroundings
    cwds: tuple[Path, ...]
    variables: dict[str, tuple[str, ...]]
    scripts: dict[Path, str] = field(default_factory=dict)
    fetched: set[Path] = field(default_factory=set)
    moved_into: list[Path] = field(default_factory=list)
    made: set[Path] = field(default_factory=set)
    links: dict[Path, Path] = field(default_factory=dict)

    def places(self, text: str) -> list[Path]:
        """Paths that a text may mean; empty when that is not known."""
        if UNKNOWN in text or SOMETHING in text:
            return []
        if text.startswith("/"):
            return [self._followed(Path(os.path.normpath(text)))]
        return [self._followed(Path(os.path.normpath(cwd / text))) for cwd in self.cwds]

    def _followed(self, path: Path) -> Path:
        """A path below a link that the command itself makes: nobody else can follow that one yet."""
        for link, target in self.links.items():
            if path != link and path.is_relative_to(link):
                return target / path.relative_to(link)
        return path


@dataclass(slots=True)
class Call:
    """One call of a program.

    Attributes:
        name: The program, without its directory.
        args: Its arguments.
        piped: Its input comes from another command.
        stdin: The text of its input, where it is known.
        run: Judges another call inside this one, given as words.
        run_text: Judges shell text inside this one.
    """

    name: str
    args: list[Arg]
    scope: Scope
    found: Findings
    piped: bool
    stdin: str | None
    run: Callable[[list[Arg]], None]
    run_text: Callable[[str], None]

    # ------------------------------------------------------------------------------------------------- arguments

    @property
    def texts(self) -> list[str]:
        """The arguments as text."""
        return [arg.text for arg in self.args]

    @property
    def letters(self) -> str:
        """All single-letter flags, `-rf` as `rf`."""
        return "".join(text[1:] for text in self.before_dashes() if text[:1] == "-" and text[1:2] not in {"", "-"})

    def has(self, *flags: str) -> bool:
        """Whether one of these flags is there, `--flag=value` included. A long one may be abbreviated as GNU allows."""
        for text in self.before_dashes():
            name = text.partition("=")[0]
            if name in flags:
                return True
            if name.startswith("--") and len(name) > 4 and any(flag.startswith(name) for flag in flags):
                return True
        return False

    def only_tells(self) -> bool:
        """Whether the program is only asked what it is. Behind anything else such a flag belongs to what it runs."""
        return self.texts[:1] in (["--version"], ["--help"])

    def value(self, *flags: str) -> list[Arg]:
        """The values of these options, given as `-o x`, `-ox`, `--opt x` or `--opt=x`."""
        values: list[Arg] = []
        for index, arg in enumerate(self.args):
            for flag in flags:
                if arg.text == flag:
                    values += self.args[index + 1 : index + 2]
                elif flag.startswith("--") and arg.text.startswith(flag + "="):
                    values.append(Arg(arg.text[len(flag) + 1 :], arg.glob))
                elif not flag.startswith("--") and arg.text.startswith(flag) and not arg.text.startswith("--"):
                    values.append(Arg(arg.text[len(flag) :], arg.glob))
        return values

    def bundled_value(self, letter: str) -> list[Arg]:
        """The value of a flag that ends a bundle of letters, as `f` in `-czf name`."""
        for index, text in enumerate(self.texts):
            if re.fullmatch(rf"-[a-zA-Z]+{letter}", text):
                return self.args[index + 1 : index + 2]
        return []

    def operands(self, *valued: str) -> list[Arg]:
        """Arguments that are no flags. `valued` names the flags whose value is an argument of its own."""
        found: list[Arg] = []
        rest = iter(self.args)
        for arg in rest:
            if arg.text == "--":
                return [*found, *rest]
            if arg.text in valued:
                next(rest, None)
            elif not arg.text.startswith("-") or arg.text == "-":
                found.append(arg)
        return found

    def before_dashes(self) -> list[str]:
        texts = self.texts
        return texts[: texts.index("--")] if "--" in texts else texts

    # --------------------------------------------------------------------------------------------------- effects

    def reads(self) -> None:
        """It only looks."""
        self.found.add(Effect.READ)

    def changes(self) -> None:
        """It may change things where it runs."""
        self.found.add(Effect.CHANGE)
        cwd = self.scope.cwds[0] if self.scope.cwds else None
        if cwd is None:
            self.found.add(Effect.OUTSIDE, "runs in a directory that is not known beforehand")
        elif not self.scope.around.inside(cwd):
            self.found.add(Effect.OUTSIDE, f"runs in {cwd}, outside the workspace")

    def destroys(self, reason: str) -> None:
        """It deletes or overwrites."""
        self.found.add(Effect.DESTROY, reason)

    def publishes(self, reason: str) -> None:
        """It sends something to others."""
        self.found.add(Effect.PUBLISH, reason)

    def rents(self, reason: str) -> None:
        """It starts something that is paid for by the hour."""
        self.found.add(Effect.COMPUTE, reason)
        self.found.rents = True

    def writes(self, targets: Iterable[Arg], verb: str = "writes") -> None:
        """It makes or changes these files."""
        for target in targets:
            self._write(target, verb)

    def _write(self, target: Arg, verb: str) -> None:
        text, found = target.text, self.found
        if text in {"", "-"} or text.startswith(_HARMLESS_DEVICES):
            found.add(Effect.READ)
            return
        found.add(Effect.CHANGE)
        if text.startswith(("/dev/tcp/", "/dev/udp/")):
            found.add(Effect.PUBLISH, f"opens a connection to {target.shown[9:]}")
        elif text.startswith(("/dev/sd", "/dev/nvme", "/dev/disk", "/dev/hd", "/dev/vd", "/dev/mapper", "/dev/mem")):
            found.add(Effect.CATASTROPHIC, f"writes over the disk {target.shown}")
        elif text == "/proc/sysrq-trigger":
            found.add(Effect.CATASTROPHIC, "stops or restarts this machine")
        else:
            self._write_file(target, verb)

    def _write_file(self, target: Arg, verb: str) -> None:
        # With an unknown part in the middle the beginning still tells where it goes.
        known = target.text.partition(UNKNOWN)[0].partition(SOMETHING)[0]
        places = self.scope.places(known) if known and ".." not in target.text[len(known) :] else []
        if not places:
            where = "a place that is not known beforehand"
            self.found.add(Effect.OUTSIDE, f"{verb} {target.shown}, {where}" if target.known else f"{verb} to {where}")
        for place in places:
            if not self.scope.around.inside(place):
                self.found.add(Effect.OUTSIDE, f"{verb} {place}, outside the workspace")
            elif ".git" in place.parts:
                self.found.add(Effect.OUTSIDE, f"{verb} git's own files, which can make it run programs")
            if self.scope.around.starts_by_itself(place):
                self.found.add(Effect.SCHEDULE, f"{verb} {place}, which sets up something that runs by itself")

    def goes_through(self, targets: Iterable[Arg]) -> None:
        """It looks into everything that is in and below these."""
        for target in targets:
            folder, _, pattern = target.text.rpartition("/") if target.glob else (target.text, "", "")
            if target.known and any(self.scope.around.keeps_secrets(at, pattern) for at in self.scope.places(folder)):
                self.found.add(Effect.CREDENTIALS, f"goes through {target.shown}, where secrets are kept")

    def may_run_words(self) -> None:
        """It may run what its arguments name, as wrappers and programs with a language of their own do."""
        for index, arg in enumerate(self.args):
            if index + 1 < len(self.args) and _TELLTALE.fullmatch(arg.text.rpartition("/")[2]):
                self.run(self.args[index:])
                return
            if found := _TELLTALE_TEXT.search(arg.text[:_LONGEST_PATH]):
                self.run_text(found[1])

    def sets(self, name: str, value: str, *, for_others: bool = True) -> None:
        """A variable is set. `for_others`: for what it runs, not for the shell alone."""
        if name in _WHERE_TOKENS_GO and not _IS_TRUSTED.match(value):
            self.found.add(Effect.CREDENTIALS, f"sends the Hub token to another host ({Arg(value).shown})")
        if HIDDEN_CODE.search(value):
            self.found.unreadable(f"the value of {name} runs something where it is counted with")
        if command := command_in(name, value):
            self.run_text(command)
        if not for_others and not reaches_others(name):
            return
        if file := file_in(name, value):
            self.writes([Arg(file)])
        if leads_astray(name, value):
            self.found.add(Effect.CHANGE)

    def touches_secret(self, arg: Arg) -> bool:
        """Notes an argument that names secrets, also inside `--file=x`, `@x` or `x:y`."""
        if len(arg.text) > _LONGEST_PATH or "\n" in arg.text:
            return False
        for part in {arg.text, *arg.text.replace("@", "=").replace(":", "=").split("=")}:
            secret = bool(part) and is_secret_path(part)
            places = self.scope.places(part) if part and (secret or arg.text == part) else []
            if any(self.scope.around.secret(place) for place in places) or (secret and not places):
                self.found.add(Effect.CREDENTIALS, f"touches secrets ({Arg(part).shown})")
                return True
        return False

    def removes(self, targets: Iterable[Arg], *, whole_trees: bool, verb: str = "deletes") -> None:
        """It deletes these, or what is as bad."""
        for target in targets:
            self.destroys(f"{verb} {target.shown}")
            variants = {target.text}
            if UNKNOWN in target.text:
                variants.add(target.text.replace(UNKNOWN, ""))  # what is left when a variable is not set
            for text in variants:
                self._remove(text, whole_trees=whole_trees, verb=verb)

    def _remove(self, text: str, *, whole_trees: bool, verb: str) -> None:
        known, sweeping = _fixed_part(text)
        if not known:
            return
        for base in self.scope.places(known):
            place = base if sweeping or known == text else base / "…"
            if whole_trees and (danger := self.scope.around.removal_danger(place)):
                self.found.add(Effect.CATASTROPHIC, f"{verb} {danger}")
            elif whole_trees and any(moved.is_relative_to(place) for moved in self.scope.moved_into):
                self.found.add(Effect.CATASTROPHIC, f"{verb} {place}, into which it has just moved files")
            elif not self.scope.around.inside(place):
                self.found.add(Effect.OUTSIDE, f"{verb} {place}, outside the workspace")
                if self.scope.around.is_system(place):
                    self.found.add(Effect.CATASTROPHIC, f"{verb} {place}, which belongs to the system")


def _fixed_part(text: str) -> tuple[str, bool]:
    """The part of a path before its first open component, and whether that component stands for everything there."""
    parts = text.split("/")
    for index, part in enumerate(parts):
        if set(part) & {"*", "?", "[", UNKNOWN, SOMETHING}:
            fixed = "/".join(parts[:index]) or ("/" if text.startswith("/") else ".")
            everything = not set(part) - set("*?.") and "*" in part
            if index == 0 and set(part) & {UNKNOWN, SOMETHING}:
                return "", False  # it may begin anywhere
            return fixed, everything
    return text, True
