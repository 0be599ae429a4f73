"""Rules for programs that run text: shells, Python and its like, and scripts in files."""

from __future__ import annotations

import re
from pathlib import Path

from ml_intern.core.approvals.shell.call import Call
from ml_intern.core.approvals.shell.code import judge_code, judge_program
from ml_intern.core.approvals.shell.expand import SOMETHING, Arg
from ml_intern.core.approvals.shell.files import Rule

_SCRIPT_BYTES = 262_144
_STARTED_BY_PYTHON = frozenset({"hf", "huggingface-cli", "ml-intern", "modal", "sky", "wandb", "twine"})
_PROGRAMS_OF = {"huggingface_hub": "hf", "ml_intern": "ml-intern"}
"""Programs that have another name than their module."""


def _shell(call: Call) -> None:
    if call.only_tells():
        call.reads()
        return
    letters, rest = _shell_options(call)
    for script in call.value("--rcfile", "--init-file"):
        run_script(call, script)
    if "c" in letters:
        for text in rest[:1]:
            run_arg(call, text)
    elif rest and "s" not in letters:
        run_script(call, rest[0])
    else:
        _from_input(call)


def _shell_options(call: Call) -> tuple[str, list[Arg]]:
    """The letters of a shell's own options, and what follows them."""
    letters, index = "", 0
    while index < len(call.args):
        text = call.texts[index]
        if text in {"-", "--"}:
            return letters, call.args[index + 1 :]
        if text[:1] not in {"-", "+"} or text == "+":
            break
        if text.startswith("--"):
            index += text in {"--rcfile", "--init-file"}
        else:
            letters += text[1:] if text[0] == "-" else ""
            index += text.count("o") + text.count("O")  # each takes the name of an option: `-eo pipefail`
        index += 1
    return letters, call.args[index:]


def run_arg(call: Call, text: Arg) -> None:
    if text.known:
        call.run_text(text.text)
    else:
        call.changes()
        call.found.unreadable("a command with parts that are filled in later")


def _from_input(call: Call) -> None:
    """An interpreter that reads its program from its input."""
    if call.stdin is not None:
        run_arg(call, Arg(call.stdin))
    elif call.piped:
        call.changes()
        call.found.unreadable(f"{call.name} runs what another command prints")
    else:
        call.reads()


def run_script(call: Call, script: Arg) -> None:
    """A shell script in a file: read, where it can be, and judged like the command itself."""
    call.changes()
    if not script.known:
        call.found.unreadable(f"the script {script.shown}")
        return
    if script.text in {"/dev/stdin", "/dev/fd/0", "/proc/self/fd/0"}:
        _from_input(call)
        return
    for place in call.scope.places(script.text):
        if place in call.scope.fetched:
            call.found.unreadable(f"{script.shown}, which it has just downloaded")
        elif (text := call.scope.scripts.get(place) or _shell_text(place)) is not None:
            call.run_text(text)


def _shell_text(place: Path) -> str | None:
    """The text of a file that is a shell script."""
    try:
        if not place.is_file() or place.stat().st_size > _SCRIPT_BYTES:
            return None
        text = place.read_text(encoding="utf-8")
    except (OSError, ValueError):
        return None
    first = text.partition("\n")[0]
    if first.startswith("#!") and not re.search(r"\b(?:ba|z|da|k)?sh\b", first):
        return None
    return text


def _source(call: Call) -> None:
    for script in call.operands()[:1]:
        name = Path(script.text).name
        if name.startswith("activate") or script.text.endswith("conda.sh"):  # environments set variables only
            call.changes()
        else:
            run_script(call, script)


def _eval(call: Call) -> None:
    text = " ".join(call.texts)
    if re.fullmatch(r"\x00", text) or not Arg(text).known:
        call.changes()
        call.found.unreadable("eval")
    else:
        call.run_text(text)


def _code(*flags: str) -> Rule:
    """An interpreter that takes a program after one of these flags."""

    def rule(call: Call) -> None:
        if call.only_tells() or call.texts in (["-V"], ["-v"]):
            call.reads()
            return
        if programs := call.value(*flags) or (call.bundled_value("e") if call.name in {"perl", "ruby"} else []):
            judge_code(call, programs[0].text)
            return
        operands = call.operands("-W", "-X", "--require")
        if (
            operands
            and not operands[0].text.endswith(".py")
            and operands[0].text.rpartition("/")[2] in _STARTED_BY_PYTHON
        ):
            call.run(operands)  # what pip has put there for a command
        if not operands or operands[0].text == "-":
            _code_from_input(call)
        else:
            _program_file(call, operands[0])

    return rule


def _code_from_input(call: Call) -> None:
    if call.stdin is not None:
        judge_code(call, call.stdin)
    elif call.piped:
        call.changes()
        call.found.unreadable(f"{call.name} runs what another command prints")
    else:
        call.reads()


def _program_file(call: Call, program: Arg) -> None:
    call.changes()
    if program.text[:1] in {"\x00", SOMETHING}:
        call.found.unreadable(f"{call.name} runs a program that is not known beforehand")
    for place in call.scope.places(program.text):
        if place in call.scope.fetched:
            call.found.unreadable(f"{program.shown}, which it has just downloaded")
        elif text := call.scope.scripts.get(place):
            judge_code(call, text)
        elif (text := _program_text(place)) is not None:
            judge_program(call, text)


def _program_text(place: Path) -> str | None:
    """The text of a program in a file; None where there is none to read."""
    try:
        if not place.is_file() or place.stat().st_size > _SCRIPT_BYTES:
            return None
        return place.read_text(encoding="utf-8")
    except (OSError, ValueError):
        return None


def _python(call: Call) -> None:
    texts = call.texts
    for index, text in enumerate(texts):
        if re.fullmatch(r"-[a-zA-Z]*c", text):
            judge_code(call, texts[index + 1] if index + 1 < len(texts) else "")
            return
        if re.fullmatch(r"-[a-zA-Z]*m", text):
            _module(call, call.args[index + 1 :])
            return
        if not text.startswith("-") or text == "-":
            break
    _code("-c")(call)


def _module(call: Call, args: list[Arg]) -> None:
    module = args[0].text if args else ""
    if module.startswith("huggingface_hub."):  # its commands have moved about within it
        module = "huggingface_hub"
    if module == "http.server":
        call.changes()
        if not any(arg.text in {"127.0.0.1", "localhost"} for arg in args):
            call.publishes("serves files to the network")
    elif module in {
        "pip",
        "twine",
        "uv",
        "huggingface_hub",
        "pipx",
        "poetry",
        "hatch",
        "flit",
        "ray",
        "modal",
        "wandb",
        "ml_intern",
    }:
        call.run([Arg(_PROGRAMS_OF.get(module, module)), *args[1:]])
    elif module in {"torch.distributed.run", "torch.distributed.launch", "accelerate.commands.launch"}:
        call.run([Arg("torchrun"), *args[1:]])
    elif module == "json.tool":
        call.reads()
        call.writes(call.operands("--indent")[2:])
    elif module in {"this", "platform", "site", "sysconfig"}:
        call.reads()
    else:
        call.changes()


RULES: dict[str, Rule] = {
    **dict.fromkeys(("bash", "sh", "zsh", "dash", "ksh", "fish", "ash", "rbash"), _shell),
    **dict.fromkeys(("python", "pypy", "ipython"), _python),
    **dict.fromkeys(("perl", "ruby", "lua", "Rscript", "R"), _code("-e", "-E")),
    **dict.fromkeys(("node", "bun", "deno", "php"), _code("-e", "--eval", "-p", "--print", "-r", "eval")),
    **dict.fromkeys((".", "source"), _source),
    "eval": _eval,
}
