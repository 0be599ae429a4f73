"""The practice model: a small scripted policy behind the same interface as every other model.

Its words are prepared, its decisions are not: it reads what the tools really answered and goes on from there.
"""

from ml_intern.core.llm.practice.material import material
from ml_intern.core.llm.practice.transport import PracticeTransport
from ml_intern.core.llm.practice.workspace import prepare_workspace

SUGGESTION = material().suggestion
"""The prompt that the practice session offers."""

__all__ = ["SUGGESTION", "PracticeTransport", "prepare_workspace"]
