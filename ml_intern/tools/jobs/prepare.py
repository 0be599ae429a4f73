"""From the parameters of a `run` to a job that can be submitted, with everything a person should see before it is."""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from ml_intern.core import labels
from ml_intern.core.approvals.effects import Cost
from ml_intern.core.jobs import Flavor, JobsError, JobSpec, Volume, parse_duration
from ml_intern.core.jobs_backend import JobsBackend
from ml_intern.core.llm.routing import find_hf_token
from ml_intern.core.secret_values import is_secret
from ml_intern.core.tools.spec import ToolContext
from ml_intern.tools.jobs.params import JobsParams, VolumeParams

MAX_SCRIPT_BYTES = 1_000_000

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_REFERENCE = re.compile(r"\$(?:[A-Za-z_]\w*|\{\w+\})")
TOKEN_NAMES = ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN")

Check = tuple[bool, str]
"""A finding of the pre-flight: whether it is a good one, and what it says."""


@dataclass(frozen=True, slots=True)
class PreparedJob:
    """A job that is ready to be submitted.

    Attributes:
        spec: The job.
        flavor: Hardware it would run on.
        cost: What it costs at most.
        path: The file its script was read from, if it was one.
        default_timeout: Whether nobody chose its timeout.
        findings: What was found out about it elsewhere.
        trackio_space: Space that its metrics go to, or empty.
    """

    spec: JobSpec
    flavor: Flavor
    cost: Cost
    path: str = ""
    default_timeout: bool = False
    findings: tuple[Check, ...] = ()
    trackio_space: str = ""

    @property
    def text(self) -> str:
        """The script, its address, or the command line."""
        return self.spec.script or self.spec.url or shlex.join(self.spec.command)

    @property
    def is_rented(self) -> bool:
        """Whether it runs on hardware of others."""
        return not self.flavor.runs_on


@dataclass(slots=True)
class AssessedRuns:
    """What was shown before a `run` was decided on, by call id: exactly that runs, whatever changed on disk since."""

    jobs: dict[str, PreparedJob | JobsError] = field(default_factory=dict)


def prepare(
    params: JobsParams,
    backend: JobsBackend,
    context: ToolContext,
    secrets: Mapping[str, str] | None = None,
    read: str | None = None,
) -> PreparedJob:
    """Checks the parameters of a `run` and reads its script. Blocks shortly: call it in a thread.

    Args:
        params: Parameters of the call.
        backend: Where it would run.
        context: The call's context.
        secrets: Where the values of named secrets come from; the environment by default.
        read: The text of the script, where its path is one that is not on this machine.

    Raises:
        JobsError: They do not make a job.
    """
    if bool(params.script) == bool(params.command):
        raise JobsError("Give either `script` or `command`: a run needs exactly one of them.")
    if params.command and (params.dependencies or params.script_args or params.python):
        raise JobsError("`dependencies`, `python` and `script_args` belong to a `script`, not to a `command`.")
    timeout_s = parse_duration(params.timeout or context.settings.jobs.default_timeout)
    flavor = backend.find_flavor(params.hardware_flavor)
    script, path, url = _source(params, context.workspace, flavor, read)
    sources = context.env if secrets is None else secrets
    _keep_token_out(params, script, sources)
    spec = JobSpec(
        kind="script" if params.script else "command",
        script=script,
        url=url,
        command=tuple(params.command or ()),
        dependencies=tuple(params.dependencies),
        python=params.python,
        script_args=tuple(params.script_args),
        image=params.image,
        flavor=flavor.name,
        timeout_s=timeout_s,
        env=_env(params),
        secrets=_secrets(params.secrets, sources),
        namespace=params.namespace,
        name=params.name or (Path(path).name if path else ""),
        labels={**params.labels, **labels.of_session(context.session_id)},
        workdir=context.workspace,
        volumes=tuple(_volume(volume) for volume in params.volumes),
    )
    return PreparedJob(
        spec,
        flavor,
        backend.estimate(flavor, timeout_s),
        path,
        default_timeout=not params.timeout,
        trackio_space=params.trackio_space_id,
    )


def _source(params: JobsParams, workspace: Path, flavor: Flavor, read: str | None) -> tuple[str, str, str]:
    """The script, the file it came from, and the address it is to be fetched from; what does not apply is empty."""
    if not params.script:
        return "", "", ""
    if read is not None:
        return _within_limit(read), params.script, ""
    if not is_url(params.script):
        return *_script(params.script, workspace), ""
    if flavor.runs_on:
        raise JobsError("A script cannot be given as an address here: download it and pass its path, or its source.")
    return "", "", params.script.strip()


def looks_like_path(script: str) -> bool:
    """Whether a `script` names a file: one line without blanks around it that ends in `.py` or begins like a path."""
    if "\n" in script or script != script.strip() or is_url(script):
        return False
    if script.startswith(("/", "./", "../", "~/")):
        return True
    return script.endswith(".py") and " " not in script


def is_url(script: str) -> bool:
    """Whether a `script` is an address."""
    return re.match(r"https?://\S+$", script.strip()) is not None


def _script(script: str, workspace: Path) -> tuple[str, str]:
    """Source of the script and the file it came from, if any."""
    if not looks_like_path(script):
        return _within_limit(script), ""
    path = (workspace / Path(script).expanduser()).resolve()
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except FileNotFoundError:
        raise JobsError(f"The script {path} does not exist: write it first, or pass its source.") from None
    except UnicodeDecodeError:
        raise JobsError(f"The script {path} is not UTF-8 text.") from None
    except OSError as error:
        raise JobsError(f"The script {path} cannot be read: {(error.strerror or str(error)).lower()}.") from None
    if not text.strip():
        raise JobsError(f"The script {path} is empty.")
    return _within_limit(text), str(path)


def _volume(volume: VolumeParams) -> Volume:
    if not volume.mount_path.startswith("/"):
        raise JobsError(f"The mount_path {volume.mount_path!r} of a volume must be absolute, for example /data.")
    return Volume(volume.type, volume.source, volume.mount_path, volume.read_only or volume.type != "bucket")


def _keep_token_out(params: JobsParams, script: str, source: Mapping[str, str]) -> None:
    """A job's source, arguments and labels can be read by many; secrets go another way."""
    token = find_hf_token(source)
    # All of the call: whoever may see the job sees its image, its title and its dependencies too.
    if token and (token in script or token in repr(params)):
        raise JobsError("The job holds the Hugging Face token in plain text: name HF_TOKEN in `secrets` instead.")


def _within_limit(text: str) -> str:
    try:
        text.encode()
    except UnicodeEncodeError:
        raise JobsError("The script holds half a character that cannot be sent. Write it whole.") from None
    if "\0" in text:
        raise JobsError("The script holds a NUL character. Remove it.")
    if len(text) > MAX_SCRIPT_BYTES:
        raise JobsError(f"The script has {len(text):,} characters; put its data into a file beside it.")
    return text


def _env(params: JobsParams) -> dict[str, str]:
    env = dict(params.env)
    for name, value in env.items():
        if not _NAME.fullmatch(name):
            raise JobsError(f"{name!r} is no name of an environment variable.")
        if name in TOKEN_NAMES or name in params.secrets:
            raise JobsError(f"{name} is a secret: list its name in `secrets`, and leave it out of `env`.")
        if _REFERENCE.fullmatch(value):
            raise JobsError(f"Nothing is filled in for {value}: {name} needs its value, or its name in `secrets`.")
        if is_secret(name, value, quoted=True):
            raise JobsError(f"{name} looks like a secret: list its name in `secrets` instead of its value in `env`.")
    if params.trackio_space_id:
        env.setdefault("TRACKIO_SPACE_ID", params.trackio_space_id)
    if params.trackio_project:
        env.setdefault("TRACKIO_PROJECT", params.trackio_project)
    return env


def _secrets(names: list[str], source: Mapping[str, str]) -> dict[str, str]:
    found = {}
    for name in names:
        if not _NAME.fullmatch(name):
            raise JobsError("`secrets` takes names of environment variables, never values.")
        value = source.get(name) or os.environ.get(name)
        if name in TOKEN_NAMES:
            value = find_hf_token(source) or find_hf_token(os.environ)
        if not value:
            raise JobsError(f"The secret {name} is not set: export it, or run the job without it.")
        found[name] = value
    return found
