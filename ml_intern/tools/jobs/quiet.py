"""What keeps progress bars out of the logs of jobs."""

from __future__ import annotations

QUIET = {
    "PYTHONUNBUFFERED": "1",
    "HF_HUB_DISABLE_PROGRESS_BARS": "1",
    "TQDM_DISABLE": "1",
    "TRANSFORMERS_VERBOSITY": "warning",
    "UV_NO_PROGRESS": "1",
}
"""Variables of every job; whatever the job sets itself wins."""
