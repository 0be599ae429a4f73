from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import get_args

import pytest

from ml_intern import __version__, cli
from ml_intern.core.protocol import Mode
from ml_intern.core.settings import Effort
from ml_intern.options import EFFORTS, MODES, OUTPUTS, Options


def parse(*arguments: str) -> tuple[str, Options]:
    front_end, options, _ = cli.parse(arguments)
    return front_end, options


def refuse(*arguments: str) -> str:
    with pytest.raises(cli.UsageError) as caught:
        cli.parse(arguments)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def start(
    *arguments: str, stdin: bytes = b"", home: Path | None = None, shell: str = ""
) -> subprocess.CompletedProcess[bytes]:
    """Runs the program; `shell` is what a shell does first, in the same process."""
    env = {name: value for name, value in os.environ.items() if not name.endswith(("_API_KEY", "_TOKEN", "_BASE_URL"))}
    env["ML_INTERN_HOME"] = env["HOME"] = str(home or "/nonexistent")
    command = [sys.executable, "-m", "ml_intern", *arguments]
    if shell:
        command = ["/bin/sh", "-c", f'{shell}; exec "$@"', "sh", *command]
    return subprocess.run(command, input=stdin, capture_output=True, env=env, timeout=30)


# ----------------------------------------------------------------------------------------------------- what starts


def test_nothing_opens_the_app() -> None:
    assert parse() == ("app", Options())


def test_words_without_quotes_are_one_prompt() -> None:
    assert parse("fine-tune", "llama", "on", "my", "dataset") == (
        "headless",
        Options(prompt="fine-tune llama on my dataset"),
    )


@pytest.mark.parametrize(
    "arguments",
    [
        ("--model", "vllm/x", "--mode", "ask", "look", "at", "it"),
        ("look", "at", "it", "--mode", "ask", "-m", "vllm/x"),
        ("look", "-mvllm/x", "at", "--mode=ask", "it"),
    ],
)
def test_flags_work_in_any_order(arguments: tuple[str, ...]) -> None:
    assert parse(*arguments) == ("headless", Options(prompt="look at it", model="vllm/x", mode="ask"))


def test_every_flag_reaches_the_options(tmp_path: Path) -> None:
    _, options = parse(
        *("--max-iterations", "7", "--no-stream", "--sandbox-tools", "--max-cost", "2.5", "--output", "json"),
        *("--resume", "abc", "--workdir", str(tmp_path), "--config", "c.json", "--effort", "low", "--theme", "dark"),
        *("--debug", "go"),
    )
    assert options == Options(
        prompt="go",
        max_iterations=7,
        stream=False,
        tool_runtime="sandbox",
        max_cost_usd=2.5,
        output="json",
        resume="abc",
        workdir=tmp_path,
        config=Path("c.json"),
        effort="low",
        theme="dark",
        debug=True,
    )


def test_the_demo_is_the_app_or_headless() -> None:
    assert parse("--demo") == ("app", Options(demo=True))
    assert parse("--demo", "any prompt") == ("headless", Options(demo=True, prompt="any prompt"))


def test_resuming_takes_an_id_or_none() -> None:
    assert parse("--resume")[1].resume == ""
    assert parse("--resume", "abc")[1].resume == "abc"
    assert parse("--continue")[1].continue_latest


@pytest.mark.parametrize(("given", "cap"), [("none", "none"), ("NONE", "none"), ("0", 0.0), ("$3.50", 3.5)])
def test_spending_cap_is_dollars_or_none(given: str, cap: object) -> None:
    assert parse("--max-cost", given, "go")[1].max_cost_usd == cap


def test_prompt_that_begins_with_a_dash_needs_quotes_or_two_hyphens() -> None:
    assert parse("- tidy up the data")[1].prompt == "- tidy up the data"
    assert parse("--", "--weird", "prompt")[1].prompt == "--weird prompt"
    assert "--weird" in refuse("--weird", "prompt")


# ------------------------------------------------------------------------------------------- commands and prompts


def test_doctor_is_a_command_only_when_it_stands_alone() -> None:
    assert parse("doctor")[0] == "doctor"
    assert cli.parse(["doctor", "--json"])[2] is True
    assert parse("--model", "vllm/x", "doctor") == ("doctor", Options(model="vllm/x"))
    assert parse("doctor", "my", "script")[1].prompt == "doctor my script"
    assert parse("--", "doctor") == ("headless", Options(prompt="doctor"))


@pytest.mark.parametrize(
    "prompt",
    ["sessions are broken, fix", "serve the model with vllm", "sessions list is slow, find out why", "help me", "docs"],
)
def test_prompt_that_begins_like_a_command_is_a_prompt(prompt: str) -> None:
    assert parse(prompt)[1].prompt == prompt
    if "list" not in prompt:
        assert parse(*prompt.split())[1].prompt == prompt


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (["sreve"], "`serve`"),
        (["sessions"], "`sessions`"),
        (["sessions", "frob"], "`sessions`"),
        (["sessions", "serach", "adam", "warmup"], "`sessions`"),
        (["docter"], "`doctor`"),
        (["session"], "`sessions`"),
    ],
)
def test_command_that_is_not_there_never_becomes_a_paid_run(arguments: list[str], word: str) -> None:
    assert word in refuse(*arguments)
    assert parse("--", *arguments)[1].prompt == " ".join(arguments)


@pytest.mark.parametrize("command", ["serve", "leftovers"])
def test_a_command_with_flags_is_that_command_and_with_words_a_prompt(command: str) -> None:
    assert parse(command, "--json")[0] == command
    assert parse(command, "--json")[1].arguments == ("--json",)
    assert parse(command, "the", "model")[0] == "headless"
    assert parse("--", command)[1].prompt == command


def test_commands_about_sessions_keep_their_own_words() -> None:
    front_end, options, as_json = cli.parse(["sessions", "export", "4f", "--format", "html", "--to", "x.html"])
    assert (front_end, as_json) == ("sessions", False)
    assert options.arguments == ("export", "4f", "--format", "html", "--to", "x.html")
    assert cli.parse(["--json", "sessions", "list"])[::2] == ("sessions", True)
    assert parse("sessions", "--json", "list", "--all")[1].arguments == ("--json", "list", "--all")
    assert parse("fix", "the", "sessions", "list")[1].prompt == "fix the sessions list"


def test_help_as_a_word_prints_the_help(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["help"]) == 0
    assert "--max-iterations" in capsys.readouterr().out


# ------------------------------------------------------------------------------------------------------ mistakes


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--max-iterations", "0", "go"], ["--max-iterations", "'0'", "at least 1"]),
        (["--max-iterations", "-3", "go"], ["--max-iterations"]),
        (["--max-iterations", "x", "go"], ["--max-iterations", "'x'"]),
        (["--max-cost", "-1", "go"], ["--max-cost", "'-1'"]),
        (["--max-cost", "nan", "go"], ["--max-cost", "'nan'"]),
        (["--mode", "yol", "go"], ["--mode", "did you mean yolo?"]),
        (["--mode", "PLAN", "go"], ["did you mean plan?"]),
        (["--mode", "x", "go"], ["guarded, ask, plan or yolo"]),
        (["--effort", "hgih", "go"], ["did you mean high?"]),
        (["--output", "yaml", "go"], ["text, json or stream-json"]),
        (["--model"], ["--model"]),
        (["--model", " ", "go"], ["model id is empty"]),
        (["--modle", "x", "go"], ["--modle; did you mean --model?"]),
        (["--output-format=json", "go"], ["did you mean --output?"]),
        (["--model"], ["expected one argument"]),
        (["-z", "go"], ["unrecognized arguments: -z"]),
        (["--workdir", "/nonexistent/place", "go"], ["'/nonexistent/place' is not a directory"]),
        (["--sandbox-tools", "--local-tools", "go"], ["not allowed with"]),
        (["--resume", "a", "--continue"], ["exclude each other"]),
        (["--json", "go"], ["doctor"]),
        (["--demo", "--model", "openai/gpt-5.5"], ["--demo", "--model"]),
        (["--demo", "--workdir", "/", "go"], ["--demo", "--workdir"]),
        ([""], ["prompt is empty"]),
        (["  ", " "], ["prompt is empty"]),
    ],
)
def test_mistakes_are_one_line_that_names_them(arguments: list[str], words: list[str]) -> None:
    text = refuse(*arguments)
    for word in words:
        assert word in text


def test_output_format_needs_a_prompt() -> None:
    assert "--output needs a prompt" in refuse("--output", "json")


def test_choices_are_those_of_the_core() -> None:
    assert get_args(Mode) == MODES
    assert get_args(Effort) == EFFORTS
    assert OUTPUTS == ("text", "json", "stream-json")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["leftovers", "--ends"], "did you mean --end?"),
        (["leftovers", "--en"], "unrecognized arguments: --en"),
        (["serve", "--port", "x"], "argument --port: invalid int value: 'x'"),
        (["sessions", "list", "--jsn"], "did you mean --json?"),
    ],
)
def test_commands_refuse_in_one_line_as_the_rest_does(
    arguments: list[str], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.run(arguments) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.startswith("ml-intern: ")
    assert words in said.err
    assert f"`ml-intern {arguments[0]} --help`" in said.err
    assert said.err.count("\n") == 1


@pytest.mark.parametrize("arguments", [["doctor", "--help"], ["-h", "doctor"], ["doctor", "--json", "--help"]])
def test_the_doctor_has_a_help_of_its_own(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(arguments) == 0
    assert capsys.readouterr().out.startswith("usage: ml-intern doctor")


# --------------------------------------------------------------------------------------------- as a real process


@pytest.mark.parametrize("arguments", [["--version"], ["version"], ["--model", "x/y", "--version"]])
def test_version_is_printed(arguments: list[str]) -> None:
    done = start(*arguments)
    assert (done.returncode, done.stdout, done.stderr) == (0, f"ml-intern {__version__}\n".encode(), b"")


def test_help_fits_the_terminal_and_names_every_flag() -> None:
    done = start("--help")
    text = done.stdout.decode()
    assert (done.returncode, done.stderr) == (0, b"")
    assert max(map(len, text.splitlines())) <= 100
    for flag in ("--model", "--max-cost", "--resume", "--continue", "--demo", "--output", "doctor", "130"):
        assert flag in text


def test_usage_error_is_one_line_and_exit_code_2() -> None:
    done = start("--mode", "wild", "go")
    assert (done.returncode, done.stdout) == (2, b"")
    assert done.stderr.count(b"\n") == 1


def test_app_without_a_terminal_is_a_usage_error() -> None:
    done = start()
    assert done.returncode == 2
    assert b"needs a terminal" in done.stderr


def test_empty_prompt_on_standard_input_is_a_usage_error() -> None:
    done = start("-", stdin=b" \n")
    assert done.returncode == 2
    assert b"the prompt is empty" in done.stderr


@pytest.mark.parametrize(
    ("content", "words"),
    [("{", "not valid JSON"), ('{"max_iteration": 1}', "unknown key max_iteration")],
)
def test_broken_configuration_is_one_line_and_exit_code_2(tmp_path: Path, content: str, words: str) -> None:
    (tmp_path / "config").mkdir()
    (tmp_path / "config" / "cli_agent_config.json").write_text(content)
    done = start("go", home=tmp_path)
    assert done.returncode == 2
    assert words in done.stderr.decode()
    assert done.stderr.count(b"\n") == 1


def test_missing_configuration_file_is_named(tmp_path: Path) -> None:
    done = start("--config", str(tmp_path / "no.json"), "go", home=tmp_path)
    assert done.returncode == 2
    assert b"no.json" in done.stderr


@pytest.mark.parametrize("arguments", [["--version"], ["--help"], ["doctor"], ["--demo", "go"]])
def test_closed_standard_output_is_one_line_before_anything_is_done(tmp_path: Path, arguments: list[str]) -> None:
    done = start(*arguments, home=tmp_path, shell="exec >&-")
    assert done.returncode == 1
    assert done.stderr == b"ml-intern: standard output is closed, so there is nowhere to answer\n"
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("shell", ["exec 2>&-", "exec 2>/dev/full"])
def test_remarks_that_nobody_can_read_are_no_failure(shell: str) -> None:
    done = start("--version", shell=shell)
    assert (done.returncode, done.stdout) == (0, f"ml-intern {__version__}\n".encode())
    assert start("--mode", "wild", "go", shell=shell).returncode == 2


@pytest.mark.parametrize("arguments", [["doctor"], ["go"]])
def test_directory_that_is_gone_is_a_usage_error(tmp_path: Path, arguments: list[str]) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()
    done = start(*arguments, home=tmp_path, shell=f"cd {gone}; rmdir {gone}")
    assert done.returncode == 2
    assert b"the current directory is gone" in done.stderr
    assert done.stderr.count(b"\n") == 1


@pytest.mark.parametrize(("flag", "ours"), [("--version", set()), ("--help", {"arguments", "parser"})])
def test_what_only_prints_imports_next_to_nothing(flag: str, ours: set[str]) -> None:
    code = (
        "import sys; before = set(sys.modules)\n"
        "from ml_intern import cli\n"
        f"code = cli.run([{flag!r}])\n"
        "print(); print(*sorted(set(sys.modules) - before), code)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=30)
    *loaded, exit_code = done.stdout.splitlines()[-1].split()
    assert exit_code == "0"
    assert {name for name in loaded if name.startswith("ml_intern.")} == {
        f"ml_intern.{name}" for name in {"cli", "exit_codes", "options", *ours}
    }
    assert {name.partition(".")[0] for name in loaded} - sys.stdlib_module_names == {"ml_intern"}
    assert not set(loaded) & {"asyncio", "logging", "subprocess", "ssl", "json", "email", "http"}
