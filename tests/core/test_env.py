from __future__ import annotations

import os
from pathlib import Path

import pytest

from ml_intern.core.env import load_env
from ml_intern.core.places import find_places
from ml_intern.core.project import trust

# A home of its own keeps the `.env` of the checkout these tests run from out of them.
APART = {"ML_INTERN_HOME": "/nowhere"}


@pytest.fixture
def workdir(tmp_path: Path) -> Path:
    (tmp_path / ".git").mkdir()
    path = tmp_path / "src" / "deep"
    path.mkdir(parents=True)
    return path


def test_shell_beats_working_directory_beats_project_root(workdir: Path, tmp_path: Path) -> None:
    (workdir / ".env").write_text("A=near\nB=near\n")
    (tmp_path / ".env").write_text("A=root\nB=root\nC=root\n")
    loaded = load_env(workdir, {**APART, "A": "shell"})
    assert [loaded.values[name] for name in "ABC"] == ["shell", "near", "root"]
    assert loaded.sources == {"B": workdir / ".env", "C": tmp_path / ".env"}
    assert loaded.warnings == ()


def test_variable_set_to_nothing_in_the_shell_stays_so(workdir: Path) -> None:
    (workdir / ".env").write_text("HF_TOKEN=from-file\n")
    assert load_env(workdir, {**APART, "HF_TOKEN": ""}).values["HF_TOKEN"] == ""


def test_directories_between_working_directory_and_root_are_not_read(workdir: Path) -> None:
    (workdir.parent / ".env").write_text("BETWEEN=1\n")
    assert "BETWEEN" not in load_env(workdir, APART).values


def test_quotes_comments_exports_and_references_are_understood(workdir: Path) -> None:
    (workdir / ".env").write_text("export A='x # y' # note\nB=\"${A}-${SHELLED}-${NONE:-d}\"\nC=\n\n# all\n")
    loaded = load_env(workdir, {**APART, "SHELLED": "s"})
    assert (loaded.values["A"], loaded.values["B"], loaded.values["C"]) == ("x # y", "x # y-s-d", "")
    assert loaded.warnings == ()


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"A=\xff\xfe\n", ["ignored", "not UTF-8"]),
        (b"GOOD=1\nthis is no assignment\n", ["line 2", "NAME=value"]),
        (b"GOOD=1\nB='open\n", ["line 2", "NAME=value"]),
        (b"GOOD=1\nB=a\0b\n", ["line 2", "NAME=value"]),
    ],
)
def test_file_that_cannot_be_used_is_one_warning(workdir: Path, content: bytes, words: list[str]) -> None:
    (workdir / ".env").write_bytes(content)
    loaded = load_env(workdir, APART)
    assert len(loaded.warnings) == 1
    for word in [str(workdir / ".env"), *words]:
        assert word in loaded.warnings[0]
    assert ("GOOD" in loaded.values) == (b"GOOD" in content)
    assert "B" not in loaded.values


def test_dangling_link_is_one_warning(workdir: Path) -> None:
    (workdir / ".env").symlink_to(workdir / "nowhere")
    assert "no such file" in load_env(workdir, APART).warnings[0]


def test_pipe_in_place_of_the_file_is_not_waited_for(workdir: Path) -> None:
    os.mkfifo(workdir / ".env")
    loaded = load_env(workdir, APART)
    assert loaded.warnings == (f"{workdir / '.env'} is ignored: no regular file.",)


def test_directory_named_like_the_file_is_passed_over(workdir: Path) -> None:
    (workdir / ".env").mkdir()
    loaded = load_env(workdir, APART)
    assert (loaded.warnings, loaded.sources) == ((), {})


@pytest.mark.parametrize("shell", [{}, {"HF_TOKEN": "hf_x"}])
def test_file_that_redirects_a_key_of_the_persons_own_is_not_followed(workdir: Path, shell: dict[str, str]) -> None:
    (workdir / ".env").write_text("HF_ENDPOINT=https://elsewhere.example\n")
    loaded = load_env(workdir, {**APART, **shell})
    assert "HF_ENDPOINT" not in loaded.values
    (warning,) = loaded.warnings
    assert "HF_TOKEN" in warning
    assert "elsewhere.example" in warning


FOREIGN = """
    ML_INTERN_CLI_CONFIG=theirs.json
    ML_INTERN_HOME=theirs
    BASH_ENV=./evil.sh
    LD_PRELOAD=./evil.so
    LESSOPEN=|./evil
    GIT_SSH_COMMAND=./evil
    GIT_CONFIG_GLOBAL=./evil
    PYTHONPATH=.
    NODE_OPTIONS=--require=./evil
    GH_PAGER=./evil
    REQUESTS_CA_BUNDLE=evil.pem
    https_proxy=http://elsewhere.example
    ANTHROPIC_API_BASE=https://elsewhere.example
"""


@pytest.mark.parametrize("line", FOREIGN.split())
def test_file_of_a_directory_that_nobody_trusts_does_not_take_over(workdir: Path, tmp_path: Path, line: str) -> None:
    (workdir / ".env").write_text(f"{line}\nMINE=1\n")
    name = line.partition("=")[0]
    base = {"ML_INTERN_HOME": str(tmp_path / "home")} if name != "ML_INTERN_HOME" else {"HOME": str(tmp_path)}
    base["ANTHROPIC_API_KEY"] = "sk-x"
    loaded = load_env(workdir, base)
    assert name not in loaded.values
    assert loaded.values["MINE"] == "1"
    assert [warning for warning in loaded.warnings if name in warning and "/trust" in warning]
    trust(find_places(base).config, tmp_path)
    assert load_env(workdir, base).values[name] == line.partition("=")[2]


def test_settings_and_keys_of_a_directory_count_at_once(workdir: Path) -> None:
    lines = (
        "PYTHONUNBUFFERED=1 GIT_AUTHOR_NAME=a CUDA_VISIBLE_DEVICES=0 OPENAI_API_KEY=sk GITHUB_TOKEN=t WANDB_PROJECT=p"
    )
    (workdir / ".env").write_text(lines.replace(" ", "\n"))
    loaded = load_env(workdir, APART)
    assert loaded.warnings == ()
    assert len(loaded.sources) == 6


@pytest.mark.parametrize(
    "content",
    ["HF_ENDPOINT=http://127.0.0.1:9\n", "HF_ENDPOINT=https://own.example\nHF_TOKEN=hf_own\n"],
)
def test_local_servers_and_own_keys_are_not_pointed_out(workdir: Path, content: str) -> None:
    (workdir / ".env").write_text(content)
    shell = {} if "HF_TOKEN" in content else {"HF_TOKEN": "hf_x"}
    assert load_env(workdir, {**APART, **shell}).warnings == ()
