"""Describes repositories of the Hub: what they are, what is in them, and what they can be used for."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ml_intern.core.display import TextBlock
from ml_intern.core.tools.spec import ToolContext, ToolResult
from ml_intern.services.hub import HubClient, HubError, hub_error
from ml_intern.tools.repos.common import (
    TYPES,
    Repo,
    RepoType,
    count_text,
    explained,
    quantity,
    size_text,
    split_address,
)
from ml_intern.tools.repos.contents import read_range
from ml_intern.tools.repos.details import DetailsParams

if TYPE_CHECKING:
    from huggingface_hub import HfApi

_MOST_CONFIG_BYTES = 4_000_000
_CONFIG_KEYS = (
    ("max_position_embeddings", "context length"),
    ("n_positions", "context length"),
    ("model_max_length", "context length"),
    ("sliding_window", "sliding window"),
    ("vocab_size", "vocabulary"),
    ("hidden_size", "hidden size"),
    ("num_hidden_layers", "layers"),
    ("num_attention_heads", "heads"),
    ("num_key_value_heads", "key-value heads"),
    ("num_experts", "experts"),
    ("num_local_experts", "experts"),
    ("rope_scaling", "rope scaling"),
    ("torch_dtype", "dtype in config"),
    ("dtype", "dtype in config"),
    ("image_size", "image size"),
    ("num_labels", "labels"),
)
_TOKENIZERS = ("tokenizer.json", "tokenizer.model", "spiece.model", "vocab.json", "vocab.txt", "tekken.json")
_TEMPLATES = ("chat_template.jinja", "chat_template.json")


class Describer:
    """The tool over a client."""

    def __init__(self, hub: HubClient) -> None:
        self._hub = hub

    async def handle(self, params: DetailsParams, context: ToolContext) -> ToolResult:  # noqa: ARG002 - the shape of handlers
        """Does what a call asks for."""
        answers = await asyncio.gather(*(_about(self._hub, text, params.repo_type) for text in params.repo_ids))
        text = "\n\n".join(answer for answer, _ in answers)
        shown = tuple(
            TextBlock(text=answer, title=repo_id) for repo_id, (answer, _) in zip(params.repo_ids, answers, strict=True)
        )
        return ToolResult(text, ok=any(ok for _, ok in answers), display=shown)


async def _about(hub: HubClient, text: str, wanted: RepoType | None) -> tuple[str, bool]:
    """What is known of one repository, or why nothing is; and which of the two it is."""
    repo_id, named = split_address(text)
    asked: Sequence[RepoType] = [kind] if (kind := named or wanted) else TYPES
    results = await asyncio.gather(*(_look(hub, Repo(repo_id, kind)) for kind in asked))
    found = [(kind, answer) for kind, answer in zip(asked, results, strict=True) if isinstance(answer, str)]
    if found:
        others = [other for other, _ in found[1:]]
        more = f"\nThere is also a {' and a '.join(others)} of this name (repo_type={others[0]})." if others else ""
        return found[0][1] + more, True
    failures = [answer for answer in results if isinstance(answer, HubError)]
    telling = [error for error in failures if error.kind not in {"no_repo", "missing"}]
    if len(asked) > 1 and not telling:
        hint = "" if hub.token else " (without a token only public ones are seen)"
        return (
            f"ERROR: {repo_id}: there is no model, data set or Space of this name{hint}. hub_search finds names.",
            False,
        )
    error = await explained((telling or failures)[0], hub, Repo(repo_id, asked[0]))
    return f"ERROR: {repo_id}: {error}", False


async def _look(hub: HubClient, repo: Repo) -> str | HubError:
    try:
        return await hub.call(lambda api: _describe(api, hub, repo))
    except HubError as error:
        return error


def _describe(api: HfApi, hub: HubClient, repo: Repo) -> str:
    info: Any = api.repo_info(repo.id, repo_type=repo.type, files_metadata=True)
    repo = Repo(info.id, repo.type)
    lines = [f"# {repo} — {hub.web_url(repo.id, repo.type)}", *_common(info)]
    match repo.type:
        case "model":
            lines += _model(api, repo, info)
        case "dataset":
            lines += _dataset(info)
        case _:
            lines += _space(info)
    return "\n".join(filter(None, (*lines, *_files(info))))


def _fact(name: str, value: Any) -> str:
    return f"{name}: {value}" if value not in (None, "", [], {}) else ""


def _card(info: Any) -> dict[str, Any]:
    card = getattr(info, "card_data", None)
    return dict(card.to_dict()) if card is not None else {}


def _common(info: Any) -> list[str]:
    card = _card(info)
    tags: list[str] = list(info.tags or ())
    gated = getattr(info, "gated", None)
    access = "private" if info.private else "public"
    if gated:
        access += f", gated ({gated}): a person must ask for access on its page before files can be read"
    papers = [tag.removeprefix("arxiv:") for tag in tags if tag.startswith("arxiv:")]
    counts = [f"{quantity(info.downloads)} downloads"] if getattr(info, "downloads", None) is not None else []
    counts += [f"{quantity(info.likes)} likes"] if info.likes is not None else []
    licences = [tag.removeprefix("license:") for tag in tags if tag.startswith("license:")]
    licence = card.get("license_name") or card.get("license") or ", ".join(licences)
    plain = [tag for tag in tags if ":" not in tag][:25]
    return [
        _fact("access", access),
        _fact("licence", licence),
        _fact("last modified", f"{info.last_modified:%Y-%m-%d}" if info.last_modified else ""),
        _fact("commit", info.sha),
        _fact("used", " · ".join(counts)),
        _fact("language", _listed(card.get("language"))),
        _fact("tags", ", ".join(plain)),
        _fact("papers", ", ".join(papers)),
    ]


def _listed(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(str(item) for item in value[:20]) + (" …" if len(value) > 20 else "")
    return str(value) if value else ""


# ------------------------------------------------------------------------------------------------------------ models


def _model(api: HfApi, repo: Repo, info: Any) -> list[str]:
    told: Mapping[str, Any] = info.config or {}
    names = _names(info)
    config, problem = _json_file(api, repo, names, "config.json")
    tokenizer = told.get("tokenizer_config") or {}
    if not tokenizer:  # the Hub does not always look into it
        tokenizer, _ = _json_file(api, repo, names, "tokenizer_config.json")
    architecture = told.get("architectures") or config.get("architectures")
    base = _card(info).get("base_model")
    return [
        _fact("task", info.pipeline_tag),
        _fact("library", info.library_name),
        _fact("architecture", _listed(architecture)),
        _fact("model type", told.get("model_type") or config.get("model_type")),
        _fact("base model", _listed(base)),
        _parameters(info),
        _fact("adapter", "yes (PEFT): load it on top of its base model" if "adapter_config.json" in names else ""),
        _fact("config", _config_facts(config) or problem),
        _fact("quantization", _quantization(told.get("quantization_config") or config.get("quantization_config"))),
        _tokenizer(tokenizer, names),
        _fact("trained on", _listed(_card(info).get("datasets"))),
        _fact("remote code", "needs trust_remote_code" if config.get("auto_map") else ""),
    ]


def _parameters(info: Any) -> str:
    if info.safetensors is not None:
        types = ", ".join(f"{name} {quantity(count)}" for name, count in info.safetensors.parameters.items())
        return _fact("parameters", f"{quantity(info.safetensors.total)} ({types})")
    if gguf := info.gguf:
        context = f", context {gguf['context_length']:,}" if isinstance(gguf.get("context_length"), int) else ""
        return _fact("parameters", f"{quantity(gguf.get('total'))} (GGUF, {gguf.get('architecture', '?')}{context})")
    return "parameters: unknown (no safetensors)"


def _json_file(api: HfApi, repo: Repo, names: set[str], name: str) -> tuple[dict[str, Any], str]:
    """A JSON file of a model, and why it could not be had."""
    if name not in names:
        return {}, ""
    try:
        found = json.loads(read_range(api, repo, name, "", 0, _MOST_CONFIG_BYTES))
    except ValueError:
        return {}, f"{name} cannot be understood"
    except Exception as error:  # noqa: BLE001 - mapped as all failures of the client are
        return {}, f"{name} cannot be read ({hub_error(error, api.endpoint).kind})"
    return (found if isinstance(found, dict) else {}), ""


def _config_facts(config: Mapping[str, Any]) -> str:
    """The figures people choose a model by; of models with several parts those of the text part."""
    inner = config.get("text_config") or config.get("llm_config")
    config = {**inner, **config} if isinstance(inner, dict) else config
    facts: dict[str, str] = {}
    for key, name in _CONFIG_KEYS:
        value = config.get(key)
        if value is not None and name not in facts:
            facts[name] = f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value)
    return " · ".join(f"{name} {value}" for name, value in facts.items())


def _quantization(value: Any) -> str:
    if not isinstance(value, dict):
        return ""
    bits = f", {value['bits']} bits" if "bits" in value else ""
    return f"{value.get('quant_method', 'yes')}{bits}"


def _tokenizer(tokenizer: Mapping[str, Any], names: set[str]) -> str:
    has_template = bool(tokenizer.get("chat_template")) or any(name in names for name in _TEMPLATES)
    files = [name for name in (*_TOKENIZERS, "tokenizer_config.json") if name in names]
    if not files and not tokenizer:
        return "tokenizer: none in the repository"
    special = [
        f"{name[:3]} {token}" for name in ("bos_token", "eos_token", "pad_token") if (token := _token(tokenizer, name))
    ]
    template = "with a chat template" if has_template else "no chat template (a base model, as a rule)"
    return f"tokenizer: {', '.join(files[:3]) or 'yes'} · {template}" + (f" · {', '.join(special)}" if special else "")


def _token(tokenizer: Mapping[str, Any], name: str) -> str:
    value = tokenizer.get(name)
    return str(value.get("content", "")) if isinstance(value, dict) else str(value or "")


# --------------------------------------------------------------------------------------------------------- data sets


def _dataset(info: Any) -> list[str]:
    card = _card(info)
    lines = [
        _fact("tasks", _listed(card.get("task_categories"))),
        _fact("size", _listed(card.get("size_categories"))),
        _fact("pretty name", card.get("pretty_name")),
    ]
    described = card.get("dataset_info")
    configs = described if isinstance(described, list) else [described] if isinstance(described, dict) else []
    for config in configs[:20]:
        lines += _dataset_config(config)
    if len(configs) > 20:
        lines.append(f"… {len(configs) - 20} more configs")
    if not configs:
        lines.append(_data_files(card) or "configs and splits: the card does not say; look at its rows")
    return lines


def _dataset_config(config: Mapping[str, Any]) -> list[str]:
    splits = [_split(split) for split in config.get("splits") or () if isinstance(split, dict)]
    features = [_feature(feature) for feature in config.get("features") or () if isinstance(feature, dict)]
    size = config.get("dataset_size")
    sizes = f" · {size_text(size)}" if isinstance(size, int | float) else ""
    return [
        f"config {config.get('config_name', 'default')}: {', '.join(splits) or 'no splits told'}{sizes}",
        f"  features: {', '.join(features)}" if features else "",
    ]


def _split(split: Mapping[str, Any]) -> str:
    rows = split.get("num_examples")
    return f"{split.get('name')} {rows:,} rows" if isinstance(rows, int) else str(split.get("name"))


def _feature(feature: Mapping[str, Any]) -> str:
    kind = feature.get("dtype")
    for nested in ("list", "sequence", "struct"):
        if kind is None and nested in feature:
            inner = feature[nested]
            names = (
                [str(item.get("name")) for item in inner if isinstance(item, dict)] if isinstance(inner, list) else []
            )
            kind = f"{nested} of {{{', '.join(names)}}}" if names else f"{nested} of {inner}"
    if isinstance(kind, dict):
        kind = next(iter(kind), "?")
    return f"{feature.get('name')}: {kind or '?'}"


def _data_files(card: Mapping[str, Any]) -> str:
    configs = card.get("configs")
    lines = []
    for config in configs if isinstance(configs, list) else ():
        if not isinstance(config, dict):
            continue
        files = config.get("data_files")
        if isinstance(files, list):
            splits = ", ".join(f"{item.get('split')} ({item.get('path')})" for item in files if isinstance(item, dict))
        else:
            splits = str(files or config.get("data_dir") or "")
        lines.append(f"config {config.get('config_name', 'default')}: {splits}")
    return "\n".join(lines[:20])


# ------------------------------------------------------------------------------------------------------------ Spaces


def _space(info: Any) -> list[str]:
    runtime = info.runtime
    stage = f"{runtime.stage} on {runtime.hardware or 'no hardware'}" if runtime else ""
    if runtime and runtime.requested_hardware and runtime.requested_hardware != runtime.hardware:
        stage += f" ({runtime.requested_hardware} asked for)"
    error = str(runtime.raw.get("errorMessage") or "") if runtime else ""
    return [
        _fact("SDK", info.sdk),
        _fact("stage", stage),
        _fact("error", error[:1000]),
        _fact("app", info.host),
        _fact("models", _listed(info.models)),
        _fact("data sets", _listed(info.datasets)),
    ]


# ------------------------------------------------------------------------------------------------------------- files


def _names(info: Any) -> set[str]:
    return {entry.rfilename for entry in info.siblings or ()}


def _files(info: Any) -> list[str]:
    entries = sorted(info.siblings or (), key=lambda entry: -(entry.size or 0))
    if not entries:
        return ["files: none"]
    total = size_text(sum(entry.size or 0 for entry in entries))
    largest = ", ".join(f"{entry.rfilename} ({size_text(entry.size)})" for entry in entries[:8])
    return [f"files: {count_text(len(entries), 'file')}, {total}; largest: {largest}"]
