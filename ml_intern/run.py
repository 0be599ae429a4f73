"""One run of the program: what it is given by options, environment, configuration and the session that it continues."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from ml_intern import resuming
from ml_intern.core.child_env import without_secrets
from ml_intern.core.config import BUNDLED, LoadedConfig, load_config
from ml_intern.core.config_desk import ConfigDesk
from ml_intern.core.env import load_env
from ml_intern.core.logs import start_logging
from ml_intern.core.places import Places, find_places
from ml_intern.core.redact import Redactor
from ml_intern.core.settings import Settings
from ml_intern.core.tools.spec import ToolSpec
from ml_intern.options import Options

if TYPE_CHECKING:
    from ml_intern.sessions.restore import SavedSession

UNWATCHED_CAP_USD = 10.0
"""Spending cap in dollars where nobody watches and none was given."""


@dataclass(frozen=True)
class Run:
    """What one run is given, settled: its parts are made from this.

    Attributes:
        settings: The merged configuration.
        places: Where ml-intern keeps its files.
        workspace: Directory the tools work in.
        env: The environment, `.env` included. Holds secrets.
        headless: Whether nobody can answer.
        cap_lifted: Whether a missing cap was asked for, so that `yolo` does not bring one.
        lasts: Whether the session is one of a person's, with a log that stays and others before it.
        extra_tools: Tools beside the built-in ones.
        warnings: What was odd in the configuration.
        suggestion: A prompt to begin with, in the practice session.
        saved: A session to continue.
        other_model: The model to use where the one of `settings` cannot be used; empty for none.
        user_file: The user's configuration file in use, where it is not the usual one.
        config_desk: Shows and changes the configuration; None for one that knows of no flags.
    """

    settings: Settings
    places: Places
    workspace: Path
    env: Mapping[str, str]
    headless: bool = False
    cap_lifted: bool = False
    lasts: bool = False
    extra_tools: Iterable[ToolSpec] = ()
    warnings: tuple[str, ...] = ()
    suggestion: str = ""
    saved: SavedSession | None = None
    other_model: str = ""
    user_file: Path | None = None
    config_desk: ConfigDesk | None = None

    @cached_property
    def child_env(self) -> dict[str, str]:
        """The environment of programs that are started: without its secrets."""
        return without_secrets(self.env, keep=self.settings.tools.pass_env)

    @property
    def resumed(self) -> str:
        """Id of the session that is continued, or empty."""
        return self.saved.id if self.saved is not None else ""

    @property
    def default_cap_usd(self) -> float | None:
        """Spending cap that `yolo` brings where there is none; None where none is wanted."""
        return None if self.settings.max_cost_usd is None and self.cap_lifted else UNWATCHED_CAP_USD


def settle(options: Options, env: Mapping[str, str] | None = None) -> Run:
    """What the flags of a run come to, with all that they leave open.

    Args:
        options: Flags of the run.
        env: Environment variables; the process's own by default.

    Raises:
        ConfigError: The configuration cannot be used.
    """
    workdir = (options.workdir or Path.cwd()).expanduser().resolve()
    loaded_env = load_env(workdir, env)
    places = find_places(loaded_env.values)
    start_logging(places.logs, Redactor.from_env(loaded_env.values).text, debug=options.debug)
    config = load_config(places, loaded_env.values, config_file=options.config, overrides=options.overrides())
    saved = resuming.saved_session(options, places, workdir)
    configured, suggestion = config.settings.model_name, ""
    of_the_past: tuple[str, ...] = ()
    if saved is not None:
        config = replace(config, settings=resuming.as_it_was(config.settings, saved, options))
    if options.demo:
        from ml_intern.core.llm.practice import SUGGESTION, prepare_workspace

        workdir, suggestion = prepare_workspace(places), SUGGESTION
    elif saved is not None:
        there, moved = resuming.workspace_of(saved, workdir)
        workdir, moved = (there, moved) if options.workdir is None else (workdir, "")
        of_the_past = (moved, resuming.damage_of(saved))
    return Run(
        _for_this_kind(config, headless=options.headless, demo=options.demo),
        places,
        workdir,
        loaded_env.values,
        headless=options.headless,
        cap_lifted="max_cost_usd" in config.sources,
        lasts=not options.demo,
        warnings=(*loaded_env.warnings, *config.warnings, *of_the_past),
        suggestion=suggestion,
        saved=saved,
        other_model=configured,
        user_file=config.user_file,
        config_desk=ConfigDesk(places, loaded_env.values, options.config, options.overrides()),
    )


def _for_this_kind(config: LoadedConfig, *, headless: bool, demo: bool) -> Settings:
    """The settings with what depends on the kind of run, where nobody has settled it.

    A headless run can ask nobody, so its mode is `yolo`; and where nobody watches, there is a spending cap.
    """
    settings = config.settings
    if demo:  # needs no account, so it can rent nothing
        jobs = settings.jobs.model_copy(update={"backend": "local"})
        settings = settings.model_copy(update={"tool_runtime": "local", "jobs": jobs})
    if headless and config.sources.get("mode", BUNDLED) == BUNDLED:
        settings = settings.model_copy(update={"mode": "yolo"})
    if (headless or settings.mode == "yolo") and "max_cost_usd" not in config.sources:
        settings = settings.model_copy(update={"max_cost_usd": UNWATCHED_CAP_USD})
    return settings
