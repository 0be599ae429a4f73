"""Where jobs go, and what a model is told of the place: known before the code that runs them is imported."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

if TYPE_CHECKING:
    from ml_intern.core.jobs_backend import JobsBackend
    from ml_intern.core.settings import JobSettings

ABOUT = {
    "hub": (
        "Jobs run on Hugging Face hardware, which is rented by the minute and paid for from the credit of the user or "
        "organisation in `namespace`. A job has an empty disk of its own that is deleted with it: a script must push "
        "what it computes to the Hub (with HF_TOKEN among its `secrets`) or write it to a bucket given in `volumes`. "
        "A job goes on when the app is closed."
    ),
    "local": (
        "Jobs run on this machine, as background processes in the session's workspace; nothing is rented and nothing "
        "leaves the machine. A job survives the app. Files it writes stay where it wrote them. `image` has no effect. "
        "hardware_flavor `local` means its CPUs, `local-gpu` one of its GPUs, `local-gpu:2` two; names of rented "
        "hardware mean the nearest of these. Jobs wait for one another where there are more than GPUs."
    ),
    "slurm": (
        "Jobs run on the Slurm cluster of this machine, in the session's workspace, which the nodes must share with "
        "this machine; nothing is rented. They wait in the cluster's queue and survive the app. hardware_flavor is "
        "`slurm:<partition>` for CPUs, `slurm:<partition>:gpu:2` or, by type, `slurm:<partition>:a100:2` for GPUs of "
        "one node; empty means CPUs of the default partition. `image` has no effect."
    ),
}
"""What a model is told of each backend."""

_HOW_TO_REACH = {
    "local": "hardware_flavor `local` (or `local-gpu`) runs a job on this machine instead, free of charge.",
    "slurm": "hardware_flavor `slurm:<partition>` runs it on the cluster.",
}
_CONFIGURATIONS = tuple(
    Path(place, "slurm.conf")
    for place in ("/etc/slurm", "/etc/slurm-llnl", "/usr/local/etc", "/run/slurm/conf", "/var/spool/slurmd/conf-cache")
)


def about(names: tuple[str, ...]) -> str:
    """What a model is told where jobs go to the first of these backends, and to the others when they ask for it."""
    main, *others = names
    return " ".join([ABOUT[main], *(_HOW_TO_REACH.get(name, "") for name in others)]).strip()


def places_for(settings: JobSettings, token: str, env: Mapping[str, str]) -> tuple[str, ...]:
    """The backends of a run, by name; the first is the one for jobs that ask for none.

    Args:
        settings: `backend` names it; `auto` is the Hub where there is a token.
        token: For the Hub, or empty.
        env: Environment of the run.
    """
    wanted: str = settings.backend
    if wanted == "auto":
        wanted = "hub" if token else "local"
    if wanted == "local":
        return ("local",)
    clusters = ("slurm",) if wanted != "slurm" and slurm_available(env) else ()
    return (wanted, "local", *clusters)


def slurm_available(env: Mapping[str, str]) -> bool:
    """Whether jobs can be submitted to a cluster from this machine: Slurm's programs are here, and so is its
    configuration. Does not ask whether the cluster answers.

    Args:
        env: Where they are looked for (`PATH`, `SLURM_CONF`).
    """
    programs = [shutil.which(name, path=env.get("PATH")) for name in ("sbatch", "squeue", "scancel", "sinfo")]
    if not programs[0] or not all(programs):
        return False
    if own := env.get("SLURM_CONF"):
        return Path(own).is_file()
    if env.get("SLURM_CONF_SERVER"):
        return True
    prefix = Path(programs[0]).resolve().parents[1]  # /opt/slurm of /opt/slurm/bin/sbatch
    return any(
        path.is_file() for path in (*_CONFIGURATIONS, prefix / "etc/slurm.conf", prefix / "etc/slurm/slurm.conf")
    )


class _LateBackend:
    def __init__(self, names: tuple[str, ...], make: Callable[[], JobsBackend]) -> None:
        self.name = names[0]
        self.about = about(names)
        self._make = make

    @cached_property
    def _real(self) -> JobsBackend:
        return self._make()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real, name)


def late_backend(names: tuple[str, ...], make: Callable[[], JobsBackend]) -> JobsBackend:
    """A backend that is made when more is wanted of it than its name and what it is about.

    Args:
        names: What `places_for` has given.
        make: Makes it.
    """
    return cast("JobsBackend", _LateBackend(names, make))
