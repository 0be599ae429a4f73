"""The `hf_jobs` tool: compute jobs over whichever backend is there."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from ml_intern.core.tools.late import Late
from ml_intern.core.tools.spec import ToolSpec
from ml_intern.tools.jobs.params import JobsParams

if TYPE_CHECKING:
    from ml_intern.core.jobs_backend import JobsBackend
    from ml_intern.services.hub import HubClient
    from ml_intern.tools.jobs.acting import Acting
    from ml_intern.tools.jobs.desk import ReadScript

_DESCRIPTION = """\
Runs compute jobs and looks after them. {about}
Operations: run (a `script`, which is Python source, the path of a .py file or a URL, or a `command`), ps, logs, \
inspect, cancel, wait (for one or several jobs), metrics (how busy a running job is), labels; scheduled run, ps, \
inspect, delete, suspend, resume, trigger.
run follows the job and returns its stage, exit code, duration, cost and the end of its log; with detach=true it \
returns at once with the job's id, the job stays watched, and you are told when it ends: so several can run side by \
side. Secrets such as HF_TOKEN are in a job only when named in `secrets`. Print one line a step and no progress bars. \
Relative paths in a script start from the job's working directory."""


def create_jobs_tool(
    backend: JobsBackend,
    *,
    secrets: Mapping[str, str] | None = None,
    hub: HubClient | None = None,
    read_script: ReadScript | None = None,
    clock: Callable[[], float] = time.monotonic,
) -> ToolSpec:
    """The tool over a backend. For the arguments see `JobDesk`."""

    def make() -> Acting:
        from ml_intern.tools.jobs.acting import Acting
        from ml_intern.tools.jobs.desk import JobDesk

        return Acting(JobDesk(backend, secrets, hub, read_script, clock))

    description, acting = _DESCRIPTION.format(about=backend.about), Late(make)
    return ToolSpec("hf_jobs", description, JobsParams, acting.method("handle"), assess=acting.method("assess"))
