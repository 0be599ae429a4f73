"""What a path means to the person whose machine this is: inside the workspace, secret, or better never deleted."""

from __future__ import annotations

import fnmatch
import os
import tempfile
from dataclasses import dataclass
from pathlib import Path, PurePath

_SECRET_DIRECTORIES = frozenset({".ssh", ".aws", ".gnupg", ".kube", ".azure", ".password-store", "keyrings"})
_SECRET_NAMES = frozenset(
    {
        ".env", ".netrc", "_netrc", ".pgpass", ".npmrc", ".pypirc", ".git-credentials", ".htpasswd", ".my.cnf",
        ".vault-token", ".bash_history", ".zsh_history", ".python_history", "id_rsa", "id_dsa", "id_ecdsa",
        "id_ed25519", "kaggle.json", "credentials.json", "client_secret.json", "stored_tokens", ".envrc",
        "secrets.toml", "secrets.json", "secrets.yaml", "secrets.yml", ".boto", ".s3cfg", "rclone.conf",
    }
)  # fmt: skip
_SECRET_PATTERNS = (
    ".env.*", "*.env", "*.pem", "*.p12", "*.pfx", "*.kdbx", "*.keystore", "*_rsa", "*_ed25519", "service-account*.json",
    "service_account*.json",
)  # fmt: skip
_SECRET_ENDS = (
    ("huggingface", "token"), (".huggingface", "token"), (".docker", "config.json"), ("gh", "hosts.yml"),
    ("etc", "shadow"), ("etc", "gshadow"), ("etc", "sudoers"), ("gcloud", "credentials.db"),
    ("gcloud", "application_default_credentials.json"), ("git", "credentials"), (".cargo", "credentials.toml"),
)  # fmt: skip
_AT_HOME = (
    ".ssh", ".aws", ".netrc", ".git-credentials", ".cache/huggingface/token", ".cache/huggingface/stored_tokens",
    ".docker/config.json", ".config/gh/hosts.yml", ".config/gcloud", ".kaggle/kaggle.json", ".local/share/keyrings",
)  # fmt: skip
"""Where secrets lie in most homes."""
_PROCESS_SECRETS = frozenset({"environ", "mem"})
_TEMPLATES = (".example", ".sample", ".template", ".dist", ".pub")
_SYSTEM = tuple(
    Path(name)
    for name in (
        "/bin", "/boot", "/dev", "/etc", "/lib", "/lib32", "/lib64", "/proc", "/sbin", "/sys", "/usr", "/System",
        "/Library",
    )
)  # fmt: skip
_STARTERS = frozenset({"autostart", "init.d", "rc.local"})
_GLOB = frozenset("*?[")


def is_secret_path(text: str) -> bool:
    """Whether a path (or a shell wildcard) names a file that holds keys, tokens or passwords."""
    pure = PurePath(text.rstrip("/"))
    parts, name = pure.parts, pure.name
    if not name or name.endswith(_TEMPLATES):
        return False
    if any(part in _SECRET_DIRECTORIES for part in parts) or name in _SECRET_NAMES or parts[-2:] in _SECRET_ENDS:
        return True
    if "proc" in parts[:-1] and name in _PROCESS_SECRETS:
        return True
    # Names with blanks or backslashes in them are sentences and patterns as a rule, not files.
    if not set(name) & set(" \\") and any(fnmatch.fnmatchcase(name, pattern) for pattern in _SECRET_PATTERNS):
        return True
    return any(_may_name_secret(part) for part in parts if _GLOB & set(part))


def _may_name_secret(pattern: str) -> bool:
    """Whether a wildcard was made to match a secret name; one that matches about everything was not."""
    literal = sum(char not in "*?[]" for char in pattern)
    if literal < (1 if pattern.startswith(".") else 3):
        return False
    names = _SECRET_NAMES | _SECRET_DIRECTORIES
    return any(name.startswith(".") == pattern.startswith(".") and fnmatch.fnmatchcase(name, pattern) for name in names)


@dataclass(frozen=True, slots=True)
class Surroundings:
    """The directories that decide what is near and what is far.

    Attributes:
        workspace: Where the agent works, links resolved.
        home: The person's home directory, links resolved.
        temporary: Directories for temporary files, links resolved.
    """

    workspace: Path
    home: Path
    temporary: tuple[Path, ...]

    @classmethod
    def of(cls, workspace: Path, home: Path) -> Surroundings:
        """Surroundings with links resolved."""
        temporary = {resolved(Path(name)) for name in ("/tmp", "/var/tmp", tempfile.gettempdir())}  # noqa: S108 - only compared
        return cls(resolved(workspace), resolved(home), tuple(sorted(temporary)))

    def inside(self, path: Path) -> bool:
        """Whether a path lies in the workspace or among temporary files, once links are followed."""
        real = resolved(path)
        if real.is_relative_to(self.workspace):
            return True
        near = [place for place in self.temporary if real.is_relative_to(place)]
        # A home or workspace that itself lies among temporary files does not make its neighbours temporary.
        return bool(near) and not (real.is_relative_to(self.home) and self.home not in near)

    def secret(self, path: Path) -> bool:
        """Whether a path, or what it links to, holds secrets. A directory named `.env` is an environment, no secret."""
        if not (is_secret_path(str(path)) or is_secret_path(str(resolved(path)))):
            return False
        return not (path.name.endswith("env") and is_directory(path))

    def keeps_secrets(self, path: Path, pattern: str = "") -> bool:
        """Whether secrets lie in or below a directory, or directly in it under names that a wildcard matches.

        The workspace itself does not count: who works at home looks through it all day.
        """
        real = resolved(path)
        if real == self.workspace:
            return False
        known = [self.home / name for name in _AT_HOME]
        if pattern:
            return any(place.parent == real and fnmatch.fnmatchcase(place.name, pattern) for place in known)
        return any(place.is_relative_to(real) for place in known)

    def removal_danger(self, path: Path) -> str:
        """Why a directory tree must never be deleted, moved away or opened to all without asking; empty if it may."""
        real = resolved(path)
        if real == Path(real.anchor):
            return f"the whole file system ({real})"
        if self.workspace.is_relative_to(real):
            return f"the whole workspace ({real})" if real == self.workspace else f"a parent of the workspace ({real})"
        if self.home.is_relative_to(real):
            return f"the home directory ({real})"
        if real.parent == Path(real.anchor):
            return f"{real}, at the top of the file system"
        if self.inside(path):
            return ""
        if real.is_relative_to(self.home / ".cache") and real != self.home / ".cache":
            return ""
        return f"{real}, which is outside the workspace"

    def starts_by_itself(self, path: Path) -> bool:
        """Whether what is written there is run by the system again and again, or at every login."""
        parts = resolved(path).parts
        if self.inside(path):
            return False
        return bool(_STARTERS & set(parts)) or any(part.startswith(("cron", "systemd", "Launch")) for part in parts)

    @staticmethod
    def is_system(path: Path) -> bool:
        """Whether a path belongs to the operating system."""
        real = resolved(path)
        if real.is_relative_to("/usr/local"):
            return False
        return any(real.is_relative_to(place) for place in _SYSTEM)


def resolved(path: Path) -> Path:
    """The absolute path with links followed as far as it exists."""
    return Path(os.path.realpath(path))


def is_directory(path: Path) -> bool:
    """Whether there is a directory; a path that no system can have is none."""
    try:
        return path.is_dir()
    except OSError:
        return False


def is_file(path: Path) -> bool:
    """Whether there is a regular file; a path that no system can have is none."""
    try:
        return path.is_file()
    except OSError:
        return False
