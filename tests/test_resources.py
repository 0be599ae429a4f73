from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

from ml_intern import resources

PACKAGE = Path(resources.__file__).parent


def test_a_checkout_serves_the_directories_beside_the_package() -> None:
    assert resources.config_path("demo", "README.md") == PACKAGE.parent / "configs" / "demo" / "README.md"
    assert resources.styles_path() == PACKAGE.parent / "styles"


def test_an_installed_package_serves_its_own_directories_and_not_a_neighbours(tmp_path: Path) -> None:
    site = tmp_path / "site-packages"
    package = site / "ml_intern"
    (package / "configs").mkdir(parents=True)
    (package / "styles").mkdir()
    (site / "configs").mkdir()
    for name in ("__init__.py", "resources.py"):
        shutil.copy(PACKAGE / name, package / name)
    code = "from ml_intern.resources import config_path, styles_path; print(config_path('a.json'), styles_path())"
    shown = subprocess.run(
        [sys.executable, "-c", code], cwd=site, capture_output=True, text=True, check=True, timeout=20
    ).stdout.split()
    assert shown == [str(package.resolve() / "configs" / "a.json"), str(package.resolve() / "styles")]


def test_finding_resources_needs_no_third_party_package() -> None:
    code = (
        "import sys; before = set(sys.modules); import ml_intern.resources;"
        "new = {name.split('.')[0] for name in set(sys.modules) - before} - {'ml_intern'};"
        "print(sorted(name for name in new if name not in sys.stdlib_module_names))"
    )
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=20).stdout
    assert shown.strip() == "[]"
