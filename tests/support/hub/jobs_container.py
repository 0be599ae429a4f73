"""A machine of its own for a job or a sandbox, as far as the system under it allows.

On Linux with mount namespaces (as root, or where users may make them) a process sees a file system whose root is a
directory on disk: `/tmp`, `/root`, `/home`, `/app`, `/data` and whatever it creates are its own, volumes are where
they were asked for, and the system's directories are there to read. Files outside look the same from both sides: what
a process writes to `/app/x` is `root/app/x` on disk. Elsewhere processes run plainly in their directory of `root`, and
absolute paths inside of commands mean the paths of this machine; volumes are then found by `VOLUME_<n>` only.
"""

from __future__ import annotations

import functools
import os
import posixpath
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

OWN = frozenset({"app", "data", "home", "media", "mnt", "opt", "root", "srv", "tmp", "workdir", "workspace"})
"""Directories of `/` that are never this machine's."""

UV_CACHE = "/opt/uv-cache"
"""Where jobs see what uv keeps on this machine: it would look the interpreter over in each of them anew."""
_UV_CACHE_ON_DISK = Path(tempfile.gettempdir(), f"stand-in-hub-uv-{os.geteuid()}")

_KERNEL = frozenset({"dev", "proc", "sys", "run"})
_ENTER = (
    'mount -a -T "$1" 2>/dev/null || { echo "the stand-in could not mount its file system" >&2; exit 125; }; '
    'root=$2; cwd=$3; shift 3; exec chroot "$root" /bin/sh -c \'cd "$0" && exec "$@"\' "$cwd" "$@"'
)


@dataclass(frozen=True, slots=True)
class Mount:
    """A directory of this machine that is seen at an absolute path."""

    source: Path
    target: str
    read_only: bool = False


@dataclass(frozen=True, slots=True)
class Container:
    """Where the processes of one job run. Call `prepare` before the first one.

    Attributes:
        root: Directory on disk that is its file system.
        shared: Directories that are seen at their own path, to write.
        mounts: Volumes.
    """

    root: Path
    shared: tuple[Path, ...] = ()
    mounts: tuple[Mount, ...] = ()

    def prepare(self) -> None:
        """Makes its directories."""
        for name in ("tmp", "root", "home"):
            (self.root / name).mkdir(parents=True, exist_ok=True)
        if not has_namespaces():
            return
        lines = []
        for entry in sorted(Path("/").iterdir()):
            seen_at = self.root / entry.name
            if entry.name in OWN or seen_at.is_symlink():
                continue
            if entry.is_symlink():
                seen_at.symlink_to(entry.readlink())
            elif entry.is_dir():
                lines.append(self._line(Mount(entry, str(entry), entry.name not in _KERNEL)))
        _UV_CACHE_ON_DISK.mkdir(mode=0o700, exist_ok=True)
        programs = [Mount(path, str(path), read_only=True) for path in _programs()]
        programs.append(Mount(_UV_CACHE_ON_DISK, UV_CACHE))
        shared = [Mount(path, str(path)) for path in self.shared]
        lines += [self._line(mount) for mount in (*programs, *shared, *self.mounts)]
        self._table.write_text("".join(lines))

    def command(self, argv: Sequence[str], cwd: str) -> tuple[list[str], Path | None]:
        """What to start, and in which directory of this machine, so that `argv` runs inside at `cwd`."""
        if not has_namespaces():
            return list(argv), self.on_disk(cwd)
        enter = [*_unshare(), "/bin/sh", "-c", _ENTER, "sh", str(self._table), str(self.root), cwd]
        return [*enter, *argv], None

    def inside(self, path: Path) -> str:
        """The path by which a process inside sees a directory of this machine that belongs to it."""
        return "/" + str(path.relative_to(self.root)) if has_namespaces() else str(path)

    def on_disk(self, path: str) -> Path:
        """Where an absolute path inside is on this machine."""
        clean = _clean(path)
        for mount in self.mounts:
            if clean == mount.target or clean.startswith(mount.target.rstrip("/") + "/"):
                return mount.source / clean[len(mount.target) :].lstrip("/")
        if any(Path(clean).is_relative_to(shared) for shared in self.shared) or self._is_system(clean):
            return Path(clean)
        return self.root / clean.lstrip("/")

    def may_write(self, path: str) -> bool:
        """Whether what is at an absolute path inside can be changed: not on a read-only volume, not the system's."""
        clean = _clean(path)
        for mount in self.mounts:
            if clean == mount.target or clean.startswith(mount.target.rstrip("/") + "/"):
                return not mount.read_only
        return any(Path(clean).is_relative_to(shared) for shared in self.shared) or not self._is_system(clean)

    @property
    def _table(self) -> Path:
        return self.root.parent / "mounts"

    def _line(self, mount: Mount) -> str:
        point = self.root / mount.target.lstrip("/")
        if not Path(mount.target).is_dir() or not self._is_system(mount.target) or mount.target.count("/") == 1:
            point.mkdir(parents=True, exist_ok=True)
        fields = (str(mount.source), str(point), "none", "rbind,ro" if mount.read_only else "rbind", "0", "0")
        return " ".join(field.replace(" ", "\\040") for field in fields) + "\n"

    def _is_system(self, clean: str) -> bool:
        first = clean.split("/")[1]
        return first not in OWN and bool(first) and Path("/", first).is_dir()


def _clean(path: str) -> str:
    return posixpath.normpath("/" + path.lstrip("/"))


@functools.cache
def has_namespaces() -> bool:
    """Whether processes can have a file system of their own here."""
    if sys.platform != "linux" or not all(shutil.which(name) for name in ("unshare", "mount", "chroot")):
        return False
    probe = [*_unshare(), "/bin/sh", "-c", "mount --bind /tmp /mnt"]
    return subprocess.run(probe, capture_output=True, timeout=10, check=False).returncode == 0


def _unshare() -> list[str]:
    users = [] if os.geteuid() == 0 else ["--user", "--map-root-user"]
    return [shutil.which("unshare") or "unshare", *users, "--mount", "--propagation", "private", "--"]


def _programs() -> list[Path]:
    """Directories with Python and uv that would be hidden: whoever develops has them below their home directory."""
    uv = shutil.which("uv")
    wanted = [Path(sys.base_prefix), Path(sys.prefix), *([Path(uv).parent.parent] if uv else [])]
    hidden = sorted({path for path in wanted if path.parts[1] in OWN}, key=lambda path: len(path.parts))
    return [path for path in hidden if not any(path != other and path.is_relative_to(other) for other in hidden)]
