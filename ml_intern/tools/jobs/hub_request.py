"""From a job as we describe it to what the Hub is asked for.

Nothing is ever quoted into a shell line. A script travels in environment variables and is put into a file by a fixed
line of shell; every requirement and every argument is an item of the argument vector of its own.
"""

from __future__ import annotations

import base64
import gzip
import re
import shlex
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ml_intern.core.jobs import JobsError, JobSpec
from ml_intern.tools.jobs.quiet import QUIET

if TYPE_CHECKING:
    from huggingface_hub import Volume

SCRIPT_IMAGE = "ghcr.io/astral-sh/uv:python3.12-bookworm"
COMMAND_IMAGE = "python:3.12"

CHUNK_BYTES = 90_000
"""Most of a script that goes into one variable: Linux takes no string of 128 KiB or more."""

MAX_CHUNKS = 9
"""Arguments and environment of a program share a limit of a few such strings."""

SCRIPT_VARIABLE = "ML_INTERN_SCRIPT"

# $0 is where the script goes, $@ is what runs it. A script that arrived torn must not run, nor look like one that did.
_UNPACK = """\
fail() { echo "ml-intern: $1" >&2; exit 70; }
mkdir -p "${0%%/*.py}" || fail "the directory of the script cannot be made"
printf %%s %(variables)s | %(decode)s > "$0"
[ "$(($(wc -c < "$0")))" -eq "$ML_INTERN_SCRIPT_BYTES" ] || \\
  fail "the script did not arrive whole; does the image have base64 and gzip?"
unset ML_INTERN_SCRIPT_BYTES %(names)s
command -v "$1" > /dev/null || fail "this image has no $1: leave out \\`image\\`, or take one that has it"
exec "$@"
"""

_NOT_IN_LABELS = re.compile(r"[^A-Za-z0-9._-]")
_LABEL = re.compile(r"[A-Za-z0-9._-]{1,100}")


@dataclass(frozen=True, slots=True)
class Request:
    """What goes to the Hub, in its client's terms."""

    image: str
    command: list[str]
    env: dict[str, str]


def request_for(spec: JobSpec, key: str) -> Request:
    """Image, command and environment of a job.

    Args:
        spec: The job.
        key: Letters and digits that no other job has.

    Raises:
        JobsError: The script is too large to be sent.
    """
    env = {**QUIET, **spec.env}
    if spec.kind == "command":
        return Request(spec.image or COMMAND_IMAGE, list(spec.command), env)
    image = spec.image or SCRIPT_IMAGE
    if spec.url:
        return Request(image, _uv(spec, spec.url), env)
    place = f"/tmp/ml-intern-{key}/{_file_name(spec)}"  # noqa: S108 - in the job's container, under a name nobody else has
    variables, decode = _packed(spec.script)
    line = _UNPACK % {
        "variables": " ".join(f'"${name}"' for name in variables),
        "decode": decode,
        "names": " ".join(variables),
    }
    sent = {**variables, f"{SCRIPT_VARIABLE}_BYTES": str(len(spec.script.encode()))}
    return Request(image, ["sh", "-c", line, place, *_uv(spec, place)], {**env, **sent})


def labels_for(spec: JobSpec, more: dict[str, str]) -> dict[str, str]:
    """All labels of a job, with its title among them.

    Raises:
        JobsError: A label is none that the Hub takes.
    """
    return {**checked_labels(spec.labels), **more, "name": label_text(_title(spec))}


def checked_labels(labels: Any) -> dict[str, str]:
    """Labels as they are, if the Hub takes them.

    Raises:
        JobsError: It does not.
    """
    for name, value in labels.items():
        if not _LABEL.fullmatch(name) or (value and not _LABEL.fullmatch(value)):
            allowed = "letters, digits, dots, dashes and underscores, up to 100 of them"
            raise JobsError(f"The label {name}={value} is not possible: names and values take {allowed}.")
    return dict(labels)


def label_text(text: str) -> str:
    """A text as the value of a label."""
    return _NOT_IN_LABELS.sub("-", text)[:100] or "job"


def volumes_for(spec: JobSpec) -> list[Volume] | None:
    """Volumes in the client's terms. Imports the client."""
    from huggingface_hub import Volume

    return [
        Volume(
            type=volume.kind,
            source=volume.source,
            mount_path=volume.mount_path,
            read_only=True if volume.read_only else None,
        )
        for volume in spec.volumes
    ] or None


def shown_command(command: list[str], env: dict[str, Any]) -> str:
    """The command of a job for people: without the line that unpacks its script."""
    if len(command) > 4 and command[0] == "sh" and SCRIPT_VARIABLE in env:
        return shlex.join([part.rpartition("/")[2] if part == command[3] else part for part in command[4:]])
    return shlex.join(command)


def _uv(spec: JobSpec, script: str) -> list[str]:
    wanted = [part for name in spec.dependencies for part in ("--with", name)]
    version = ["--python", spec.python] if spec.python else []
    return ["uv", "run", *wanted, *version, script, *spec.script_args]


def _packed(script: str) -> tuple[dict[str, str], str]:
    """The variables that hold a script, and the command that makes it of them again."""
    encoded, decode = base64.b64encode(script.encode()).decode(), "base64 -d"
    if len(encoded) > CHUNK_BYTES:
        encoded = base64.b64encode(gzip.compress(script.encode(), mtime=0)).decode()
        decode = "base64 -d | gzip -dc"
    chunks = [encoded[at : at + CHUNK_BYTES] for at in range(0, len(encoded), CHUNK_BYTES)] or [""]
    if len(chunks) > MAX_CHUNKS:
        size, most = len(encoded) / 1000, MAX_CHUNKS * CHUNK_BYTES / 1000
        raise JobsError(
            f"The script takes {size:,.0f} kB when packed, and {most:,.0f} kB is the most that can be sent with a job. "
            "Put its data into a repository or a bucket, and load it from there."
        )
    names = [SCRIPT_VARIABLE, *(f"{SCRIPT_VARIABLE}_{number}" for number in range(2, len(chunks) + 1))]
    return dict(zip(names, chunks, strict=True)), decode


def _file_name(spec: JobSpec) -> str:
    name = _NOT_IN_LABELS.sub("_", spec.name)
    return name if re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,80}\.py", name) else "script.py"


def _title(spec: JobSpec) -> str:
    if spec.name:
        return spec.name
    if spec.url:
        return spec.url.partition("?")[0].rpartition("/")[2]
    return "script.py" if spec.kind == "script" else spec.command[0].rpartition("/")[2]
