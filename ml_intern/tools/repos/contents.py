"""Looks into files of a repository without fetching them whole: what kind they are, and any part of their bytes."""

from __future__ import annotations

import json
import struct
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

from ml_intern.tools.repos.common import Repo, RepoError, count_text, quantity, size_text

if TYPE_CHECKING:
    from huggingface_hub import HfApi

BINARY = frozenset(
    {
        ".safetensors", ".bin", ".pt", ".pth", ".ckpt", ".h5", ".hdf5", ".keras", ".onnx", ".gguf", ".ggml",
        ".tflite", ".pb", ".msgpack", ".model", ".engine", ".mlmodel", ".npy", ".npz", ".pkl", ".pickle", ".joblib",
        ".parquet", ".arrow", ".feather", ".orc", ".avro", ".tar", ".gz", ".tgz", ".zip", ".bz2", ".xz", ".zst",
        ".7z", ".rar", ".png", ".jpg", ".jpeg", ".gif", ".webp", ".bmp", ".tiff", ".ico", ".mp3", ".wav", ".flac",
        ".ogg", ".m4a", ".mp4", ".avi", ".mov", ".mkv", ".webm", ".pdf", ".so", ".dll", ".exe", ".whl", ".db",
        ".sqlite", ".duckdb", ".lmdb", ".mdb", ".ttf", ".woff", ".woff2",
    }
)  # fmt: skip
"""Ends of names that say the content is no text, so that nothing needs to be fetched to know it."""

_MAX_HEADER = 16 * 2**20
_BLOCK = 64 * 1024


@dataclass(frozen=True, slots=True)
class FileFacts:
    """One file of a repository.

    Attributes:
        path: In the repository.
        size: Bytes of the file itself, also where the repository holds a pointer to it.
        stored: How it is kept: `git`, `LFS` or `Xet`.
        blob: Id of its content.
    """

    path: str
    size: int
    stored: str = "git"
    blob: str = ""

    @property
    def named_binary(self) -> bool:
        """Whether its name says that it is no text."""
        return PurePosixPath(self.path).suffix.lower() in BINARY


def facts_of(entry: Any) -> FileFacts:
    """Facts of an entry of the official client's listing."""
    stored = "Xet" if entry.xet_hash else "LFS" if entry.lfs else "git"
    return FileFacts(entry.path, int(entry.lfs.size if entry.lfs else entry.size), stored, str(entry.blob_id or ""))


def find_file(api: HfApi, repo: Repo, path: str, revision: str) -> FileFacts | None:
    """The file at a path, or None when nothing is there.

    Raises:
        RepoError: A folder is there.
    """
    found = api.get_paths_info(repo.id, [path], repo_type=repo.type, revision=revision or None)
    if not found:
        return None
    if not hasattr(found[0], "size"):
        raise RepoError(f"{path} is a folder of {repo}. Operation list with path={path} shows what is in it.")
    return facts_of(found[0])


def read_range(api: HfApi, repo: Repo, path: str, revision: str, start: int, length: int) -> bytes:
    """Bytes `start` to `start + length` of a file, and no more of it than that over the wire.

    A pointer is followed to the file it stands for. The token stays with the Hub's own host.
    """
    from huggingface_hub import get_session, hf_hub_url, hf_raise_for_status

    if length <= 0:
        return b""
    url = hf_hub_url(repo.id, path, repo_type=repo.type, revision=revision or None, endpoint=api.endpoint)
    headers = {"Range": f"bytes={start}-{start + length - 1}", "Accept-Encoding": "identity"}
    if api.token:
        headers["Authorization"] = f"Bearer {api.token}"  # not sent along when the answer points to another host
    with get_session().stream("GET", url, headers=headers, follow_redirects=True) as response:
        if response.is_error:
            response.read()
        hf_raise_for_status(response)
        skip = 0 if response.status_code == 206 else start  # 200: the server knows no ranges
        data = bytearray()
        for block in response.iter_bytes(_BLOCK):
            data += block
            if len(data) >= skip + length:
                break
    return bytes(data[skip : skip + length])


def looks_binary(head: bytes) -> bool:
    """Whether the beginning of a file is no UTF-8 text."""
    if b"\0" in head:
        return True
    try:
        head.decode("utf-8")
    except UnicodeDecodeError as error:
        return error.reason != "unexpected end of data"  # such a character was only cut off
    return False


def describe_binary(api: HfApi, repo: Repo, facts: FileFacts, revision: str) -> str:
    """What can be said of a file that is no text, from its head alone."""
    suffix = PurePosixPath(facts.path).suffix.lower()
    if suffix == ".safetensors":
        try:
            return describe_safetensors(_safetensors_header(api, repo, facts, revision))
        except ValueError as error:
            return f"Its safetensors header cannot be read: {error}."
    if suffix in {".parquet", ".arrow"}:
        return "A table in columns; load it with `datasets` or `pyarrow` to see its rows."
    return ""


def _safetensors_header(api: HfApi, repo: Repo, facts: FileFacts, revision: str) -> dict[str, Any]:
    """The JSON header of a safetensors file.

    Raises:
        ValueError: There is none.
    """
    first = read_range(api, repo, facts.path, revision, 0, 8)
    if len(first) < 8:
        raise ValueError("the file is too short")
    (length,) = struct.unpack("<Q", first)
    if length > min(_MAX_HEADER, facts.size):
        raise ValueError(f"it claims to be {size_text(length)} long")
    header = json.loads(read_range(api, repo, facts.path, revision, 8, length))
    if not isinstance(header, dict):
        raise ValueError("it is no JSON object")
    return header


def describe_safetensors(header: Mapping[str, Any]) -> str:
    """Tensors, parameters by type and metadata of a safetensors header."""
    tensors = {name: value for name, value in header.items() if name != "__metadata__" and isinstance(value, dict)}
    by_type: Counter[str] = Counter()
    for value in tensors.values():
        by_type[str(value.get("dtype", "?"))] += _elements(value.get("shape"))
    total = sum(by_type.values())
    types = ", ".join(f"{name} {quantity(number)}" for name, number in by_type.most_common())
    lines = [f"safetensors: {count_text(len(tensors), 'tensor')}, {quantity(total)} parameters ({types or 'none'})."]
    if isinstance(metadata := header.get("__metadata__"), dict) and metadata:
        lines.append(f"Metadata: {json.dumps(metadata, ensure_ascii=False)[:1000]}")
    names = list(tensors)
    lines += [f"  {name} {tensors[name].get('dtype')} {tensors[name].get('shape')}" for name in names[:20]]
    if len(names) > 20:
        lines.append(f"  … {len(names) - 20:,} more tensors")
    return "\n".join(lines)


def _elements(shape: Any) -> int:
    product = 1
    for extent in shape if isinstance(shape, list) else ():
        product *= int(extent)
    return product
