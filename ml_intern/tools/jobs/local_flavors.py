"""The hardware of this machine, and what names of rented hardware mean on it."""

from __future__ import annotations

import difflib
import os
import re
from collections.abc import Sequence

from ml_intern.core.jobs import Flavor, JobsError
from ml_intern.tools.jobs.gpus import Gpu
from ml_intern.tools.jobs.hardware import hub_flavors, is_cpu_flavor

_LOCAL_GPU = re.compile(r"local-gpu(?::(\d+))?")


def needs_gpu(name: str) -> bool:
    """Whether it depends on the GPUs of this machine what a name means."""
    return not is_cpu_flavor(name)


def machine_flavors(gpus: Sequence[Gpu], memory_gb: float | None) -> tuple[Flavor, ...]:
    """This machine's CPUs, and each number of GPUs it can give.

    Args:
        gpus: Its GPUs.
        memory_gb: Memory that a job may use, None for all.
    """
    counts = range(1, len(gpus) + 1)
    return (_flavor("local", (), memory_gb), *(_flavor(_gpu_name(n), gpus[:n], memory_gb) for n in counts))


def local_flavor(name: str, gpus: Sequence[Gpu], memory_gb: float | None) -> Flavor:
    """What a name means here: names of the Hub stand for the nearest this machine has.

    Raises:
        JobsError: It means nothing, or asks for GPUs by number that are not there.
    """
    if not name or name == "local":
        return _flavor("local", (), memory_gb)
    if own := _LOCAL_GPU.fullmatch(name):
        count = int(own[1] or 1)
        if not 1 <= count <= len(gpus):
            raise JobsError(_too_many(name, len(gpus)))
        return _flavor(name, gpus[:count], memory_gb)
    rented = next((flavor for flavor in hub_flavors() if flavor.name == name), None)
    if rented is None:
        raise JobsError(_unknown(name, gpus))
    given = gpus[: rented.accelerators]
    what = _label(given) if given or not rented.has_accelerator else "the CPUs of this machine, which has no GPU,"
    return _flavor(name, given, memory_gb, f"{what} instead of {name}; nothing is rented")


def _flavor(name: str, gpus: Sequence[Gpu], memory_gb: float | None, label: str = "") -> Flavor:
    memory = [gpu.memory_gb for gpu in gpus if gpu.memory_gb]
    return Flavor(
        name,
        label or _label(gpus),
        cpu=os.cpu_count() or 0,
        ram=_ram(memory_gb),
        accelerator=f"{len(gpus)}x {gpus[0].name}" if gpus else "",
        vram_gb=round(sum(memory)),
        usd_per_hour=0.0,
        runs_on="local",
    )


def _label(gpus: Sequence[Gpu]) -> str:
    if not gpus:
        return "this machine"
    return f"{'one GPU' if len(gpus) == 1 else f'{len(gpus)} GPUs'} of this machine"


def _gpu_name(count: int) -> str:
    return "local-gpu" if count == 1 else f"local-gpu:{count}"


def _too_many(name: str, there: int) -> str:
    if not there:
        return f"{name!r} is not possible: this machine has no GPU that can be used. `local` runs on its CPUs."
    return f"{name!r} is not possible: this machine has {there} GPU{'' if there == 1 else 's'} that can be used."


def _unknown(name: str, gpus: Sequence[Gpu]) -> str:
    known = [*(flavor.name for flavor in machine_flavors(gpus, None)), *(flavor.name for flavor in hub_flavors())]
    near = difflib.get_close_matches(name, known, n=3, cutoff=0.5)
    hint = f"Did you mean {' or '.join(near)}?" if near else f"Valid: {', '.join(known)}."
    return f"There is no hardware flavor {name!r}. {hint} All of them run on this machine here."


def _ram(memory_gb: float | None) -> str:
    try:
        size = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 1e9
    except (ValueError, OSError):
        return f"{memory_gb:g} GB" if memory_gb else ""
    return f"{min(size, memory_gb or size):.0f} GB"
