from __future__ import annotations

import time
from pathlib import Path

import pytest

from ml_intern.tools.jobs.gpus import Gpu, Gpus, visible

NVIDIA = """#!/bin/sh
echo x >> "$0.calls"
echo "0, GPU-aaaa, NVIDIA A100-SXM4-80GB, 81920, 97, 40960, 63"
echo "1, GPU-bbbb, NVIDIA A100-SXM4-80GB, 81920, [N/A], [Not Supported], 55"
"""
AMD = """#!/bin/sh
echo "device,Temperature (Sensor edge) (C),GPU use (%),VRAM Total Memory (B),VRAM Total Used Memory (B),Card series"
echo "card0,41.0,88,68702699520,34351349760,Instinct MI210"
echo ""
"""
APPLE = """#!/bin/sh
echo "Apple M3 Max"
"""


def tool(directory: Path, name: str, text: str) -> dict[str, str]:
    path = directory / name
    path.write_text(text)
    path.chmod(0o755)
    return {"PATH": f"{directory}:/usr/bin:/bin"}


def test_a_machine_without_any_tool_has_no_gpus(tmp_path: Path) -> None:
    gpus = Gpus({"PATH": str(tmp_path)}, "Linux")
    assert gpus.get() == ()
    assert gpus.loads(["0"]) == ()


def test_nvidia_gpus_are_found_once_and_measured(tmp_path: Path) -> None:
    gpus = Gpus(tool(tmp_path, "nvidia-smi", NVIDIA), "Linux")
    assert not gpus.known
    first, second = gpus.get()
    assert (first.index, first.name, first.kind, first.memory_gb) == ("0", "NVIDIA A100-SXM4-80GB", "cuda", 80.0)
    assert gpus.get() == gpus.known == (first, second)
    assert (tmp_path / "nvidia-smi.calls").read_text().count("x") == 1
    busy, unknown = gpus.loads(["0", "1"])
    assert (busy.utilisation, busy.used_gb, busy.total_gb, busy.temperature_c) == (97.0, 40.0, 80.0, 63.0)
    assert (unknown.utilisation, unknown.used_gb, unknown.total_gb) == (None, None, 80.0)
    assert [load.name for load in gpus.loads(["1"])] == ["NVIDIA A100-SXM4-80GB"]


def test_amd_gpus_are_found_and_measured(tmp_path: Path) -> None:
    gpus = Gpus(tool(tmp_path, "rocm-smi", AMD), "Linux")
    (found,) = gpus.get()
    assert (found.index, found.name, found.kind) == ("0", "Instinct MI210", "rocm")
    assert found.memory_gb == pytest.approx(63.98, abs=0.01)
    (load,) = gpus.loads(["0"])
    assert (load.utilisation, load.temperature_c) == (88.0, 41.0)
    assert load.used_gb == pytest.approx(31.99, abs=0.01)


def test_the_gpu_of_a_mac_has_the_name_of_its_chip(tmp_path: Path) -> None:
    gpus = Gpus(tool(tmp_path, "sysctl", APPLE), "Darwin")
    assert gpus.get() == (Gpu("0", "Apple M3 Max (MPS)", "mps"),)
    assert gpus.loads(["0"]) == ()


@pytest.mark.parametrize("text", ["#!/bin/sh\nexit 9\n", "#!/bin/sh\necho 'NVIDIA-SMI has failed, contact nobody'\n"])
def test_a_tool_that_fails_means_no_gpus(tmp_path: Path, text: str) -> None:
    assert Gpus(tool(tmp_path, "nvidia-smi", text), "Linux").get() == ()


def test_a_tool_that_hangs_is_given_up(tmp_path: Path) -> None:
    gpus = Gpus(tool(tmp_path, "nvidia-smi", "#!/bin/sh\nexec sleep 30\n"), "Linux", timeout_s=0.2)
    before = time.monotonic()
    assert gpus.get() == ()
    assert time.monotonic() - before < 5


GPUS = tuple(Gpu(str(number), "A100", uuid=f"GPU-{number}a{number}b") for number in range(4))


@pytest.mark.parametrize(
    ("chosen", "left"),
    [
        (None, "0123"),
        ("", ""),
        ("-1", ""),
        ("NoDevFiles", ""),
        ("2,0", "20"),
        (" 1 , 1,3", "13"),
        ("0,9,1", "0"),
        ("GPU-3a,GPU-1a1b", "31"),
    ],
)
def test_only_gpus_that_the_environment_leaves_are_used(chosen: str | None, left: str) -> None:
    assert "".join(gpu.index for gpu in visible(GPUS, chosen)) == left


def test_the_environment_chooses_among_the_gpus_that_are_found(tmp_path: Path) -> None:
    env = tool(tmp_path, "nvidia-smi", NVIDIA)
    assert [gpu.index for gpu in Gpus({**env, "CUDA_VISIBLE_DEVICES": "1"}, "Linux").get()] == ["1"]
    assert Gpus({**env, "CUDA_VISIBLE_DEVICES": ""}, "Linux").get() == ()
