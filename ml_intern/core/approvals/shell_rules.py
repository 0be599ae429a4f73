"""What a shell command would do, judged from its text before it runs.

Every command in the text is found, wherever it hides (substitutions, here-documents, `bash -c`, `xargs`, scripts that
are written or run on the way), and judged by the rule for its program. What cannot be read beforehand is asked about.
This is a guard against accidents and careless texts, no wall against somebody who wants to get round it.
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from ml_intern.core.approvals.effects import Assessment, Cost, Effect
from ml_intern.core.approvals.paths import Surroundings, is_file
from ml_intern.core.approvals.shell import files, interpreters, programs, services, transfers, wrappers
from ml_intern.core.approvals.shell.call import Call, Findings, Scope
from ml_intern.core.approvals.shell.code import is_secret_name, judge_program
from ml_intern.core.approvals.shell.expand import SOMETHING, UNKNOWN, Arg, assigned_text, expand, joined_text
from ml_intern.core.approvals.shell.files import Rule
from ml_intern.core.approvals.shell.readers import READERS, reader
from ml_intern.core.approvals.shell.syntax import Command, parse
from ml_intern.core.approvals.shell.tokens import Redirect, ShellSyntaxError, Variable, Word, code_in
from ml_intern.core.display import TextBlock

_RULES: dict[str, Rule] = {
    **files.RULES,
    **interpreters.RULES,
    **wrappers.RULES,
    **programs.RULES,
    **services.RULES,
    **transfers.RULES,
}
_DEEPEST = 12
_MOST_ROUNDS = 200
_UNPRICED = Cost(None, "the command does not tell what it costs")
_FORK_BOMB = re.compile(r"(?<![\w:.])([\w:.]{1,64})\(\)\{[^}]{0,200}\1\|\1")
_WRITES_INTO = frozenset({">", ">>", ">|", "&>", "&>>", "<>", ">&"})
_TRUNCATES = frozenset({">", ">|", "&>"})
_TESTS = frozenset({"[", "[[", "test"})
_SPEAKS = frozenset({"echo", "printf"})


def assess_command(
    command: str, *, workspace: Path, cwd: Path, home: Path, env: Mapping[str, str] | None = None
) -> Assessment:
    """Judges a shell command.

    Args:
        command: The text as for `bash -c`.
        workspace: Where the agent may work.
        cwd: Where the command would run.
        home: The person's home directory.
        env: The environment it would run in; from it only the values that are paths are used.
    """
    walker = _walker(workspace, cwd, home, env or {})
    try:
        walker.text(command)
    except RecursionError:
        walker.found.unreadable("nested too deep")
    return _assessment(walker.found, command, "bash")


def assess_program(code: str, *, workspace: Path, cwd: Path, home: Path) -> Assessment:
    """Judges the text of a Python program as it is judged when a command runs it from a file."""
    walker = _walker(workspace, cwd, home, {})
    walker.program(code)
    return _assessment(walker.found, code, "python")


def _walker(workspace: Path, cwd: Path, home: Path, env: Mapping[str, str]) -> _Walker:
    around = Surroundings.of(workspace, home)
    variables: dict[str, tuple[str, ...]] = {
        **{name: (value,) for name, value in env.items() if _is_plain_path(name, value)},
        "HOME": (str(home),),
        "PWD": (str(cwd),),
        "IFS": (" ",),
        "TMPDIR": (tempfile.gettempdir(),),
        "WORKSPACE\0": (str(workspace),),
    }
    return _Walker(Scope(around, (cwd,), variables), Findings())


def _assessment(found: Findings, text: str, language: str) -> Assessment:
    effects = found.effects - {Effect.READ} if len(found.effects) > 1 else found.effects
    return Assessment(
        effects=frozenset(effects or {Effect.READ}),
        reasons=tuple(found.reasons),
        cost=_UNPRICED if found.rents else Cost(),
        subject=text,
        display=(TextBlock(text=text, language=language),),
    )


class _Walker:
    """Goes through shell text command by command, keeping what each leaves behind for the next."""

    def __init__(self, scope: Scope, found: Findings, depth: int = 0) -> None:
        self.scope = scope
        self.found = found
        self._depth = depth

    def text(self, text: str) -> None:
        """Judges shell text that runs here."""
        if self._depth > _DEEPEST:
            self.found.unreadable("nested too deep")
            return
        if _FORK_BOMB.search(re.sub(r"\s", "", text)):
            self.found.add(Effect.CATASTROPHIC, "starts itself again and again until the machine stops")
        try:
            commands = parse(text)
        except ShellSyntaxError as error:
            self.found.unreadable(str(error))
            return
        outer: list[Scope] = []
        for command in commands:
            if isinstance(command, Command):
                self._command(command)
            elif command.begins:
                outer.append(self.scope)
                self.scope = replace(self.scope, variables=dict(self.scope.variables))
            elif outer:
                self.scope = outer.pop()

    def program(self, code: str) -> None:
        """Judges a Python program that runs here."""
        judge_program(self._describe([Arg("python")]), code)

    def _inner(self, text: str) -> None:
        """Judges text that runs in a shell of its own."""
        scope = replace(self.scope, variables=dict(self.scope.variables))
        _Walker(scope, self.found, self._depth + 1).text(text)

    # ---------------------------------------------------------------------------------------------- one command

    def _command(self, command: Command) -> None:
        for word in self._all_words(command):
            for source in code_in(word):
                self._inner(source)
        if command.loop:
            self._loop(*command.loop)
        args = [arg for word in command.words for arg in expand(word, self.scope.variables)]
        self._secret_variables(command, args)
        self._assign(command, bare=not args)
        self._redirect(command, args)
        if args:
            self._call(args, piped=command.piped, stdin=self._stdin(command))
        else:
            self.found.add(Effect.READ)

    @staticmethod
    def _all_words(command: Command) -> list[Word]:
        words = [*command.words, *(word for _, word in command.assignments)]
        words += [redirect.target for redirect in command.redirects]
        return words + (command.loop[1] if command.loop else [])

    def _loop(self, name: str, words: list[Word]) -> None:
        values = [arg.text for word in words for arg in expand(word, self.scope.variables)]
        # A loop variable is never empty: nothing would be looped over.
        known = tuple(value.replace(UNKNOWN, SOMETHING) for value in values[:_MOST_ROUNDS])
        if len(values) > _MOST_ROUNDS:
            known = (*known, SOMETHING)
        self.scope.variables[name] = known or (SOMETHING,)

    def _secret_variables(self, command: Command, args: list[Arg]) -> None:
        if args and args[0].text in _TESTS:
            return
        targets = [redirect.target for redirect in command.redirects]
        for word in [*command.words, *targets]:
            for part in word.walk():
                for name in self._names_of(part) if isinstance(part, Variable) else ():
                    self.found.add(Effect.CREDENTIALS, f"uses the secret ${name}")
                if isinstance(part, Variable) and part.tail.startswith("@P"):
                    self.found.unreadable(f"${{{part.name}@P}} runs what stands in it")

    def _names_of(self, variable: Variable) -> list[str]:
        """Names of secrets that are shown: its own, or those that `${!name}` reaches through it."""
        if variable.name.startswith("!"):
            return [name for name in self.scope.variables.get(variable.name[1:], ()) if is_secret_name(name)]
        return [variable.name] if is_secret_name(variable.name) and not _only_asks_whether_set(variable) else []

    def _assign(self, command: Command, *, bare: bool) -> None:
        for name, word in command.assignments:
            value = assigned_text(word, self.scope.variables)
            self._describe([Arg(":")]).sets(name, value, for_others=not bare)
            if bare:
                self.scope.variables[name] = (value,)

    def _redirect(self, command: Command, args: list[Arg]) -> None:
        for redirect in command.redirects:
            for target in expand(redirect.target, self.scope.variables) if redirect.operator != "<<" else ():
                self._redirect_to(redirect, target, command, args)

    def _redirect_to(self, redirect: Redirect, target: Arg, command: Command, args: list[Arg]) -> None:
        call = self._describe(args or [Arg(":")])
        if redirect.operator in {"<", "<>"}:
            call.touches_secret(target)
        if redirect.operator not in _WRITES_INTO or (redirect.operator == ">&" and re.fullmatch(r"\d*-?", target.text)):
            return
        call.touches_secret(target)
        call.writes([target])
        idle = not command.after_group and (not args or args[0].text in {":", "true"})
        places = self.scope.places(target.text)
        if idle and redirect.operator in _TRUNCATES and any(is_file(place) for place in places):
            self.found.add(Effect.DESTROY, f"empties {target.shown}")
        if (text := self._printed(command, args)) is not None:
            self.scope.scripts.update(dict.fromkeys(places, text))
        if args and args[0].text in {"curl", "wget", "http"}:
            self.scope.fetched.update(places)

    def _printed(self, command: Command, args: list[Arg]) -> str | None:
        """What a command prints, where its text says it."""
        if not args:
            return None
        name = args[0].text.rpartition("/")[2]
        if name in _SPEAKS:
            words = [arg for arg in args[1:] if not re.fullmatch(r"-[neE]+", arg.text)]
            text = " ".join(arg.text for arg in words)
            return text.replace("\\n", "\n") if name == "printf" or "-e" in [arg.text for arg in args] else text
        if name == "cat" and len(args) == 1:
            return self._stdin(command)
        return None

    def _stdin(self, command: Command) -> str | None:
        """The input of a command, where it is known: a here-document, a here-string, or what `echo` pipes in."""
        for redirect in command.redirects:
            if redirect.operator in {"<<", "<<<"}:
                return joined_text(redirect.target, self.scope.variables)
        if command.source is None:
            return None
        source_args = [arg for word in command.source.words for arg in expand(word, self.scope.variables)]
        return self._printed(command.source, source_args)

    # ---------------------------------------------------------------------------------------------- one program

    def _describe(self, args: list[Arg], *, piped: bool = False, stdin: str | None = None) -> Call:
        name = args[0].text.rpartition("/")[2]
        return Call(name, args[1:], self.scope, self.found, piped, stdin, self._run_inner, self._inner)

    def _run_inner(self, args: list[Arg]) -> None:
        if self._depth > _DEEPEST:
            self.found.unreadable("nested too deep")
            return
        self._depth += 1
        self._call(args, piped=True, stdin=None)
        self._depth -= 1

    def _call(self, args: list[Arg], *, piped: bool, stdin: str | None) -> None:
        call = self._describe(args, piped=piped, stdin=stdin)
        if call.name not in _SPEAKS:
            for arg in call.args:
                call.touches_secret(arg)
        if "/" in args[0].text and args[0].known and not self._installed(args[0].text):
            interpreters.run_script(call, args[0])
        if not args[0].known or (args[0].glob and call.name not in _TESTS):
            self._unknown_program(call, args[0])
        elif rule := _RULES.get(call.name) or _RULES.get(_family(call.name)):
            rule(call)
        elif call.name in READERS:
            reader(call)
        else:
            call.changes()
            call.may_run_words()

    def _installed(self, program: str) -> bool:
        """Whether a program with a path is none that the agent may have written itself."""
        places = self.scope.places(program)
        return bool(places) and not any(self.scope.around.inside(place) for place in places)

    def _unknown_program(self, call: Call, program: Arg) -> None:
        call.changes()
        self.found.unreadable(f"the program {program.shown}")
        if set(call.letters) & set("rR"):
            call.removes(call.operands(), whole_trees=True, verb="may delete")


def _is_plain_path(name: str, value: str) -> bool:
    """Reasons may quote a variable's value, so it must be nothing but a path."""
    return value.startswith("/") and ":" not in value and len(value) < 1000 and not is_secret_name(name)


def _family(name: str) -> str:
    """`python` for `python3.11`, `mkfs` for `mkfs.ext4`."""
    if name.startswith("mkfs."):
        return "mkfs"
    return name.rstrip("0123456789.")


def _only_asks_whether_set(variable: Variable) -> bool:
    """`${#NAME}` and `${NAME:+yes}` do not show the value."""
    return variable.name.startswith("#") or variable.tail.startswith((":+", "+"))
