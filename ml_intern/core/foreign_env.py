"""Which variables of a directory's `.env` count only once a person has trusted that directory.

Such a file comes with whatever was just cloned or unpacked. It may bring keys and settings of its own, but must not
choose the configuration of ml-intern, have every program that starts here run or load something, or send keys of the
person's own to a server of its choice.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from urllib.parse import urlsplit

_OURS = re.compile(r"ML_INTERN_(?:HOME|CLI_CONFIG)")
_LEADING = re.compile(
    r"PATH|HOME|SHELL|IFS|ENV|PS4|SHELLOPTS|BASHOPTS|PROMPT_COMMAND|BASH_(?:ENV|FUNC_.*|XTRACEFD)|(?:LD|DYLD)_\w+"
    r"|(?:\w+_)?(?:PAGER|EDITOR|ASKPASS|BROWSER)|VISUAL|LESS\w*|MAN(?:OPT|PATH)|GIT_(?!AUTHOR_|COMMITTER_|LFS_SKIP|TERMINAL_"
    r"|OPTIONAL_|TOKEN)\w+|PYTHON(?!UNBUFFERED|DONTWRITE|HASHSEED|UTF8|IOENCODING|FAULTHANDLER|NOUSERSITE|SAFEPATH)\w+"
    r"|PERL5?\w*|RUBY(?:OPT|LIB)|NODE_(?:OPTIONS|PATH)|(?:JDK_)?_?JAVA_(?:TOOL_)?OPTIONS|XDG_\w+|GCONV_PATH|LOCPATH|TERMINFO"
    r"|TAR_OPTIONS|RSYNC_RSH|RIPGREP_CONFIG_PATH|BAT_CONFIG_PATH|CURL_HOME|WGETRC|KUBECONFIG|DOCKER_(?:HOST|CONFIG)"
    r"|MAKEFLAGS|CLOUDSDK_PYTHON|(?:UV|PIP)_(?:PYTHON|CONFIG_FILE)"
)
_BETWEEN = re.compile(r"SSL_CERT_(?:FILE|DIR)|(?:REQUESTS|CURL)_CA_BUNDLE|(?:https?|all)_proxy", re.IGNORECASE)
_ADDRESS = re.compile(r"(\w+?)_(?:API_)?(?:BASE_URL|BASE|URL|ENDPOINT)")
_KEYS_OF = {
    "HF_ROUTER": "HF_TOKEN", "HF_DATASETS_SERVER": "HF_TOKEN", "HF_INFERENCE": "HF_TOKEN",
    "OPENID_PROVIDER": "HF_TOKEN",
}  # fmt: skip
"""Whose key goes to an address, where the names do not tell."""
_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})


def objection_to(name: str, value: str, values: Mapping[str, str], own: Mapping[str, str]) -> str:
    """What a variable of a file that nobody has trusted would do; empty when it may count.

    Args:
        name: Its name.
        value: Its value.
        values: All variables, those of the file included.
        own: Those that the file itself brings.
    """
    if _OURS.fullmatch(name):
        return "would choose the configuration of ml-intern"
    if _LEADING.fullmatch(name):
        return "would change what programs do that are started here"
    if _BETWEEN.fullmatch(name):
        return "would put a server of its choice between you and others"
    for key in _keys_sent_to(name):
        there = values.get(key) or key == "HF_TOKEN"  # that one may be kept by `hf auth login`
        if there and key not in own and (host := _host(value)) not in _LOOPBACK:
            return f"would send your {key} to {host}"
    return ""


def _keys_sent_to(name: str) -> tuple[str, ...]:
    match = _ADDRESS.fullmatch(name)
    if match is None:
        return ()
    owner = match[1]
    return (_KEYS_OF[owner],) if owner in _KEYS_OF else (f"{owner}_API_KEY", f"{owner}_TOKEN")


def _host(url: str) -> str:
    try:
        return urlsplit(url).hostname or url
    except ValueError:  # not a URL: whoever uses it will say so
        return url
