"""What the Hub says about repositories: the card, tags, sizes, parameters of models."""

from __future__ import annotations

import hashlib
import importlib
import json
import re
import struct
from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from tests.support.hub.repos_asked import json_object
from tests.support.hub.repos_store import Blobs, Commit, Entry, Repo, Store, pointer

if TYPE_CHECKING:
    from tests.support.hub.spaces import Spaces

_yaml: Any = importlib.import_module("yaml")  # comes with huggingface_hub, without types
_HEAD = re.compile(r"\A\ufeff?---\s*\n(.*?)\n---\s*(?:\n|\Z)", re.DOTALL)
_PREFIXED = (
    "license", "language", "task_categories", "task_ids", "size_categories", "multilinguality", "annotations_creators",
    "language_creators", "source_datasets",
)  # fmt: skip
_CONFIG = ("architectures", "model_type", "quantization_config", "auto_map", "tokenizer_config")
_PAPER = re.compile(r"arxiv\.org/(?:abs|pdf)/(\d{4}\.\d{4,5})")
_DESCRIPTION = 500
_EMPTY = "empty or missing yaml metadata in repo card (https://huggingface.co/docs/hub/model-cards#model-card-metadata)"
_BYTES = {"F64": 8, "I64": 8, "U64": 8, "F32": 4, "I32": 4, "U32": 4, "F16": 2, "BF16": 2, "I16": 2, "U16": 2}


class Describer:
    """Describes repositories to whoever may know of them."""

    def __init__(self, store: Store, spaces: Spaces) -> None:
        self._blobs = store.blobs
        self._spaces = spaces

    def routes(self) -> list[BaseRoute]:
        """The check of a card before it is uploaded."""
        return [Route("/api/validate-yaml", self._check, methods=["POST"])]

    async def _check(self, request: Request) -> Response:
        match = _HEAD.match(str(json_object(await request.body()).get("content", "")).replace("\r\n", "\n"))
        if match is None or not match[1].strip():
            return JSONResponse({"errors": [], "warnings": [{"message": _EMPTY}]})
        try:
            values = _yaml.safe_load(match[1])
        except _yaml.YAMLError as error:
            return JSONResponse({"errors": [{"message": str(error)}], "warnings": []}, 400)
        errors = [] if isinstance(values, dict) else [{"message": "The metadata must be a mapping"}]
        return JSONResponse({"errors": errors, "warnings": []}, 400 if errors else 200)

    def info(self, repo: Repo, commit: Commit, *, blobs: bool = False) -> dict[str, Any]:
        """Everything that the page of a repository shows, at a commit."""
        card = self.card(commit)
        answer = {
            **self.summary(repo),
            "sha": commit.id,
            "siblings": [_sibling(path, entry, blobs=blobs) for path, entry in commit.files.items()],
            "cardData": card,
            "tags": self.tags(repo, commit, card),
            "disabled": False,
            "usedStorage": sum({entry.sha256: entry.size for entry in commit.files.values()}.values()),
        }
        if repo.kind == "model":
            answer |= self._model(commit, card)
        elif repo.kind == "dataset":
            text = _HEAD.sub("", self._read(commit, "README.md") or "").strip()
            answer |= {"description": text[:_DESCRIPTION] or None, "citation": None}
        else:
            answer |= self._spaces.about(repo, card or {})
        return {**answer, **repo.extra}

    def summary(self, repo: Repo) -> dict[str, Any]:
        """What lists always show."""
        answer: dict[str, Any] = {
            "_id": hashlib.sha256(f"{repo.kind} {repo.id}".encode()).hexdigest()[:24],
            "id": repo.id,
            "author": repo.owner,
            "private": repo.private,
            "gated": repo.gated,
            "createdAt": repo.created,
            "lastModified": repo.head.date,
            "downloads": repo.downloads,
            "downloadsAllTime": repo.downloads,
            "likes": repo.likes,
            "trendingScore": repo.likes,
        }
        if repo.kind == "model":
            answer["modelId"] = repo.id
        return answer

    def card(self, commit: Commit) -> dict[str, Any] | None:
        """The metadata at the top of the README; None without one."""
        text = self._read(commit, "README.md")
        match = _HEAD.match((text or "").replace("\r\n", "\n"))
        if match is None:
            return None
        try:
            values = _yaml.safe_load(match[1])
        except _yaml.YAMLError:
            return None
        # Dates and the like become text, as in any JSON.
        return json.loads(json.dumps(values, default=str)) if isinstance(values, dict) else None

    def tags(self, repo: Repo, commit: Commit, card: Mapping[str, Any] | None) -> list[str]:
        """By what a repository is found."""
        card = card or {}
        found = [*_words(card.get("tags")), *_words(card.get("library_name")), *_words(card.get("pipeline_tag"))]
        for key in _PREFIXED:
            found += [f"{key}:{word}" for word in _words(card.get(key))]
        if repo.kind == "model":
            found += _words(card.get("language"))
            found += [f"base_model:{word}" for word in _words(card.get("base_model"))]
        found += [f"{key.removesuffix('s')}:{word}" for key in ("datasets", "models") for word in _words(card.get(key))]
        found += [f"arxiv:{paper}" for paper in _PAPER.findall(self._read(commit, "README.md") or "")]
        found += sorted(_formats(repo, commit))
        if repo.kind == "space" and repo.sdk:
            found.append(repo.sdk)
        return list(dict.fromkeys([*found, "region:us"]))

    def _model(self, commit: Commit, card: Mapping[str, Any] | None) -> dict[str, Any]:
        card = card or {}
        config = _json(self._read(commit, "config.json"))
        answer: dict[str, Any] = {"spaces": [], "model-index": card.get("model-index")}
        if config:
            answer["config"] = {key: config[key] for key in _CONFIG if key in config}
        library = card.get("library_name") or ("transformers" if config.get("model_type") else None)
        answer["library_name"], answer["pipeline_tag"] = library, card.get("pipeline_tag")
        answer = {key: value for key, value in answer.items() if value is not None}
        counted = safetensors(self._blobs, commit.files)
        return {**answer, "safetensors": counted} if counted else answer

    def _read(self, commit: Commit, path: str) -> str | None:
        entry = commit.files.get(path)
        if entry is None or entry.lfs:
            return None
        return self._blobs.path(entry.sha256).read_text(encoding="utf-8", errors="replace")


def chosen(info: Mapping[str, Any], wanted: Collection[str]) -> dict[str, Any]:
    """Only the fields that were asked for, as the Hub gives them with `expand`."""
    return {key: info[key] for key in ("_id", "id", *wanted) if key in info}


def safetensors(blobs: Blobs, files: Mapping[str, Entry]) -> dict[str, Any] | None:
    """Parameters by type and in total, from the heads of all safetensors files."""
    counts: dict[str, int] = {}
    for path, entry in files.items():
        if not path.endswith(".safetensors"):
            continue
        for tensor in _head(blobs, entry).values():
            if isinstance(tensor, dict) and "dtype" in tensor:
                start, end = tensor["data_offsets"]
                count = (end - start) // _BYTES.get(tensor["dtype"], 1)
                counts[tensor["dtype"]] = counts.get(tensor["dtype"], 0) + count
    return {"parameters": counts, "total": sum(counts.values())} if counts else None


def _head(blobs: Blobs, entry: Entry) -> dict[str, Any]:
    with blobs.path(entry.sha256).open("rb") as source:
        start = source.read(8)
        length = struct.unpack("<Q", start)[0] if len(start) == 8 else 0
        return _json(source.read(length).decode("utf-8", errors="replace")) if 0 < length < entry.size else {}


def _json(text: str | None) -> dict[str, Any]:
    try:
        value = json.loads(text or "{}")
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}


def _words(value: object) -> list[str]:
    if isinstance(value, list):
        return [str(item) for item in value]
    return [str(value)] if isinstance(value, str | int | float) and str(value) else []


def _formats(repo: Repo, commit: Commit) -> set[str]:
    endings = {path.rsplit(".", 1)[-1] for path in commit.files if "." in path}
    if repo.kind == "model":
        return ({"safetensors", "gguf", "onnx"} & endings) | ({"pytorch"} if "bin" in endings else set())
    if repo.kind == "dataset":
        return {f"format:{ending}" for ending in {"parquet", "json", "csv", "arrow"} & endings}
    return set()


def _sibling(path: str, entry: Entry, *, blobs: bool) -> dict[str, Any]:
    answer: dict[str, Any] = {"rfilename": path}
    if blobs:
        answer |= {"size": entry.size, "blobId": entry.oid}
        if entry.lfs:
            pointed = len(pointer(entry.sha256, entry.size))
            answer["lfs"] = {"sha256": entry.sha256, "size": entry.size, "pointerSize": pointed}
    return answer
