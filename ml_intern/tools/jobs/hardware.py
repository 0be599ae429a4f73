"""Hardware flavors of Hugging Face Jobs as bundled with the program; a live list, where there is one, beats them."""

from __future__ import annotations

import json
from functools import cache

from ml_intern.core.jobs import Flavor
from ml_intern.resources import config_path


@cache
def hub_flavors() -> tuple[Flavor, ...]:
    """All bundled flavors, the cheapest first; prices are list prices and may have changed."""
    rows = json.loads(config_path("hardware.json").read_text(encoding="utf-8"))["flavors"]
    return tuple(
        Flavor(
            name=row["name"],
            label=_label(row),
            cpu=row["cpu"],
            ram=f"{row['ram_gb']} GB",
            accelerator=row.get("accelerator", ""),
            vram_gb=row.get("vram_gb", 0),
            usd_per_hour=row["usd_per_hour"],
        )
        for row in sorted(rows, key=lambda row: float(row["usd_per_hour"]))
    )


def is_cpu_flavor(name: str) -> bool:
    """Whether a name means CPUs only; the default does."""
    return not name or name == "local" or name.startswith("cpu-")


def _label(row: dict[str, object]) -> str:
    accelerator = f"{row['accelerator']} {row['vram_gb']} GB" if row.get("accelerator") else "no accelerator"
    return f"{row['cpu']} vCPU, {row['ram_gb']} GB, {accelerator}"
