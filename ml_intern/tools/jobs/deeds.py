"""What the program of a job would do beyond computing: on this machine or a cluster it has the person's own files."""

from __future__ import annotations

import shlex
from pathlib import Path

from ml_intern.core.approvals.effects import Assessment, Effect
from ml_intern.core.approvals.paths import Surroundings
from ml_intern.core.tools.spec import ToolContext
from ml_intern.tools.jobs.prepare import PreparedJob

_ORDINARY = frozenset({Effect.READ, Effect.CHANGE})
_REACHES_OUT = frozenset({Effect.SCHEDULE})
"""What a program in a container of its own can still do to others, and what pushing a result there is not."""


def deeds_of(job: PreparedJob, context: ToolContext) -> Assessment:
    """The effects of a job's program, the reasons for them, and a cost if it starts something paid itself.

    Judged as `bash` would judge the same command, so that a job is no way around its rules. Blocks: looks at the disk.
    """
    # Imported with the first job: these rules are large, and start-up can do without.
    from ml_intern.core.approvals.shell_rules import assess_command, assess_program

    home = Path(context.env.get("HOME") or Path.home())
    place = context.workspace
    if job.spec.kind == "command":
        command = shlex.join(job.spec.command)
        found = assess_command(command, workspace=place, cwd=place, home=home, env=context.env)
    else:
        found = assess_program(job.spec.script, workspace=place, cwd=place, home=home)
    effects = found.effects - _ORDINARY
    if job.is_rented:
        effects &= _REACHES_OUT
    reasons = found.reasons if effects or found.cost.usd is None else ()
    setting = "".join(f"export {name}={shlex.quote(value)};" for name, value in job.spec.env.items())
    told = assess_command(setting, workspace=place, cwd=place, home=home)
    if led := told.effects - _ORDINARY:
        effects |= led
        reasons = (*told.reasons, *reasons)
    if job.path and Surroundings.of(place, home).secret(Path(job.path)):
        effects |= {Effect.CREDENTIALS}
        reasons = (f"hands {job.path} to the job, which holds secrets", *reasons)
    return Assessment(effects, reasons, found.cost)
