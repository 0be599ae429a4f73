"""Parameters of `hf_jobs`."""

from __future__ import annotations

import shlex
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, model_validator

from ml_intern.core.tools.spec import Params

Operation = Literal[
    "run",
    "ps",
    "logs",
    "inspect",
    "cancel",
    "wait",
    "metrics",
    "labels",
    "scheduled run",
    "scheduled ps",
    "scheduled inspect",
    "scheduled delete",
    "scheduled suspend",
    "scheduled resume",
    "scheduled trigger",
]

_FLAVOR_NAMES = ("flavor", "hardware")


def _normal(value: Any) -> Any:
    return " ".join(value.lower().split()) if isinstance(value, str) else value


def _words(value: Any) -> Any:
    # A person who edits a command edits one line of text.
    return shlex.split(value) if isinstance(value, str) else value


def _text(value: Any) -> Any:
    return str(value) if isinstance(value, int | float) and not isinstance(value, bool) else value


def _texts(value: Any) -> Any:
    return {name: _text(item) for name, item in value.items()} if isinstance(value, dict) else value


class VolumeParams(Params):
    """Storage that a job finds as a directory."""

    type: Literal["bucket", "model", "dataset", "space"]
    source: str = Field(description="Id of the bucket or repository.")
    mount_path: str = Field(description="Absolute path in the job, for example /data.")
    read_only: bool = Field(False, description="Repositories always are.")


class JobsParams(Params):
    """What a call of `hf_jobs` may say."""

    operation: Annotated[Operation, BeforeValidator(_normal)]
    script: str | None = Field(
        None, description="run: Python source, the path of an existing .py file, or a URL. Either this or command."
    )
    command: Annotated[list[str] | None, BeforeValidator(_words)] = Field(
        None, description="run: program and arguments, passed on without a shell. Either this or script."
    )
    dependencies: list[str] = Field(
        default_factory=list, description="run: packages the script needs, for example transformers>=4.50."
    )
    python: str = Field("", description="run: Python version for the script, for example 3.12.")
    script_args: list[str] = Field(default_factory=list, description="run: arguments of the script.")
    image: str = Field("", description="run: container image.")
    hardware_flavor: str = Field("", description="run: hardware, for example cpu-basic or a10g-small.")
    timeout: Annotated[str, BeforeValidator(_text)] = Field(
        "",
        description="run: stop it after this long: seconds, or 30m, 2h. Leave room to spare. "
        "wait: come back after this long in any case (default 1h).",
    )
    env: Annotated[dict[str, str], BeforeValidator(_texts)] = Field(
        default_factory=dict, description="run: environment variables that are not secret."
    )
    secrets: list[str] = Field(
        default_factory=list,
        description="run: names (never values) of variables the job may have, for example HF_TOKEN to push.",
    )
    volumes: list[VolumeParams] = Field(
        default_factory=list,
        description="run: storage to mount. Files written to a bucket outlive the job: checkpoints belong there.",
    )
    labels: Annotated[dict[str, str], BeforeValidator(_texts)] = Field(
        default_factory=dict, description="run, labels: for finding jobs again. `labels` without any shows them."
    )
    trackio_space_id: str = Field(
        "", description="run: Space that trackio in the job sends metrics to; a private one is made if there is none."
    )
    trackio_project: str = Field("", description="run: trackio project.")
    allow_unsaved: bool = Field(
        False, description="run: train although nothing of it is saved beyond the job, for a test run for example."
    )
    namespace: str = Field("", description="User or organisation the job belongs to.")
    name: str = Field("", description="run: short title.")
    detach: bool = Field(
        False, description="run: return as soon as it is submitted. Otherwise the call follows the job to its end."
    )
    job_id: str = Field("", description="logs, inspect, cancel, wait, metrics, labels: which job.")
    job_ids: list[str] = Field(default_factory=list, description="wait: several jobs.")
    until: Literal["all", "first"] = Field("all", description="wait: until all of them have ended, or the first.")
    wait: bool = Field(False, description="logs: follow the job to its end.")
    tail: Annotated[int, Field(ge=1, le=2000)] = Field(100, description="logs: how many of the last lines.")
    all: bool = Field(False, description="ps: also jobs that have ended; scheduled ps: also suspended ones.")
    status: str = Field("", description="ps: only jobs in this stage.")
    schedule: str = Field("", description="scheduled run: cron expression or @hourly, @daily, @weekly, @monthly.")
    suspend: bool = Field(False, description="scheduled run: set it up, but let it rest until `scheduled resume`.")
    scheduled_job_id: str = Field("", description="scheduled inspect, delete, suspend, resume, trigger: which one.")

    @model_validator(mode="before")
    @classmethod
    def _other_names_of_hardware(cls, data: Any) -> Any:
        if isinstance(data, dict) and "hardware_flavor" not in data:
            for name in _FLAVOR_NAMES:
                if name in data:
                    data = {**data, "hardware_flavor": data[name]}
                    del data[name]
                    break
        return data
