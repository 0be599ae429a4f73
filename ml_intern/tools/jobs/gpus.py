"""Which GPUs this machine has and how busy they are, as the tools of their makers tell it.

No tool, a tool that fails and a tool that hangs all mean the same: no GPUs.
"""

from __future__ import annotations

import contextlib
import csv
import io
import platform
import re
import shutil
import subprocess
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from ml_intern.core.jobs import GpuLoad

VISIBLE_VARIABLES: Mapping[str, tuple[str, ...]] = {
    "cuda": ("CUDA_VISIBLE_DEVICES", "HIP_VISIBLE_DEVICES"),
    "rocm": ("CUDA_VISIBLE_DEVICES", "HIP_VISIBLE_DEVICES"),
    "mps": (),
}
"""Environment variables that choose among GPUs of a kind; Apple's has none."""

_QUERY = "index,uuid,name,memory.total,utilization.gpu,memory.used,temperature.gpu"


@dataclass(frozen=True, slots=True)
class Gpu:
    """One GPU.

    Attributes:
        index: Its number, as `CUDA_VISIBLE_DEVICES` and its like take it.
        name: For people.
        kind: How programs reach it.
        memory_gb: Its memory in GiB; None when unknown, or shared with the CPUs.
        uuid: Its lasting name, where it has one.
    """

    index: str
    name: str
    kind: Literal["cuda", "rocm", "mps"] = "cuda"
    memory_gb: float | None = None
    uuid: str = ""


class Gpus:
    """The GPUs of this machine that its environment leaves visible.

    Args:
        env: Where the tools are looked for (`PATH`), and which GPUs may be used (`CUDA_VISIBLE_DEVICES`).
        system: `Linux`, `Darwin` or `Windows`; this one by default.
        timeout_s: Seconds a tool may take: a driver in trouble lets its tools hang.
    """

    def __init__(self, env: Mapping[str, str], system: str = "", timeout_s: float = 10.0) -> None:
        self._env = env
        self._timeout_s = timeout_s
        self._system = system or platform.system()
        self._lock = threading.Lock()
        self._found: tuple[Gpu, ...] | None = None

    @property
    def known(self) -> tuple[Gpu, ...]:
        """What was found so far, without looking."""
        return self._found or ()

    def get(self) -> tuple[Gpu, ...]:
        """The GPUs, looked for once. May take seconds the first time: call it in a thread."""
        with self._lock:
            if self._found is None:
                self._found = self._look()
            return self._found

    def forget(self) -> None:
        """Lets the next `get` look again."""
        with self._lock:
            self._found = None

    def loads(self, indices: Sequence[str]) -> tuple[GpuLoad, ...]:
        """How busy some of them are. Takes a moment: call it in a thread."""
        kinds = {gpu.kind for gpu in self.known if gpu.index in indices}
        read = _nvidia if "cuda" in kinds else _amd if "rocm" in kinds else None
        return tuple(load for gpu, load in (read(self._run) if read else ()) if gpu.index in indices)

    def _look(self) -> tuple[Gpu, ...]:
        if self._system == "Darwin":
            return self._apple()
        for read, variable in ((_nvidia, "CUDA_VISIBLE_DEVICES"), (_amd, "HIP_VISIBLE_DEVICES")):
            if found := tuple(gpu for gpu, _ in read(self._run)):
                return visible(found, self._env.get(variable))
        return ()

    def _apple(self) -> tuple[Gpu, ...]:
        chip = self._run("sysctl", "-n", "machdep.cpu.brand_string").strip()
        return (Gpu("0", f"{chip} (MPS)", "mps"),) if chip.startswith("Apple") else ()

    def _run(self, name: str, *arguments: str) -> str:
        program = shutil.which(name, path=self._env.get("PATH"))
        if program is None:
            return ""
        try:
            process = subprocess.Popen(
                [program, *arguments],
                env=dict(self._env),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                text=True,
                errors="replace",
            )
        except OSError:
            return ""
        try:
            out, _ = process.communicate(timeout=self._timeout_s)
        except subprocess.TimeoutExpired:
            _give_up(process)
            return ""
        return out if process.returncode == 0 else ""


def visible(gpus: Sequence[Gpu], chosen: str | None) -> tuple[Gpu, ...]:
    """Those of the GPUs that an environment variable leaves to programs.

    Args:
        gpus: All there are.
        chosen: Numbers or beginnings of UUIDs, separated by commas; None means all. As drivers do it, the first one
            that does not exist ends the list.
    """
    if chosen is None:
        return tuple(gpus)
    left: list[Gpu] = []
    for word in (part.strip() for part in chosen.split(",")):
        match = next((gpu for gpu in gpus if word and (gpu.index == word or gpu.uuid.startswith(word))), None)
        if match is None:
            break
        if match not in left:
            left.append(match)
    return tuple(left)


def _give_up(process: subprocess.Popen[str]) -> None:
    """Ends a process without waiting for one that the system itself cannot end."""
    process.kill()
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(1.0)
    if process.stdout:
        process.stdout.close()


Run = Callable[..., str]


def _nvidia(run: Run) -> list[tuple[Gpu, GpuLoad]]:
    found = []
    for row in csv.reader(
        io.StringIO(run("nvidia-smi", f"--query-gpu={_QUERY}", "--format=csv,noheader,nounits")), skipinitialspace=True
    ):
        if len(row) != len(_QUERY.split(",")) or not row[0].isdigit():
            continue
        index, uuid, name, total, busy, used, warm = row
        gpu = Gpu(index, name, "cuda", _gib(total, 1024), uuid)
        load = GpuLoad(name, _number(busy), _gib(used, 1024), gpu.memory_gb, _number(warm))
        found.append((gpu, load))
    return found


def _amd(run: Run) -> list[tuple[Gpu, GpuLoad]]:
    what = ("--showproductname", "--showmeminfo", "vram", "--showuse", "--showtemp", "--csv")
    found = []
    for row in csv.DictReader(io.StringIO(run("rocm-smi", *what))):
        number = re.fullmatch(r"card(\d+)", row.get("device") or "")
        if not number:
            continue
        name = _column(row, "card series") or _column(row, "card model") or "AMD GPU"
        total, used = _column(row, "vram total memory"), _column(row, "vram total used memory")
        gpu = Gpu(number[1], name, "rocm", _gib(total, 2**30))
        load = GpuLoad(
            name, _number(_column(row, "gpu use")), _gib(used, 2**30), gpu.memory_gb, _number(_column(row, "temp"))
        )
        found.append((gpu, load))
    return found


def _column(row: Mapping[str, str | None], begins: str) -> str:
    # Units and sensors that follow in a heading differ from version to version.
    return next((value for name, value in row.items() if value and name and name.lower().startswith(begins)), "")


def _gib(text: str, per_gib: float) -> float | None:
    number = _number(text)
    return None if number is None else number / per_gib


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:  # [N/A], [Not Supported]
        return None
