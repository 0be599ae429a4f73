"""The partitions of a cluster as hardware that a job can ask for.

`slurm:main` is a few CPUs of a node of the partition `main`, `slurm:gpu:a100:2` two of its A100s with their share of
the node, `slurm:gpu:gpu:2` two of its GPUs of whatever type.
"""

from __future__ import annotations

import difflib
import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from ml_intern.core.jobs import Flavor, JobsError

SINFO_FORMAT = "%P|%a|%l|%c|%m|%G"
"""Fields of `sinfo -o`: partition, whether it is up, time limit, CPUs, MB and generic resources of a node."""

PREFIX = "slurm"
CPUS_WITHOUT_GPU = 8
"""A job without GPUs takes this many, or all of a smaller node."""

_MEMORY_SHARE = 0.95
"""The system of a node needs some itself."""

_GPU = re.compile(r"^gpu(?::([^:()=]+))?:(\d+)")


@dataclass(frozen=True, slots=True)
class Partition:
    """One kind of node in a partition.

    Attributes:
        name: The partition.
        default: Whether it is the cluster's default.
        limit_s: Seconds a job may take, None without a limit.
        cpus: CPUs of a node.
        memory_mb: Memory of a node.
        gpus: Number of GPUs of a node by type; the type is `gpu` where none is told.
    """

    name: str
    default: bool
    limit_s: float | None
    cpus: int
    memory_mb: int
    gpus: tuple[tuple[str, int], ...] = ()


@dataclass(frozen=True, slots=True)
class Request:
    """What a job asks of Slurm.

    Attributes:
        partition: Where.
        cpus: CPUs of one node.
        memory_mb: Memory of that node; 0 leaves it to the cluster.
        gres: Generic resources, for example `gpu:a100:2`, or empty.
        limit_s: Seconds the partition allows, None without a limit.
    """

    partition: str
    cpus: int
    memory_mb: int
    gres: str
    limit_s: float | None


def partitions(text: str) -> tuple[Partition, ...]:
    """Partitions of an answer in `SINFO_FORMAT`; one for each kind of node, without those that are down."""
    found = []
    for line in text.splitlines():
        fields = [field.strip() for field in line.split("|")]
        if len(fields) != 6 or fields[1] != "up":
            continue
        name, _, limit, cpus, memory, gres = fields
        found.append(
            Partition(
                name.rstrip("*"), name.endswith("*"), _limit_s(limit), _number(cpus), _number(memory), _gpus(gres)
            )
        )
    return tuple(sorted(found, key=lambda partition: not partition.default))


def flavors(found: Sequence[Partition]) -> tuple[Flavor, ...]:
    """Everything on offer: each partition once, and each number of each type of GPU that a node of it has."""
    every: dict[str, Flavor] = {}
    for partition in found:
        names = [f"{PREFIX}:{partition.name}"]
        for kind, most in partition.gpus:
            names += [f"{PREFIX}:{partition.name}:{kind}:{count}" for count in _counts(most)]
        for name in names:
            every.setdefault(name, find(name, found)[0])
    return tuple(every.values())


def find(name: str, found: Sequence[Partition]) -> tuple[Flavor, Request]:
    """The hardware of this name, or the default partition's for an empty one.

    Raises:
        JobsError: There is none; the text names those there are.
    """
    if not found:
        raise JobsError("The cluster offers no partition that is up. `sinfo` shows what it has.")
    parts = (name or f"{PREFIX}:{found[0].name}").split(":")
    nodes = [partition for partition in found if partition.name == (parts[1] if len(parts) > 1 else "")]
    if parts[0] != PREFIX or not nodes or len(parts) > 4 or not (len(parts) < 4 or parts[3].isdigit()):
        raise JobsError(_unknown(name, found))
    if len(parts) == 2:
        # Nodes without GPUs first: those with some are for those who need them.
        return _cpu_flavor(name, min(nodes, key=lambda node: (bool(node.gpus), -node.cpus)))
    kind, count = parts[2], int(parts[3]) if len(parts) == 4 else 1
    having = [(node, most) for node in nodes for have, most in node.gpus if kind in {"gpu", have} and most >= count]
    if not having or not count:
        raise JobsError(_unknown(name, found))
    node, most = having[0]
    return _gpu_flavor(name, node, kind, count, count / most)


def _cpu_flavor(name: str, node: Partition) -> tuple[Flavor, Request]:
    cpus = max(1, min(CPUS_WITHOUT_GPU, node.cpus))
    request = _request(node, cpus, cpus / max(1, node.cpus), "")
    label = f"{cpus} CPUs of a node in the partition {node.name} of your cluster"
    return _flavor(name or f"{PREFIX}:{node.name}", label, request), request


def _gpu_flavor(name: str, node: Partition, kind: str, count: int, share: float) -> tuple[Flavor, Request]:
    request = _request(node, max(1, int(node.cpus * share)), share, f"gpu:{count}" if kind == "gpu" else "")
    if kind != "gpu":
        request = replace(request, gres=f"gpu:{kind}:{count}")
    types = [have for have, _ in node.gpus]
    title = kind if kind != "gpu" else types[0] if len(types) == 1 else "gpu"
    title = "GPU" if title == "gpu" else title.upper()
    flavor = _flavor(name, f"{count}x {title} in the partition {node.name} of your cluster", request)
    return replace(flavor, accelerator=f"{count}x {title}"), request


def _flavor(name: str, label: str, request: Request) -> Flavor:
    ram = f"{request.memory_mb / 1024:.0f} GB" if request.memory_mb else ""
    return Flavor(name, label, cpu=request.cpus, ram=ram, usd_per_hour=0.0, runs_on=PREFIX)


def _request(node: Partition, cpus: int, share: float, gres: str) -> Request:
    memory = int(node.memory_mb * min(share, _MEMORY_SHARE))
    return Request(node.name, cpus, memory if node.memory_mb > 1 else 0, gres, node.limit_s)


def _counts(most: int) -> Iterable[int]:
    powers = (2**exponent for exponent in range(int(math.log2(most)) + 1))
    return sorted({*powers, most})


def _gpus(gres: str) -> tuple[tuple[str, int], ...]:
    """Types and numbers of `gpu:a100:4(S:0-1),gpu:v100:2,lustre:1`."""
    found: dict[str, int] = {}
    for part in re.split(r",(?![^(]*\))", gres):
        if (match := _GPU.match(part)) and int(match[2]):
            kind = match[1] or "gpu"
            found[kind] = found.get(kind, 0) + int(match[2])
    return tuple(found.items())


def _limit_s(text: str) -> float | None:
    """Seconds of `infinite`, `5:00`, `2:00:00` or `1-12:00:00`."""
    found = re.fullmatch(r"(?:(\d+)-)?(?:(\d+):)?(\d+):(\d+)", text)
    if not found:
        return None
    days, hours, minutes, seconds = (int(part or 0) for part in found.groups())
    return float(((days * 24 + hours) * 60 + minutes) * 60 + seconds)


def _number(text: str) -> int:
    found = re.match(r"\d+", text)  # 64+ stands for several kinds of nodes
    return int(found[0]) if found else 0


def _unknown(name: str, found: Sequence[Partition]) -> str:
    known = [flavor.name for flavor in flavors(found)]
    near = difflib.get_close_matches(name, known, n=3, cutoff=0.6)
    shown = ", ".join(known[:12]) + (f" and {len(known) - 12} more" if len(known) > 12 else "")
    hint = f"Did you mean {' or '.join(near)}?" if near else f"Valid: {shown}."
    return f"The cluster has no hardware {name!r}. {hint}"
