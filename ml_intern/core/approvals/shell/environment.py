"""What a variable in the environment makes other programs do: run something, load something, write somewhere.

Any program may be led astray by some variable, so the harmless ones are named here rather than the others.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import PurePath

from ml_intern.core.approvals.shell.expand import UNKNOWN

_RUN_BY_OTHERS = frozenset(
    """
    PAGER GIT_PAGER MANPAGER EDITOR VISUAL GIT_EDITOR GIT_SSH GIT_SSH_COMMAND GIT_EXTERNAL_DIFF PROMPT_COMMAND LESSOPEN
    GIT_SEQUENCE_EDITOR BROWSER PS4 LESSCLOSE LESSEDIT GIT_ASKPASS SSH_ASKPASS SUDO_ASKPASS GIT_PROXY_COMMAND RSYNC_RSH
    BAT_PAGER GH_PAGER GH_BROWSER GH_EDITOR GLAB_PAGER AWS_PAGER PSQL_PAGER PSQL_EDITOR SYSTEMD_PAGER DELTA_PAGER
    """.split()  # noqa: SIM905 - words read better than as many quotes
)
"""Variables whose value is a command."""
_USUALLY_EXPORTED = frozenset(
    """
    PATH HOME LD_PRELOAD LD_LIBRARY_PATH LD_AUDIT DYLD_INSERT_LIBRARIES BASH_ENV PYTHONSTARTUP PYTHONPATH PERL5OPT
    PERL5LIB RUBYOPT NODE_OPTIONS XDG_CONFIG_HOME
    """.split()  # noqa: SIM905 - words read better than as many quotes
)
"""What a plain assignment changes for other programs too, since they are there already as a rule."""
_VIEWERS = frozenset({"", "cat", "true", "less", "more", "vim", "vi", "nano"})
_HARMLESS = re.compile(
    r"LANG|LANGUAGE|LC_\w+|TZ|COLUMNS|LINES|TERM|COLORTERM|\w*COLORS?|COLOR_\w+|CLICOLOR\w*|BLOCK_?SIZE|TIME_STYLE"
    r"|POSIXLY_CORRECT|IFS|ENV|CI|DEBUG|VERBOSE|SEED|DEVICE|RANK|LOCAL_RANK|WORLD_SIZE|MASTER_(?:ADDR|PORT)|NO_PROXY"
    r"|DEBIAN_FRONTEND|(?:CUDA|NVIDIA|ROCR?|HIP|HSA|HF|HUGGING_?FACE\w*|TRANSFORMERS|DATASETS|TOKENIZERS|DIFFUSERS"
    r"|ACCELERATE|WANDB|TRACKIO|MLFLOW|OMP|MKL|OPENBLAS|NUMEXPR|PYTORCH|TORCH|TORCHINDUCTOR|TRITON|NCCL|JAX|XLA|TF|VLLM"
    r"|RAY)_\w+|PYTHON(?:UNBUFFERED|DONTWRITEBYTECODE|HASHSEED|UTF8|IOENCODING|FAULTHANDLER|NOUSERSITE|SAFEPATH)"
    r"|GIT_(?:AUTHOR|COMMITTER)_\w+|GIT_TERMINAL_PROMPT|GIT_OPTIONAL_LOCKS|GIT_LFS_SKIP_SMUDGE|GIT_CEILING_DIRECTORIES"
)
_LESS_FLAGS = re.compile(r"[-FRXSiIMNqeEgGJwWnsr0-9 ]*")
_TRACES = re.compile(r"GIT_TRACE\w*|LD_DEBUG_OUTPUT|SSLKEYLOGFILE|PYTHONPYCACHEPREFIX")
_SWITCHES = frozenset({"", "0", "1", "2", "true", "false"})
_SYSTEM_BINARIES = re.compile(r"/(?:(?:usr/)?(?:local/)?(?:cuda[^/]*/)?s?bin|opt/.*|snap/bin)/?")


def command_in(name: str, value: str) -> str:
    """The command that a variable holds for other programs to run; empty when it holds none."""
    if name.startswith("BASH_FUNC_"):
        return "imported" + value
    return value if name in _RUN_BY_OTHERS and value not in _VIEWERS else ""


def file_in(name: str, value: str) -> str:
    """The file that a variable makes other programs write; empty when there is none."""
    return value if _TRACES.fullmatch(name) and value.lower() not in _SWITCHES else ""


def leads_astray(name: str, value: str) -> bool:
    """Whether other programs, seeing the variable, may do something else than they are known for."""
    if name in _RUN_BY_OTHERS or _HARMLESS.fullmatch(name):
        return False
    if name in {"LESS", "MORE"}:
        return not _LESS_FLAGS.fullmatch(value)
    if name == "PATH":
        return any(not _SYSTEM_BINARIES.fullmatch(folder) for folder in _asked_first(value))
    if _TRACES.fullmatch(name):
        return value.lower() not in _SWITCHES
    return name == name.upper() or name.endswith("_proxy")  # others are the shell's own by custom


def reaches_others(name: str) -> bool:
    """Whether other programs see a variable that is assigned without `export`."""
    return name in _USUALLY_EXPORTED


def _asked_first(value: str) -> Iterator[str]:
    """The folders of a search path before the one that was there already."""
    for folder in value.split(":"):
        if folder == UNKNOWN:
            return
        yield str(PurePath(folder)) if folder else "."
