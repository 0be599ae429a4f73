"""Rules for programs that run the command which follows them."""

from __future__ import annotations

import re
from dataclasses import dataclass

from ml_intern.core.approvals.effects import Effect
from ml_intern.core.approvals.shell.call import Call
from ml_intern.core.approvals.shell.code import is_secret_name
from ml_intern.core.approvals.shell.expand import SOMETHING, Arg
from ml_intern.core.approvals.shell.files import Rule
from ml_intern.core.approvals.shell.interpreters import run_arg


@dataclass(frozen=True, slots=True)
class _Wrapper:
    """A program that runs the command which follows its own flags.

    Attributes:
        valued: Flags whose value is an argument of its own.
        skipped: Operands before the command.
        elevated: It runs as another user or with another root.
    """

    valued: tuple[str, ...] = ()
    skipped: int = 0
    elevated: bool = False


_WRAPPERS = {
    "sudo": _Wrapper(("-u", "-g", "-h", "-p", "-C", "-r", "-t", "-T", "-U", "-D", "-R"), elevated=True),
    "doas": _Wrapper(("-u", "-C"), elevated=True),
    "chroot": _Wrapper(skipped=1, elevated=True),
    "runuser": _Wrapper(("-u",), elevated=True),
    "nohup": _Wrapper(),
    "setsid": _Wrapper(),
    "builtin": _Wrapper(),
    "exec": _Wrapper(("-a",)),
    "coproc": _Wrapper(),
    "time": _Wrapper(("-f", "-o")),
    "nice": _Wrapper(("-n",)),
    "ionice": _Wrapper(("-c", "-n", "-p")),
    "chrt": _Wrapper(("-p",), skipped=1),
    "taskset": _Wrapper(skipped=1),
    "timeout": _Wrapper(("-s", "-k", "--signal", "--kill-after"), skipped=1),
    "gtimeout": _Wrapper(("-s", "-k"), skipped=1),
    "stdbuf": _Wrapper(("-i", "-o", "-e")),
    "unbuffer": _Wrapper(),
    "caffeinate": _Wrapper(("-t", "-w")),
    "strace": _Wrapper(("-o", "-e", "-p", "-s")),
    "ltrace": _Wrapper(("-o", "-e", "-p")),
    "numactl": _Wrapper(("-C", "-m", "-N")),
    "xvfb-run": _Wrapper(("-n", "-s", "-e")),
    "busybox": _Wrapper(),
    "toybox": _Wrapper(),
    "firejail": _Wrapper(),
    "proot": _Wrapper(),
    "catchsegv": _Wrapper(),
    "chronic": _Wrapper(),
    "pkexec": _Wrapper(("--user",), elevated=True),
    "unshare": _Wrapper(("-S", "-G", "-R", "-w"), elevated=True),
    "prlimit": _Wrapper(),
    "entr": _Wrapper(),
    "faketime": _Wrapper(("-f",), skipped=1),
    "setarch": _Wrapper(skipped=1),
    "valgrind": _Wrapper(),
    "systemd-inhibit": _Wrapper(),
    "dbus-run-session": _Wrapper(),
    "npx": _Wrapper(("-p", "--package")),
    "bunx": _Wrapper(),
    "uvx": _Wrapper(("--from", "--with", "-p", "--python", "--index-url")),
}


_FETCHING = frozenset({"npx", "bunx", "uvx"})
"""They take `name@version`."""
_MOST_INPUTS = 50


def _wrapper(call: Call) -> None:
    kind = _WRAPPERS[call.name]
    rest = after_flags(call.args, kind.valued)[kind.skipped :]
    rest = _after_settings(call, rest)
    if kind.elevated:
        call.found.add(Effect.OUTSIDE, f"runs as another user or root ({call.name})")
    if rest:
        name, version, _ = rest[0].text.partition("@")
        call.run([Arg(name), *rest[1:]] if version and name and call.name in _FETCHING else rest)
    else:
        call.reads()


def _parallel(call: Call) -> None:
    """Runs a command for each of the words behind `:::`, or of the lines that it reads; without one, the lines."""
    valued = ("-j", "--jobs", "-N", "-n", "--delay", "--timeout", "--joblog", "-S", "--colsep", "-I", "-a")
    rest = after_flags(call.args, valued)
    at = next((index for index, arg in enumerate(rest) if arg.text.startswith(":::")), len(rest))
    command = " ".join(arg.text for arg in rest[:at])
    inputs = [arg.text for arg in rest[at + 1 :]] or (
        call.stdin.splitlines() if call.stdin is not None else [SOMETHING]
    )
    call.changes()
    for given in inputs[:_MOST_INPUTS]:
        run_arg(call, Arg(command.replace("{}", given) if "{}" in command else f"{command} {given}"))


def _after_settings(call: Call, args: list[Arg]) -> list[Arg]:
    """What follows the variables that are set for a command, once these are judged."""
    while args and re.match(r"[^\s=/-][^\s=/]*=", args[0].text):
        call.sets(*args[0].text.split("=", 1))
        args = args[1:]
    return args


def after_flags(args: list[Arg], valued: tuple[str, ...]) -> list[Arg]:
    index = 0
    while index < len(args) and args[index].text.startswith("-"):
        text = args[index].text
        index += 2 if text in valued else 1
        if text == "--":
            break
    return args[index:]


def _command(call: Call) -> None:
    if call.texts[:1] and call.texts[0] in {"-v", "-V"}:
        call.reads()
    else:
        call.run(after_flags(call.args, ()))


def _env(call: Call) -> None:
    for text in call.value("-S", "--split-string"):
        run_arg(call, text)
        return
    rest = after_flags(call.args, ("-u", "-C", "--unset", "--chdir"))
    rest = _after_settings(call, rest)
    if rest:
        call.run(rest)
    else:
        call.found.add(Effect.CREDENTIALS, "lists the environment, secrets included")


def _printenv(call: Call) -> None:
    call.reads()
    names = call.operands()
    if not names or any(is_secret_name(name.text) for name in names):
        call.found.add(Effect.CREDENTIALS, "shows secrets from the environment")


def _xargs(call: Call) -> None:
    valued = ("-I", "-n", "-P", "-L", "-d", "-E", "-s", "-a", "--arg-file", "--max-args", "--max-procs", "--delimiter")
    rest = after_flags(call.args, valued) or [Arg("echo")]
    given = [Arg(word) for word in call.stdin.split()] if call.stdin is not None else [Arg(SOMETHING)]
    if marks := call.value("-I"):
        rest = [Arg(arg.text.replace(marks[0].text, word.text)) for word in given for arg in rest]
        given = []
    call.run([*rest, *given])


def _watch(call: Call) -> None:
    call.run_text(" ".join(arg.text for arg in after_flags(call.args, ("-n", "-d", "--interval"))))


def _su(call: Call) -> None:
    call.found.add(Effect.OUTSIDE, f"runs as another user or root ({call.name})")
    for text in call.value("-c", "--command"):
        run_arg(call, text)


def _runs_string(*valued: str, skipped: int = 0) -> Rule:
    """A program whose `-c` is shell text, and which otherwise runs the command after its operands."""

    def rule(call: Call) -> None:
        if texts := [*call.bundled_value("c"), *call.value("-c", "--command", "--run")]:
            run_arg(call, texts[0])
        elif rest := after_flags(call.args, valued)[skipped:]:
            call.run(rest)
        else:
            call.changes()

    return rule


_TERMINAL_FLAGS = (
    "-s", "-n", "-c", "-t", "-x", "-y", "-e", "-F", "-l", "-L", "-S", "-f", "-dmS", "-DmS", "-dS", "-mS", "-p",
)  # fmt: skip


def _terminal(call: Call) -> None:
    """A terminal multiplexer: what it is told to start, or to type."""
    rest, action = after_flags(call.args, _TERMINAL_FLAGS), ""
    if any("#(" in text for text in call.texts):
        call.found.unreadable(f"{call.name} runs what stands in a format")
    if call.name == "tmux" and rest:
        action, rest = rest[0].text, after_flags(rest[1:], _TERMINAL_FLAGS)
    if action in {"ls", "list-sessions", "list-windows", "list-panes", "capture-pane", "has-session", "has", "info"}:
        call.reads()
    elif action.startswith("kill-"):
        call.destroys(f"ends what runs in {call.name} ({action})")
    else:
        call.changes()
        if action.startswith("send") or "-X" in call.texts:  # what it types: `screen -X stuff 'make\n'`
            typed = [arg.text for arg in rest if arg.text not in {"Enter", "C-m", "C-c", "stuff", "exec"}]
            call.run_text(" ".join(typed).replace("\\n", "\n"))
        elif rest:
            call.run(rest) if len(rest) > 1 else run_arg(call, rest[0])


def _each_runs(call: Call) -> None:
    for text in call.operands("-w", "-r", "-m", "-M", "-L", "-P", "-n", "--export-json", "--export-csv"):
        run_arg(call, text)
    for text in call.value("--prepare", "-p", "--setup", "-s", "--cleanup", "-c"):
        run_arg(call, text)


def _dialogue(call: Call) -> None:
    call.changes()
    call.may_run_words()
    if call.name == "expect" or call.stdin is not None or call.piped or call.has("-c", "-S", "-s", "-es", "--eval"):
        call.found.unreadable(f"{call.name} runs commands of its own")


def _trap(call: Call) -> None:
    for text in call.operands()[:1]:
        run_arg(call, text)
    call.reads()


def _alias(call: Call) -> None:
    call.reads()
    for text in call.texts:
        if "=" in text:
            call.run_text(text.partition("=")[2])


RULES: dict[str, Rule] = {
    **dict.fromkeys(_WRAPPERS, _wrapper),
    "xargs": _xargs,
    "parallel": _parallel,
    "flock": _runs_string("-w", "-E", "--timeout", skipped=1),
    **dict.fromkeys(("script", "nix-shell"), _runs_string("-t", "-T", "-p")),
    **dict.fromkeys(("tmux", "screen"), _terminal),
    "hyperfine": _each_runs,
    **dict.fromkeys(("expect", "vim", "vi", "nvim", "ex", "ed", "emacs"), _dialogue),
    "command": _command,
    "env": _env,
    "printenv": _printenv,
    "watch": _watch,
    "su": _su,
    "trap": _trap,
    "alias": _alias,
}
