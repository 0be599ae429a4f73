"""Puts a person's data into a private data set of the session, ready for `load_dataset`."""

from __future__ import annotations

import hashlib
import json
import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ml_intern.core.approvals.paths import is_secret_path
from ml_intern.core.display import TextBlock
from ml_intern.core.protocol import ArtifactEvent
from ml_intern.core.uploads import UploadDone, Uploader, UploadError
from ml_intern.services.hub import HubClient, HubError
from ml_intern.services.threads import in_thread
from ml_intern.tools.repos.common import Repo, count_text, size_text
from ml_intern.tools.repos.contents import find_file, looks_binary, read_range
from ml_intern.tools.repos.transfer import Item, Order, select, send
from ml_intern.tools.text_files import FileError, locate

if TYPE_CHECKING:
    from huggingface_hub import HfApi

MOST_BYTES = 50 * 10**9
"""A larger data set is better put into a repository of its own, in parts."""

FORMATS = {
    ".csv": "csv", ".tsv": "csv", ".json": "json", ".jsonl": "json", ".ndjson": "json", ".parquet": "parquet",
    ".txt": "text",
    **dict.fromkeys((".png", ".jpg", ".jpeg", ".webp", ".gif", ".tiff", ".bmp"), "images"),
    **dict.fromkeys((".wav", ".mp3", ".flac", ".ogg", ".m4a"), "audio"),
}  # fmt: skip
"""Format of a file by the end of its name."""

_MEDIA = frozenset({"images", "audio"})
_METADATA = frozenset({"metadata.csv", "metadata.jsonl", "metadata.parquet"})
_TAKEN = "csv, tsv, json, jsonl, parquet or txt; or a folder of such files, of images or of audio"
_BODY = """\
# Data of an ml-intern session

Files that a person gave to a session, each with a config of its own. Private: a person decides what becomes of it.
"""


@dataclass(frozen=True, slots=True)
class UploadedDataset:
    """Data that is on the Hub now.

    Attributes:
        repo_id: The data set.
        config: Name of its config for this upload.
        path: File or folder in the data set.
        format: `csv`, `json`, `parquet`, `text`, `images` or `audio`.
        size: Bytes.
        files: Number of files.
        source: The local file or folder.
        url: Where a browser shows it.
        is_new: False when it had been there already and nothing was sent.
    """

    repo_id: str
    config: str
    path: str
    format: str
    size: int
    files: int
    source: Path
    url: str
    is_new: bool

    @property
    def snippet(self) -> str:
        """Python that loads it."""
        return f'from datasets import load_dataset\n\nds = load_dataset("{self.repo_id}", "{self.config}")'

    @property
    def note(self) -> str:
        """What the model is told."""
        state = "uploaded" if self.is_new else "had uploaded before (unchanged)"
        return (
            f"[Upload by the user] The user {state} {self.source} to the private data set {self.repo_id} on the Hub.\n"
            f"config: {self.config} · format: {self.format} · {count_text(self.files, 'file')}, "
            f"{size_text(self.size)} · in the repository: {self.path}\n{self.url}\n\n"
            f"```python\n{self.snippet}\n```\n"
            "It is private: a job that loads it needs HF_TOKEN among its secrets. Look at its columns before use."
        )


def session_uploader(hub: HubClient, workspace: Path) -> Uploader:
    """The uploader of an agent that works in this directory."""

    async def upload(path: str, session_id: str, tell: Callable[[str], None]) -> UploadDone:
        try:
            found = locate(path, workspace)
            done = await upload_dataset(hub, found, session_id, tell)
        except (FileError, HubError) as error:
            raise UploadError(str(error)) from error
        except OSError as error:
            raise UploadError(f"{path} cannot be read: {error.strerror or error}.") from error
        event = ArtifactEvent(
            kind="dataset",
            id=done.repo_id,
            url=hub.web_url(done.repo_id, "dataset"),
            private=True,
            state="updated",
            via="upload",
        )
        shown = TextBlock(text=done.note, title=f"{done.repo_id} · {done.config}")
        state = "is in" if done.is_new else "was already in"
        summary = f"{done.source.name} {state} the private data set {done.repo_id}; the agent knows how to load it."
        return UploadDone(done.note, summary, event, (shown,))

    return upload


async def upload_dataset(
    hub: HubClient, path: Path, session_id: str, on_progress: Callable[[str], None]
) -> UploadedDataset:
    """Uploads a data file or folder to the session's private data set. The same content is never sent twice.

    Args:
        hub: The way to the Hub.
        path: File or folder of this machine.
        session_id: The session; the first 8 characters name the data set.
        on_progress: Takes lines of progress, on the event loop.

    Raises:
        UploadError: It is nothing that can be loaded as data.
        HubError: The Hub could not be used. What has been sent need not be sent again.
    """
    account = await hub.account()
    data = await in_thread(lambda: _data_at(path), name="reading data")
    repo = Repo(f"{account.name}/ml-intern-{session_id[:8]}-datasets", "dataset")
    on_progress(f"{path.name}: {count_text(len(data.items), 'file')}, {size_text(data.size)}, {data.format}")
    readme = await hub.call(lambda api: _open(api, repo, data))
    if readme:
        items = [*data.items, Item("README.md", readme, len(readme))]
        await send(hub, Order(repo, items, f"Add {path.name}"), on_progress)
    return UploadedDataset(
        repo_id=repo.id,
        config=data.config,
        path=data.place,
        format=data.format,
        size=data.size,
        files=len(data.items),
        source=path,
        url=hub.web_url(repo.id, "dataset", path=f"tree/main/{data.place}"),
        is_new=bool(readme),
    )


# ------------------------------------------------------------------------------------------------- what is uploaded


@dataclass(frozen=True, slots=True)
class _Data:
    """Data of this machine: its files as they will lie in the data set."""

    items: tuple[Item, ...]
    format: str
    digest: str
    place: str
    is_folder: bool

    @property
    def size(self) -> int:
        return sum(item.size for item in self.items)

    @property
    def config(self) -> str:
        return f"upload_{self.digest}"

    @property
    def data_files(self) -> str:
        return f"{self.place}/**" if self.is_folder else self.place


def _data_at(path: Path) -> _Data:
    """The data at a path, its format found out and its content hashed.

    Raises:
        UploadError: It cannot be loaded as data.
    """
    if path.is_dir():
        files = select(path, "", is_secret=lambda file: is_secret_path(str(file))).items
    elif path.is_file():
        files = (Item(path.name, path, path.stat().st_size),)
    else:
        raise UploadError(f"There is no file or folder {path}.")
    total = sum(item.size for item in files)
    if not total:
        raise UploadError(f"{path} is empty.")
    if total > MOST_BYTES:
        raise UploadError(
            f"{path} is {size_text(total)}; the limit is {size_text(MOST_BYTES)}. Put it into a data set of its own "
            "with `hf upload-large-folder`, and name that data set to the agent."
        )
    kind = _format_of(path, files)
    digest = _digest(files)
    place = f"uploads/{digest}/{_clean(path.name)}"
    if path.is_dir():
        moved = tuple(Item(f"{place}/{item.path}", item.source, item.size) for item in files)
    else:
        moved = (Item(place, files[0].source, files[0].size),)
    return _Data(moved, kind, digest, place, path.is_dir())


def _format_of(path: Path, files: Sequence[Item]) -> str:
    kinds: Counter[str] = Counter()
    for item in files:
        name = Path(item.path).name.lower()
        if path.is_dir() and name in _METADATA:
            continue
        kinds[FORMATS.get(Path(name).suffix, "")] += 1
    strange = kinds.pop("", 0)
    if not kinds or (strange and not path.is_dir()):
        raise UploadError(f"{path.name} is nothing that can be loaded as data. It takes {_TAKEN}.")
    if strange or len(kinds) > 1:
        told = ", ".join(f"{count} {kind}" for kind, count in kinds.most_common())
        more = f", {strange} others" if strange else ""
        raise UploadError(f"{path.name} mixes formats ({told}{more}). Put files of one format into a folder.")
    (kind,) = kinds
    if kind in _MEDIA and not path.is_dir():
        raise UploadError(f"{path.name} is one file of {kind}. Upload the folder it is in.")
    for item in files[:20]:
        assert isinstance(item.source, Path)
        _check_beginning(item.source)
    return kind


def _check_beginning(path: Path) -> None:
    """Looks whether a file begins as its name says.

    Raises:
        UploadError: It does not.
    """
    suffix = path.suffix.lower()
    if FORMATS.get(suffix) in _MEDIA:
        return
    try:
        with path.open("rb") as file:
            head = file.read(65_536)
    except OSError as error:
        raise UploadError(f"{path} cannot be read: {error.strerror or error}.") from error
    if suffix == ".parquet":
        if not head.startswith(b"PAR1"):
            raise UploadError(f"{path.name} is no parquet file, whatever its name says.")
        return
    if looks_binary(head):
        raise UploadError(f"{path.name} is no UTF-8 text. Convert it first.")
    if suffix in {".jsonl", ".ndjson"}:
        line, ended, _ = head.partition(b"\n")
        try:
            first = json.loads(line) if ended or len(head) < 65_536 else {}
        except ValueError as error:
            raise UploadError(f"{path.name} is no JSON Lines: its first line is no JSON ({error}).") from error
        if not isinstance(first, dict):
            raise UploadError(f"{path.name} has no object in its first line; each line must be one JSON object.")
    elif suffix == ".json" and head.lstrip()[:1] not in {b"{", b"["}:
        raise UploadError(f"{path.name} is no JSON: it begins with neither an object nor a list.")


def _digest(files: Sequence[Item]) -> str:
    """12 hexadecimal digits that stand for the content, wherever it lies."""
    whole = hashlib.sha256()
    for item in files:
        assert isinstance(item.source, Path)
        with item.source.open("rb") as file:
            one = hashlib.file_digest(file, "sha256").hexdigest()
        whole.update(f"{item.path if len(files) > 1 else ''}\0{one}\n".encode())
    return whole.hexdigest()[:12]


def _clean(name: str) -> str:
    return re.sub(r"[^A-Za-z0-9._-]+", "_", name).strip("._-")[:100] or "data"


# ----------------------------------------------------------------------------------------------------- the data set


def _open(api: HfApi, repo: Repo, data: _Data) -> bytes:
    """Makes the data set if need be. Gives the card with the new config, or nothing when the data is there already."""
    api.create_repo(repo.id, repo_type="dataset", private=True, exist_ok=True)
    facts = find_file(api, repo, "README.md", "")
    old = read_range(api, repo, "README.md", "", 0, facts.size).decode("utf-8", "replace") if facts else ""
    configs = _configs(old)
    if any(config.get("config_name") == data.config for config in configs) and _is_there(api, repo, data):
        return b""
    kept = [config for config in configs if config.get("config_name") != data.config]
    return _card(old, [*kept, {"config_name": data.config, "data_files": data.data_files}]).encode()


def _is_there(api: HfApi, repo: Repo, data: _Data) -> bool:
    found = api.get_paths_info(repo.id, [item.path for item in data.items[:500]], repo_type="dataset")
    return len(found) >= min(len(data.items), 500)


def _configs(card: str) -> list[dict[str, Any]]:
    from huggingface_hub import RepoCard

    if not card.strip():
        return []
    configs = RepoCard(card, ignore_metadata_errors=True).data.get("configs")
    return [config for config in configs if isinstance(config, dict)] if isinstance(configs, list) else []


def _card(old: str, configs: list[dict[str, Any]]) -> str:
    """The card with these configs; what a person has written into it stays."""
    from huggingface_hub import RepoCard

    card = RepoCard(old or f"---\ntags:\n- ml-intern\n---\n\n{_BODY}", ignore_metadata_errors=True)
    card.data["configs"] = configs
    return str(card)
