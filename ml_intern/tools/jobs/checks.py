"""Looks over a job before anybody approves it: what would make it fail, or lose what it computed."""

from __future__ import annotations

import ast
import re
import warnings

from ml_intern.core.jobs import duration_text
from ml_intern.tools.jobs.prepare import PreparedJob

Check = tuple[bool, str]

_TRAINS = re.compile(r"\b\w*Trainer\s*\(|\.train\(\)|\.backward\(|\.fit\(")
_LOADS_MODEL = re.compile(r"\.from_pretrained\(|\b\w*Trainer\s*\(")
_SAVES = re.compile(
    r"push_to_hub|save_model|save_pretrained|upload_file|upload_folder|create_commit|torch\.save|save_file\(|"
    r"joblib\.dump|pickle\.dump"
)
_PUSHES = re.compile(r"push_to_hub\s*=\s*True|\.push_to_hub\(|upload_file\(|upload_folder\(|create_commit\(")
_TARGET = re.compile(r"""(?:hub_model_id|repo_id)\s*=\s*["']([^"']+)["']|\.push_to_hub\(\s*["']([^"']+)["']""")


def preflight(job: PreparedJob) -> tuple[Check, ...]:
    """Findings as `(passed, text)`, in the order a person wants to read them."""
    findings = [*_source(job), _timeout(job), *_output(job), *_secrets(job), *_image(job)]
    return tuple(findings)


def _source(job: PreparedJob) -> list[Check]:
    if job.spec.kind != "script":
        return []
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about somebody else's source
            ast.parse(job.spec.script)
    except SyntaxError as error:
        return [(False, f"syntax error in line {error.lineno}: {error.msg}")]
    except (ValueError, RecursionError, MemoryError):
        return [(False, "the script cannot be parsed")]
    return [(True, "the script compiles")]


def _timeout(job: PreparedJob) -> Check:
    length = duration_text(job.spec.timeout_s)
    trains = job.spec.kind == "script" and _TRAINS.search(job.spec.script) and _LOADS_MODEL.search(job.spec.script)
    if job.default_timeout and trains:
        return False, f"stopped after {length} (the default): long enough for this training?"
    return True, f"stopped after {length} at the latest"


def _output(job: PreparedJob) -> list[Check]:
    script = job.spec.script
    if not script:
        return []
    if _PUSHES.search(script):
        target = _TARGET.search(script)
        where = next((group for group in target.groups() if group), "") if target else ""
        findings = [(True, f"pushes to {where}" if where else "pushes to the Hub")]
        if not any(name in job.spec.secrets for name in ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN")):
            findings.append((False, "it pushes to the Hub, but HF_TOKEN is not among its secrets"))
        return findings
    if _TRAINS.search(script) and _LOADS_MODEL.search(script) and not _SAVES.search(script):
        return [(False, "it trains a model but never saves or pushes it")]
    return []


def _secrets(job: PreparedJob) -> list[Check]:
    return [(True, f"gets these secrets: {', '.join(sorted(job.spec.secrets))}")] if job.spec.secrets else []


def _image(job: PreparedJob) -> list[Check]:
    if job.spec.image and job.flavor.runs_on == "local":
        return [(False, f"the image {job.spec.image} has no effect on this machine")]
    return []
