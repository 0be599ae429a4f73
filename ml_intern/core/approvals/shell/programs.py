"""Rules for package managers, processes, services, schedules and databases."""

from __future__ import annotations

import re

from ml_intern.core.approvals.effects import Effect
from ml_intern.core.approvals.shell.call import Call
from ml_intern.core.approvals.shell.code import destroys_data
from ml_intern.core.approvals.shell.expand import SOMETHING, UNKNOWN, Arg
from ml_intern.core.approvals.shell.files import Rule
from ml_intern.core.approvals.shell.wrappers import after_flags

# ------------------------------------------------------------------------------------- packages and environments


def _runner(subcommands: tuple[str, ...], *valued: str) -> Rule:
    """A project tool: `run` and its like start the command that follows, `publish` publishes."""

    def rule(call: Call) -> None:
        rest = after_flags(call.args, valued)
        if [arg.text for arg in rest[:2]] == ["tool", "run"]:  # `uvx` by its long name
            rest = rest[1:]
        first = rest[0].text if rest else ""
        if first in subcommands and (inner := after_flags(rest[1:], valued)):
            flags = {arg.text for arg in rest[1 : len(rest) - len(inner)]}
            if flags & {"-m", "--module"}:
                call.run([Arg("python"), Arg("-m"), *inner])
            elif inner[0].text.endswith(".py"):
                call.run([Arg("python"), *inner])
            else:
                call.run(inner)
        elif first == "publish":
            call.publishes(f"publishes a package with {call.name}")
        elif first in {"login", "adduser", "token"}:
            call.found.add(Effect.CREDENTIALS, f"changes who is signed in to {call.name}")
        elif first == "pip":
            call.run(rest)
        elif first in {"list", "show", "tree", "--version", "info", "ls", "view", "outdated"} or call.only_tells():
            call.reads()
        elif call.name.endswith(("conda", "mamba")) and (
            (first == "env" and "remove" in call.texts) or call.has("--all")
        ):
            call.destroys("deletes an environment")
        else:
            call.changes()
            call.may_run_words()
            if (first == "tool" and "install" in call.texts) or "-g" in call.texts or "--global" in call.texts:
                call.found.add(Effect.OUTSIDE, f"installs for the whole account ({call.name})")

    return rule


_UV_FLAGS = (
    "--with", "--python", "-p", "--extra", "--group", "--env-file", "--directory", "--project", "--with-requirements",
    "--index", "--index-url", "--with-editable", "--package", "--from",
)  # fmt: skip


def _launcher(call: Call) -> None:
    """Starts a training program several times: judged as one start of it."""
    at = next((index for index, text in enumerate(call.texts) if text.endswith(".py")), None)
    if at is None:
        call.changes()
    else:
        call.run([Arg("python"), *call.args[at:]])


def _pip(call: Call) -> None:
    operands = call.operands()
    first = operands[0].text if operands else ""
    if first in {"list", "show", "freeze", "check", "index", "help", "debug", "inspect", "hash", ""}:
        call.reads()
        return
    call.changes()
    call.writes(call.value("-t", "--target", "--prefix", "--root"), "installs into")
    if call.has("--user", "--break-system-packages"):
        call.found.add(Effect.OUTSIDE, "installs for the whole account")


def _system_packages(call: Call) -> None:
    operands = call.operands()
    if operands and operands[0].text in {"list", "search", "show", "info", "policy", "config", "--version", "doctor"}:
        call.reads()
    else:
        call.found.add(Effect.OUTSIDE, f"installs or removes software of this machine ({call.name})")


# ----------------------------------------------------------------------------------------- processes, schedules


def _kill(call: Call) -> None:
    texts = call.texts
    if "-0" in texts or call.has("-l", "-L"):
        call.reads()
        return
    call.changes()
    numbers = [text for text in texts if re.fullmatch(r"-?\d+", text)]
    signal_given = bool(texts) and texts[0].startswith("-") and texts[0] not in {"--", "-s", "-n"}
    targets = numbers[1:] if signal_given and numbers[:1] == texts[:1] and len(texts) > 1 else numbers
    if {"-1", "1"} & set(targets):
        call.found.add(Effect.CATASTROPHIC, "stops every process, or the first one of the system")
    elif targets:
        call.destroys(f"stops process {', '.join(targets)}")
    elif any(not arg.known for arg in call.args):
        call.destroys("stops processes that are looked up when it runs")


def _kill_by_name(call: Call) -> None:
    call.changes()
    call.destroys(f"stops all processes that match {' '.join(arg.shown for arg in call.args)}")


def _fuser(call: Call) -> None:
    call.reads()
    if "k" in call.letters or call.has("--kill"):
        call.changes()
        call.destroys("stops all processes that use a file or a port")


_SETTINGS = frozenset(
    """
    setcap mount umount swapon swapoff sysctl modprobe insmod rmmod iptables ip6tables nft ufw passwd chpasswd useradd
    userdel
    usermod groupadd groupdel chsh visudo hostnamectl timedatectl loginctl update-alternatives ldconfig setenforce
    """.split()  # noqa: SIM905 - words read better than as many quotes
)


def _machine_settings(call: Call) -> None:
    looks = call.has("-l", "--list", "-L", "--show", "-S")
    if call.name == "sysctl":  # it only shows, unless it is told a value
        looks = not (set("wpfr") & set(call.letters) or call.has("--write", "--load", "--system")) and not any(
            "=" in text or text[:1] in {UNKNOWN, SOMETHING} for text in call.texts
        )
    if call.only_tells() or not call.args or looks:
        call.reads()
    else:
        call.found.add(Effect.OUTSIDE, f"changes settings of this machine ({call.name})")


def _server(call: Call) -> None:
    """Serves on this machine alone, unless it is told otherwise."""
    call.changes()
    if any("0.0.0.0" in text or text in {"--bind_all", "::", "--host=::"} for text in call.texts):  # noqa: S104 - looked for
        call.publishes("serves something to the network")


def _trackio(call: Call) -> None:
    call.changes()
    if call.texts[:1] and call.texts[0] in {"sync", "deploy"}:
        call.publishes("sends metrics to a Space")


def _power(call: Call) -> None:
    call.found.add(Effect.CATASTROPHIC, "shuts this machine down")


def _systemctl(call: Call) -> None:
    operands = call.operands()
    first = operands[0].text if operands else "status"
    if first in {"status", "show", "list-units", "list-unit-files", "list-timers", "is-active", "is-enabled", "cat"}:
        call.reads()
    elif first in {"poweroff", "reboot", "halt", "kexec", "suspend", "hibernate", "rescue", "emergency"}:
        _power(call)
    elif first in {"enable", "link", "preset", "load", "bootstrap", "submit", "add-wants"}:
        call.found.add(Effect.SCHEDULE, "sets up a service that starts by itself")
    else:
        call.found.add(Effect.OUTSIDE, f"changes services of this machine ({call.name} {first})")


def _schedules(call: Call) -> None:
    if call.texts in (["-l"], ["--list"]):
        call.reads()
    else:
        call.found.add(Effect.SCHEDULE, f"sets up something that runs by itself ({call.name})")


def _database(call: Call) -> None:
    call.changes()
    call.may_run_words()
    if any(destroys_data(text) for text in [*call.texts, call.stdin or ""]):
        call.destroys("deletes from a database")
    if any(re.search(r"(?i)\bflush(?:all|db)\b|dropDatabase|\bdrop\(\)", text) for text in call.texts):
        call.destroys("empties a database")
    if call.name == "dropdb":
        call.destroys("deletes a database")


_GPU_SETTINGS = (
    "--persistence-mode", "--power-limit", "--applications-clocks", "--lock-gpu-clocks", "--multi-instance-gpu",
    "--ecc-config", "--compute-mode", "--reset-gpu-clocks",
)  # fmt: skip


def _secret_store(call: Call) -> None:
    if call.only_tells():
        call.reads()
    else:
        call.found.add(Effect.CREDENTIALS, f"opens a store of secrets ({call.name})")


def _gpg(call: Call) -> None:
    call.changes()
    if any(text.startswith(("--export-secret", "--delete-secret")) for text in call.texts):
        call.found.add(Effect.CREDENTIALS, "shows or deletes secret keys")


def _nvidia_smi(call: Call) -> None:
    call.reads()
    call.writes(call.value("-f", "--filename"))
    if call.has("-r", "--gpu-reset", "-pm", "-pl", "-ac", "-lgc", "-mig", "-e", "-c", *_GPU_SETTINGS):
        call.found.add(Effect.OUTSIDE, "changes settings of the graphics cards")


RULES: dict[str, Rule] = {
    **dict.fromkeys(("uv", "poetry", "pdm", "hatch", "pixi", "rye", "pipenv", "flit"), _runner(("run",), *_UV_FLAGS)),
    **dict.fromkeys(("conda", "mamba", "micromamba"), _runner(("run",), "-n", "--name", "-p", "--prefix")),
    **dict.fromkeys(("npm", "yarn", "pnpm", "cargo", "gem"), _runner(("exec", "dlx", "run-script"), "--package")),
    "pipx": _runner(("run",), "--spec", "--python", "--pip-args"),
    **dict.fromkeys(("torchrun", "accelerate", "deepspeed", "horovodrun"), _launcher),
    **dict.fromkeys(("pip", "pip3"), _pip),
    **dict.fromkeys(
        ("apt", "apt-get", "aptitude", "yum", "dnf", "apk", "pacman", "brew", "snap", "port", "dpkg", "rpm"),
        _system_packages,
    ),
    **dict.fromkeys(("pkill", "killall", "skill"), _kill_by_name),
    **dict.fromkeys(("shutdown", "reboot", "halt", "poweroff", "init", "telinit"), _power),
    **dict.fromkeys(("systemctl", "launchctl", "service"), _systemctl),
    **dict.fromkeys(("crontab", "at", "batch", "atq", "systemd-run", "schtasks"), _schedules),
    **dict.fromkeys(
        (
            "psql",
            "mysql",
            "mariadb",
            "sqlite3",
            "duckdb",
            "redis-cli",
            "mongosh",
            "mongo",
            "dropdb",
            "clickhouse-client",
        ),
        _database,
    ),
    **dict.fromkeys(("pass", "op", "bw", "vault", "secret-tool", "security", "keyring"), _secret_store),
    **dict.fromkeys(("gpg", "gpg2"), _gpg),
    **dict.fromkeys(_SETTINGS, _machine_settings),
    **dict.fromkeys(
        ("jupyter", "jupyter-lab", "jupyter-notebook", "tensorboard", "uvicorn", "gunicorn", "flask", "mlflow", "vllm"),
        _server,
    ),
    "trackio": _trackio,
    "fuser": _fuser,
    "kill": _kill,
    "nvidia-smi": _nvidia_smi,
}
