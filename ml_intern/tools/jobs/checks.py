"""Looks over a job before anybody approves it: what would make it fail, or lose what it computed."""

from __future__ import annotations

import ast
import re
import warnings

from ml_intern.core.fit import FitError, estimate, fit
from ml_intern.core.fit_guess import guess
from ml_intern.core.jobs import duration_text
from ml_intern.tools.jobs.pace import datasets_of, rough_seconds
from ml_intern.tools.jobs.prepare import TOKEN_NAMES, Check, PreparedJob
from ml_intern.tools.known_datasets import KnownDatasets

_TRAINS = re.compile(r"\b\w*Trainer\s*\(|\.train\(\)|\.backward\(|\.fit\(")
_LOADS_MODEL = re.compile(r"\.from_pretrained\(|\b\w*Trainer\s*\(")
_SAVES = re.compile(
    r"push_to_hub|save_model|save_pretrained|upload_file|upload_folder|create_commit|torch\.save|save_file\(|"
    r"joblib\.dump|pickle\.dump"
)
_PUSHES = re.compile(
    r"push_to_hub\s*=\s*True|\.push_to_hub\(|upload_file\(|upload_folder\(|upload_large_folder\(|create_commit\(|"
    r"batch_bucket_files\(|sync_bucket\(|\b(?:hf|huggingface-cli)\b.{0,20}\bupload\b"
)
_SAVES_ELSEWHERE = re.compile(r"\bs3://|\bgs://|\bboto3\b|\bgcsfs\b|\blog_artifact|\blog_model\(|\bfsspec\b|\brclone\b")
_TARGET = re.compile(
    r"""hub_model_id\s*=\s*["']([^"']+)["']|\.push_to_hub\(\s*(?:repo_id\s*=\s*)?["']([^"']+)["']|"""
    r"""(?:upload_\w+|create_commit|create_repo)\([^()]{0,400}?\brepo_id\s*=\s*["']([^"']+)["']"""
)
_REPORTS = re.compile(r"""report_to\s*=\s*\[?\s*["'](?!none)|\btrackio\b|\bwandb\b|\bmlflow\b|tensorboard""")
_EVALUATES = re.compile(
    r"eval_dataset|eval_strategy|evaluation_strategy|\.evaluate\(|\bval(?:id(?:ation)?)?_|compute_metrics"
)
_SHORT_STEPS = re.compile(r"max_steps\s*=\s*(\d{1,2})\b")
_TEXT_FIELD = re.compile(r"""dataset_text_field\s*=\s*["'](\w+)["']""")
_RESHAPES = re.compile(r"\.map\(|formatting_func|rename_column|cast_column")

MODEST_LENGTH = 512
"""Tokens of a sequence where a script does not say: what does not fit then, does not fit."""
LONG_S = 1800.0
"""A training of this length should be seen while it runs."""

_NEEDED_COLUMNS = {
    "SFTTrainer": ({"messages"}, {"text"}, {"prompt", "completion"}, {"conversations"}),
    "DPOTrainer": ({"chosen", "rejected"},),
    "RewardTrainer": ({"chosen", "rejected"},),
    "GRPOTrainer": ({"prompt"},),
}
"""Columns a trainer of TRL takes as they are: any one of these sets."""


def preflight(job: PreparedJob, known: KnownDatasets | None = None) -> tuple[Check, ...]:
    """Findings as `(passed, text)`, in the order a person wants to read them."""
    known = known or KnownDatasets()
    findings = [*_source(job), _timeout(job, known), *_memory(job), *_output(job), *job.findings, *_training(job)]
    return (*findings, *_columns(job, known), *_secrets(job), *_image(job))


def unsaved(job: PreparedJob) -> str:
    """Why a rented training would be lost as soon as it ends, or an empty string."""
    if not job.is_rented or not trains(job):
        return ""
    script = job.spec.script
    if _PUSHES.search(script) or _SAVES_ELSEWHERE.search(script):
        return ""
    if any(volume.kind == "bucket" and not volume.read_only for volume in job.spec.volumes):
        return ""
    return (
        "This trains a model and saves it nowhere: the job's disk is deleted when it ends, so all that is paid for "
        'would be lost. Push the result (push_to_hub=True with hub_model_id, and secrets=["HF_TOKEN"]), or mount a '
        "bucket with `volumes` and write checkpoints there. For a test run of which nothing is to be kept, pass "
        "allow_unsaved=true."
    )


def trains(job: PreparedJob) -> bool:
    """Whether a script trains a model."""
    script = job.spec.script
    return bool(script and _TRAINS.search(script) and _LOADS_MODEL.search(script))


def push_target(script: str) -> str:
    """The repository a script pushes to; empty where it pushes nothing or does not say where."""
    target = _TARGET.search(script) if _PUSHES.search(script) else None
    return next((group for group in target.groups() if group), "") if target else ""


def _source(job: PreparedJob) -> list[Check]:
    if not job.spec.script:
        return []
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about somebody else's source
            ast.parse(job.spec.script)
    except SyntaxError as error:
        return [(False, f"syntax error in line {error.lineno}: {error.msg}; correct it first")]
    except (ValueError, RecursionError, MemoryError):
        return [(False, "the script cannot be parsed; correct it first")]
    return [(True, "the script compiles")]


def _timeout(job: PreparedJob, known: KnownDatasets) -> Check:
    length = duration_text(job.spec.timeout_s)
    needed = rough_seconds(job.spec.script, job.flavor, known) if trains(job) else None
    if needed is not None:
        guess = f"about {duration_text(round(needed, -2 if needed < 7200 else -3))} by a rough guess"
        if needed > 0.8 * job.spec.timeout_s:
            return False, f"stopped after {length}, but it needs {guess}: allow it more time"
        return True, f"stopped after {length}, it needs {guess}"
    if job.default_timeout and trains(job):
        return False, f"stopped after {length}, the default: allow it more time if this training takes longer"
    return True, f"stopped after {length} at the latest"


def _memory(job: PreparedJob) -> list[Check]:
    """Whether the rented hardware takes the model, as far as the script tells; silent where it does not."""
    found = guess(job.spec.script, length=MODEST_LENGTH) if job.is_rented and trains(job) else None
    if found is None:
        return []
    model, work = found
    try:
        fits = fit(estimate(work), job.flavor)
    except FitError:
        return []
    hardware = job.flavor.name
    if fits.verdict == "no GPU":
        return [(False, f"{hardware} has no GPU to train {model} on: choose other hardware")]
    if not fits.available_gb:
        return []
    needs = f"{model} takes about {fits.needed_gb:.0f} GB by a rough guess"
    if fits.verdict == "too small":
        mend = "choose larger hardware, LoRA, or a smaller batch or length"
        return [(False, f"{needs}, and a GPU of {hardware} has {fits.available_gb:.0f}: {mend}")]
    return [(True, f"{needs}, of {fits.available_gb:.0f}{', which is tight' if fits.verdict == 'tight' else ''}")]


def _output(job: PreparedJob) -> list[Check]:
    script = job.spec.script
    if not script:
        return []
    if _PUSHES.search(script):
        where = push_target(script)
        findings = [(True, f"pushes to {where}" if where else "pushes to the Hub")] if not job.findings else []
        if not any(name in job.spec.secrets for name in TOKEN_NAMES):
            findings.append(
                (False, "it pushes to the Hub, but HF_TOKEN is not among its secrets: have it added to `secrets`")
            )
        return findings
    if lost := unsaved(job):
        return [(False, f"{lost.partition(':')[0].lower()}: push the result, or write it to a mounted bucket")]
    if trains(job) and not _SAVES.search(script):
        return [(False, "it trains a model but never saves or pushes it: add save_model or push_to_hub")]
    return []


def _training(job: PreparedJob) -> list[Check]:
    script = job.spec.script
    if not trains(job) or _SHORT_STEPS.search(script):
        return []
    findings: list[Check] = []
    if job.is_rented and job.spec.timeout_s > LONG_S:
        reports = bool(_REPORTS.search(script))
        text = (
            "its metrics are reported" if reports else "nothing reports its metrics: set report_to, for example trackio"
        )
        findings.append((reports, text))
    if not _EVALUATES.search(script):
        findings.append((False, "no eval set, so nothing will tell whether it got better: set eval_dataset"))
    return findings


def _columns(job: PreparedJob, known: KnownDatasets) -> list[Check]:
    """Whether the data set has what the trainer looks for; silent where either is not known."""
    script = job.spec.script
    findings: list[Check] = []
    for name in datasets_of(script) if script else ():
        dataset = known.find(name)
        if dataset is None or not dataset.columns:
            continue
        has = ", ".join(sorted(dataset.columns)[:12])
        if (field := _TEXT_FIELD.search(script)) and field[1] not in dataset.columns:
            findings.append((False, f"{name} has no column {field[1]!r}, only {has}: correct dataset_text_field"))
        elif not field and not _RESHAPES.search(script) and (needed := _missing(script, dataset.columns)):
            findings.append(
                (False, f"{name} has the columns {has}, the trainer looks for {needed}: rename or map them")
            )
        else:
            findings.append((True, f"the columns of {name} were looked at: {has}"))
    return findings


def _missing(script: str, columns: frozenset[str]) -> str:
    for trainer, sets in _NEEDED_COLUMNS.items():
        if f"{trainer}(" in script and not any(wanted <= columns for wanted in sets):
            return " or ".join(" and ".join(sorted(wanted)) for wanted in sets)
    return ""


def _secrets(job: PreparedJob) -> list[Check]:
    return [(True, f"gets these secrets: {', '.join(sorted(job.spec.secrets))}")] if job.spec.secrets else []


def _image(job: PreparedJob) -> list[Check]:
    if job.spec.image and job.flavor.runs_on:
        return [(False, f"the image {job.spec.image} has no effect: the job is not run in a container")]
    return []
