"""The environment of this run: the shell's own variables, completed from `.env` files.

Shell beats the working directory's `.env`, which beats the one of the project root; last come the keys that were given
to ml-intern itself. What a directory brings that nobody has trusted may not decide everything (`foreign_env.py`).
Nothing is written back into `os.environ`: whoever needs a variable is handed the mapping.
"""

from __future__ import annotations

import io
import os
from collections import ChainMap
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from ml_intern.core.foreign_env import objection_to
from ml_intern.core.keyfile import key_file
from ml_intern.core.places import find_places
from ml_intern.core.project import is_trusted
from ml_intern.core.small_file import read_small_file

_CHECKOUT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True, slots=True)
class LoadedEnv:
    """The merged environment.

    Attributes:
        values: All variables.
        sources: The `.env` file each variable came from; the shell's own are not listed.
        warnings: Sentences for a person: a file that cannot be used, lines that say nothing.
    """

    values: dict[str, str]
    sources: dict[str, Path]
    warnings: tuple[str, ...]


def load_env(workdir: Path, base: Mapping[str, str] | None = None) -> LoadedEnv:
    """The environment for work in a directory.

    Args:
        workdir: Its `.env`, and the one of the nearest parent that is a git root, are read.
        base: Variables that are set already and beat every file; the process's own by default.
    """
    values = dict(os.environ if base is None else base)
    sources: dict[str, Path] = {}
    warnings: list[str] = []
    foreign: dict[Path, set[str]] = {}
    is_foreign = _foreign_files(values)
    for path in _files(workdir.absolute(), values):
        try:
            text = read_small_file(path)
        except OSError as error:
            warnings.append(f"{path} is ignored: {(error.strerror or str(error)).lower()}.")
        except UnicodeDecodeError as error:
            warnings.append(f"{path} is ignored: it is not UTF-8 text (byte {error.start}); save it as UTF-8.")
        else:
            found, bad_lines = _parse(text, values)
            if bad_lines:
                listed = ", ".join(map(str, bad_lines[:5])) + (", …" if len(bad_lines) > 5 else "")
                warnings.append(f"{path}: line {listed} is not of the form NAME=value and is ignored.")
            if is_foreign(path):
                foreign[path] = set(found) - set(values)
            for name, value in found.items():
                if name not in values:
                    values[name] = value
                    sources[name] = path
    for path, names in foreign.items():
        warnings += _leave_out(path, sorted(names), values, sources)
    return LoadedEnv(values, sources, tuple(warnings))


def _files(workdir: Path, env: Mapping[str, str]) -> Iterator[Path]:
    """The files that exist, the strongest first, none twice."""
    roots = [workdir]
    roots += [parent for parent in (workdir, *workdir.parents) if (parent / ".git").exists()][:1]
    # Where the program runs from its own checkout, the file that `.env.example` asks for stands there. A home of its
    # own (`ML_INTERN_HOME`) means a run apart from the user's usual one.
    if not env.get("ML_INTERN_HOME") and (_CHECKOUT / ".env.example").is_file():
        roots.append(_CHECKOUT)
    for root in dict.fromkeys(roots):
        path = root / ".env"
        if os.path.lexists(path) and not path.is_dir():
            yield path
    kept = key_file(find_places(env))
    if kept.is_file():
        yield kept


def _foreign_files(env: Mapping[str, str]) -> Callable[[Path], bool]:
    """Tells of a file whether it came with a directory that nobody has trusted."""
    places = find_places(env)
    own = (key_file(places), _CHECKOUT / ".env")
    return lambda path: path not in own and not is_trusted(places.config, path.parent)


def _leave_out(path: Path, names: list[str], values: dict[str, str], sources: dict[str, Path]) -> Iterator[str]:
    """Takes out what a file may not decide, and tells of it."""
    own = {name: values[name] for name in names}
    for name in names:
        if objection := objection_to(name, values[name], values, own):
            del values[name], sources[name]
            yield f"{path}: {name} is ignored, since it {objection}; /trust makes it count from the next start."


def _parse(text: str, env: Mapping[str, str]) -> tuple[dict[str, str], list[int]]:
    """Variables of one file, with `${NAME}` resolved, and the numbers of lines that make no sense."""
    from dotenv.parser import parse_stream
    from dotenv.variables import parse_variables

    found: dict[str, str] = {}
    known: ChainMap[str, str] = ChainMap(dict(env), found)
    bad_lines: list[int] = []
    for binding in parse_stream(io.StringIO(text)):
        bare_word = binding.key is not None and binding.value is None and not binding.key.isidentifier()
        if binding.error or bare_word or "\0" in binding.original.string:
            bad_lines.append(binding.original.line)
        elif binding.key and binding.value is not None:
            found[binding.key] = "".join(atom.resolve(known) for atom in parse_variables(binding.value))
    return found, bad_lines
