"""What programs that the agent starts get to see of the environment: all of it but the secrets."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from ml_intern.core.secret_values import is_secret

_SECRET_ENDINGS = ("_API_KEY", "_TOKEN", "_SECRET", "_PASSWORD", "_ACCESS_KEY", "_CREDENTIALS")


def is_secret_variable(name: str, value: str) -> bool:
    """Whether a variable holds a key, a token or a password, going by its name and what its value looks like."""
    upper = name.upper()
    named = upper.endswith(_SECRET_ENDINGS) or upper in {"PASSWORD", "TOKEN", "SECRET"}
    return (named or is_secret(name, value, quoted=False)) and bool(value)


def without_secrets(env: Mapping[str, str], keep: Collection[str] = ()) -> dict[str, str]:
    """The environment without secrets, but with those the person wants handed on.

    Args:
        env: Any environment.
        keep: Names to hand on whatever they hold (`tools.pass_env`).
    """
    return {name: value for name, value in env.items() if name in keep or not is_secret_variable(name, value)}
