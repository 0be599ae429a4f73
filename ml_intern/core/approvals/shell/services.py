"""Rules for programs that reach other machines and accounts: the Hub, GitHub, containers, clouds."""

from __future__ import annotations

import re

from ml_intern.core.approvals.effects import Effect
from ml_intern.core.approvals.shell.call import Call
from ml_intern.core.approvals.shell.code import destroys_data
from ml_intern.core.approvals.shell.expand import Arg
from ml_intern.core.approvals.shell.files import Rule
from ml_intern.core.approvals.shell.git import judge_git

_LISTING = frozenset(
    """
    list ls ps info show view status logs inspect hardware stats version env search diff checks describe get help verify
    scan whoami catalog browse top images history port events
    """.split()  # noqa: SIM905 - words read better than as many quotes
)
_HF_WORDS = frozenset("jobs sandbox extensions scheduled uv run create exec spawn cancel install".split()) | _LISTING  # noqa: SIM905
_DELETING = frozenset({"delete", "rm", "remove", "prune", "rb", "destroy", "terminate", "purge", "unpublish"})

_ACTING = frozenset(
    """
    cp mv sync put push upload create apply exec run start restart stop attach edit patch replace set scale rollout
    submit deploy install upgrade invoke send publish copy import export update add modify associate enable disable
    resize reboot ssh label annotate drain cordon uncordon taint expose autoscale mb presign debug request
    """.split()  # noqa: SIM905 - words read better than as many quotes
)
_MACHINES = frozenset(
    {
        "ec2",
        "compute",
        "vm",
        "vmss",
        "sagemaker",
        "batch",
        "eks",
        "aks",
        "emr",
        "dataproc",
        "ml",
        "ai",
        "ai-platform",
        "autoscaling",
    }
)
_STARTS_MACHINES = frozenset({"create", "run", "start", "resize", "scale", "submit", "request", "set", "update"})
_CLOUD_SECRETS = frozenset(
    """
    secretsmanager secrets secret print-access-token print-identity-token get-access-token get-session-token
    get-login-password keyvault
    """.split()  # noqa: SIM905 - words read better than as many quotes
)
_LOOKING = frozenset({"list", "ls", "show", "status", "logs", "ps", "plan", "validate", "version", "search", "queue"})
_STARTING = frozenset({"run", "launch", "submit", "create", "deploy", "up", "apply", "exec", "shell", "serve", "start"})

# --------------------------------------------------------------------------------------------------------- the Hub


def _hf(call: Call) -> None:
    words = [arg.text for arg in call.operands("--token", "--repo-type", "--revision", "--namespace")]
    first, second = [*words, "", ""][:2]
    if call.only_tells() or _asks_hf_for_help(call) or first in {"", "version", "env", "papers"}:
        call.reads()
    elif call.has("--hardware", "--flavor", "--space-hardware") and first not in {"jobs", "sandbox", "endpoints"}:
        call.publishes("changes a Space on the Hub")
        call.rents(f"asks for paid hardware (hf {first} {second})")
    elif first == "spaces" and second == "restart":
        call.publishes("restarts a Space on the Hub")
        call.rents("starts a Space, on paid hardware if it has some")
    elif first in _HF_RULES:
        _HF_RULES[first](call, second, words)
    elif second in _LISTING:
        call.reads()
    elif second in _DELETING:
        _hub_delete(call, first)
    else:
        call.publishes(f"changes something on the Hub (hf {first} {second})".replace(" )", ")"))


def _asks_hf_for_help(call: Call) -> bool:
    """Behind the image of a job, and behind the command for a sandbox, `--help` is meant for the program inside."""
    before = call.texts[: call.texts.index("--help")] if "--help" in call.texts else []
    return bool(before) and (before[0] not in {"jobs", "sandbox", "extensions"} or set(before) <= _HF_WORDS)


def _hub_delete(call: Call, kind: str) -> None:
    call.publishes("changes a repository on the Hub")
    call.destroys(f"deletes on the Hub ({kind})")


def _hf_auth(call: Call, second: str, _words: list[str]) -> None:
    if second == "whoami":
        call.reads()
    else:
        call.found.add(Effect.CREDENTIALS, "shows or changes the Hub token")


def _hf_login(call: Call, _second: str, _words: list[str]) -> None:
    call.found.add(Effect.CREDENTIALS, "changes who is signed in to the Hub")


def _hf_download(call: Call, _second: str, _words: list[str]) -> None:
    call.changes()
    call.writes(call.value("--local-dir", "--cache-dir"), "downloads to")


def _hf_upload(call: Call, _second: str, _words: list[str]) -> None:
    call.publishes("uploads files to the Hub")
    if call.has("--delete"):
        call.destroys("deletes files on the Hub")


def _hf_repo(call: Call, second: str, words: list[str]) -> None:
    if second == "delete":
        call.found.add(Effect.CATASTROPHIC, "deletes a repository on the Hub")
    elif second in _LISTING:
        call.reads()
    elif set(words) & _DELETING:
        _hub_delete(call, second)
    else:
        call.publishes(f"changes a repository on the Hub ({second})")


def _hf_jobs(call: Call, second: str, words: list[str]) -> None:
    third = words[2] if len(words) > 2 else ""
    if second == "scheduled":
        if third in _LISTING:
            call.reads()
        else:
            call.found.add(Effect.SCHEDULE, f"changes scheduled jobs ({third})")
    elif second in _LISTING:
        call.reads()
    elif second == "cancel":
        call.destroys("stops a job")
    else:
        call.rents("starts a paid job")


def _hf_compute(call: Call, second: str, words: list[str]) -> None:
    if second == "catalog":  # `catalog ls` looks, `catalog deploy` deploys
        second = (words[2:3] or ["ls"])[0]
    if second in _LISTING:
        call.reads()
    elif second in _DELETING:
        call.destroys(f"deletes compute on the Hub ({second})")
    else:
        call.rents(f"changes paid compute ({second})")


def _hf_cache(call: Call, second: str, _words: list[str]) -> None:
    if second in _LISTING:
        call.reads()
    else:
        call.destroys("deletes from the download cache")


def _hf_local(call: Call, _second: str, _words: list[str]) -> None:
    call.changes()


_HF_RULES = {
    "auth": _hf_auth,
    "login": _hf_login,
    "logout": _hf_login,
    "whoami": lambda call, _second, _words: call.reads(),
    "download": _hf_download,
    "upload": _hf_upload,
    "upload-large-folder": _hf_upload,
    "sync": _hf_upload,
    "repo": _hf_repo,
    "repos": _hf_repo,
    "buckets": _hf_repo,
    "jobs": _hf_jobs,
    "endpoints": _hf_compute,
    "sandbox": _hf_compute,
    "cache": _hf_cache,
    "scan-cache": lambda call, _second, _words: call.reads(),
    "delete-cache": lambda call, _second, _words: call.destroys("deletes from the download cache"),
    "lfs-enable-largefiles": _hf_local,
    "lfs-multipart-upload": _hf_upload,
    "skills": _hf_local,
    "extensions": _hf_local,
}

# ---------------------------------------------------------------------------------------------------------- GitHub


def _gh(call: Call) -> None:
    words = [arg.text for arg in call.operands("-R", "--repo", "-X", "--method", "-f", "-F", "-H", "-q", "--jq", "-t")]
    first, second = [*words, "", ""][:2]
    if first == "auth" or (first in {"secret", "variable", "ssh-key", "gpg-key"} and second not in _LISTING):
        call.found.add(Effect.CREDENTIALS, "shows or changes credentials of GitHub")
    elif first == "api":
        _gh_api(call)
    elif first == "repo" and second == "delete":
        call.found.add(Effect.CATASTROPHIC, "deletes a repository on GitHub")
    elif second in _LISTING or first in {"search", "status", "browse", "help", "version", ""}:
        call.reads()
    elif second in {"clone", "checkout", "download", "sync"}:
        call.changes()
    else:
        call.publishes(f"changes something on GitHub ({first} {second})")
        if second in _DELETING:
            call.destroys(f"deletes on GitHub ({first})")


def _gh_api(call: Call) -> None:
    methods = [arg.text.upper() for arg in call.value("-X", "--method")]
    sends = call.has("-f", "-F", "--field", "--raw-field", "--input")
    if (methods and methods[0] != "GET") or (sends and not methods):
        call.publishes("changes something on GitHub")
        if methods[:1] == ["DELETE"]:
            call.found.add(Effect.CATASTROPHIC, "deletes something on GitHub")
    else:
        call.reads()


# ------------------------------------------------------------------------------------------------------ containers


def _docker(call: Call) -> None:
    operands = call.operands("--context", "-H", "--host", "-f", "--file", "--project-name")
    words = [arg.text for arg in operands]
    group = words[:1] and words[0] in {
        "compose",
        "container",
        "image",
        "volume",
        "network",
        "system",
        "builder",
        "buildx",
    }
    action = (words[1:2] if group else words[:1]) or [""]
    if action[0] in _LISTING or action[0] in {"df", "config", ""}:
        call.reads()
    elif action[0] == "push" or call.has("--push"):
        call.publishes("pushes an image")
    elif action[0] in {"login", "logout"}:
        call.found.add(Effect.CREDENTIALS, "changes who is signed in to a registry")
    elif (
        action[0] in _DELETING or action[0] in {"rmi", "kill"} or (action[0] == "down" and call.has("-v", "--volumes"))
    ):
        call.destroys(f"deletes containers, images or volumes ({' '.join(words[:2])})")
    else:
        call.changes()
    mounts = call.value("-v", "--volume", "--mount")
    if call.has("--privileged", "--pid") or any(re.match(r"/:|.*(?:source|src)=/,", mount.text) for mount in mounts):
        call.found.add(Effect.OUTSIDE, "gives a container the whole machine")
    for mount in mounts:
        if (
            mount.text.startswith(("/", "~"))
            and action[0] in {"run", "create"}
            and not mount.text.rstrip().endswith(":ro")
        ):
            call.writes([Arg(mount.text.partition(":")[0])], "lets a container write to")


# ---------------------------------------------------------------------------------------------- clouds and schedulers


def _cloud(call: Call) -> None:
    words = [arg.text for arg in call.operands("--profile", "--region", "--project", "--output", "-n", "--namespace")]
    verbs = {part for word in words[:4] for part in (word, word.partition("-")[0])}
    if words[:1] in (["configure"], ["auth"], ["login"], ["token"]) or (verbs | set(words[:4])) & _CLOUD_SECRETS:
        call.found.add(Effect.CREDENTIALS, f"shows or changes credentials of {call.name}")
    elif verbs & _DELETING:
        call.publishes(f"changes something in an account ({call.name})")
        call.destroys(f"deletes in an account ({call.name} {' '.join(words[:3])})")
    elif not words or call.only_tells() or _verb(words) in _LISTING:
        call.reads()
    else:
        call.publishes(f"changes something in an account ({call.name} {' '.join(words[:2])})")
        if set(words[:3]) & _MACHINES and _verb(words) in _STARTS_MACHINES:
            call.rents(f"starts machines ({call.name} {' '.join(words[:2])})")


def _verb(words: list[str]) -> str:
    """What a command of a cloud does: the first word that does something. What follows may be anybody's names."""
    parts = (part for word in words[:6] for part in (word, word.partition("-")[0]))
    return next((part for part in parts if part in _LISTING or part in _ACTING), "")


def _compute(call: Call) -> None:
    words = [arg.text for arg in call.operands()]
    first = words[0] if words else ""
    action = next((word for word in words[:3] if word in _STARTING or word in _LOOKING), "")
    if action in _LOOKING or call.only_tells():
        call.reads()
    elif first in {"down", "destroy", "stop", "delete", "remove"} or set(words[:3]) & _DELETING:
        call.destroys(f"stops or deletes compute ({call.name} {first})")
    elif call.name == "ray" and first != "up":  # a cluster that is there already
        call.found.add(Effect.COMPUTE, f"starts compute ({call.name})")
    else:
        call.rents(f"starts compute ({call.name})")


def _queue(call: Call) -> None:
    if call.only_tells():
        call.reads()
    else:
        call.found.add(Effect.COMPUTE, f"starts compute ({call.name})")
        call.may_run_words()


def _agent(call: Call) -> None:
    """Another agent: it asks by rules of its own or not at all, and what it spends is under no cap of this session."""
    first = (call.texts or [""])[0]
    if call.only_tells() or first in {"doctor", "-h", "-v", "-V"}:
        call.reads()
    elif first in {"sessions", "spend", "config", "settings"}:
        call.changes()
    else:
        call.found.add(Effect.EXTERNAL, f"starts another agent ({call.name}), which acts by rules of its own")
        call.rents("what that agent spends is not known beforehand")


def _cancels(call: Call) -> None:
    call.destroys(f"stops jobs ({call.name})")


def _twine(call: Call) -> None:
    if (call.operands() or [Arg("")])[0].text == "upload":
        call.publishes("publishes a package")
    else:
        call.reads()


def _wandb(call: Call) -> None:
    first = (call.operands() or [Arg("")])[0].text
    if first == "login":
        call.found.add(Effect.CREDENTIALS, "changes who is signed in to wandb")
    elif first in {"sync", "artifact", "launch", "sweep", "agent"}:
        call.publishes(f"sends something to wandb ({first})")
    else:
        call.changes()


def _kaggle(call: Call) -> None:
    words = [arg.text for arg in call.operands()]
    if set(words) & {"submit", "create", "version", "push", "init", "update", "delete"}:
        call.publishes("sends something to Kaggle")
    else:
        call.changes()


def _queries(call: Call) -> None:
    call.publishes(f"acts in an account ({call.name})")
    if any(destroys_data(text) for text in call.texts):
        call.destroys("deletes from a database")


RULES: dict[str, Rule] = {
    "git": judge_git,
    **dict.fromkeys(("hf", "huggingface-cli", "huggingface_hub"), _hf),
    **dict.fromkeys(("gh", "glab"), _gh),
    **dict.fromkeys(("docker", "podman", "nerdctl", "docker-compose"), _docker),
    **dict.fromkeys(
        ("aws", "gcloud", "gsutil", "az", "kubectl", "oc", "helm", "s3cmd", "doctl", "flyctl", "fly"), _cloud
    ),
    **dict.fromkeys(("heroku", "vercel", "netlify", "oci", "ibmcloud", "mc", "azcopy"), _cloud),
    **dict.fromkeys(("modal", "sky", "vastai", "runpodctl", "terraform", "tofu", "pulumi", "ray", "dstack"), _compute),
    **dict.fromkeys(("eksctl", "linode-cli", "hcloud", "paperspace", "cerebrium", "anyscale", "baseten"), _compute),
    **dict.fromkeys(("lambda-cloud", "beam", "fal", "replicate", "together", "runpod"), _compute),
    **dict.fromkeys(("sbatch", "srun", "salloc", "qsub", "bsub", "condor_submit"), _queue),
    **dict.fromkeys(("ml-intern", "claude", "codex", "gemini", "aider", "opencode", "goose", "cursor-agent"), _agent),
    **dict.fromkeys(("scancel", "qdel", "bkill"), _cancels),
    **dict.fromkeys(("bq", "snowsql"), _queries),
    "twine": _twine,
    "wandb": _wandb,
    "kaggle": _kaggle,
}
