"""The parser that all command lines of the program share: a mistake is one sentence, and nothing is printed or left."""

from __future__ import annotations

import argparse

from ml_intern.options import TYPE_CHECKING, UsageError

if TYPE_CHECKING:
    from typing import NoReturn


_UNKNOWN = "unrecognized arguments: "


class Parser(argparse.ArgumentParser):
    """Raises `UsageError` where argparse would print its usage and leave."""

    def error(self, message: str) -> NoReturn:
        """Refuses the command line; an unknown flag comes with the one that was probably meant."""
        if message.startswith(_UNKNOWN):
            message += self._meant(message.removeprefix(_UNKNOWN).split()[0])
        raise UsageError(message)

    def _meant(self, flag: str) -> str:
        import difflib

        flag = flag.partition("=")[0]
        if not flag.startswith("--"):
            return ""
        known = [name for action in self._actions for name in action.option_strings if name.startswith("--")]
        near = difflib.get_close_matches(flag, known)
        swapped = [name for name in near if sorted(name) == sorted(flag)]  # `--modle` is nearer to `--model`
        return f"; did you mean {(swapped or near)[0]}?" if near else ""
