"""Rules for programs that fetch from other machines or send to them."""

from __future__ import annotations

import re
from urllib.parse import urlsplit

from ml_intern.core.approvals.effects import Effect
from ml_intern.core.approvals.shell.call import Call
from ml_intern.core.approvals.shell.code import asks_for_compute
from ml_intern.core.approvals.shell.expand import Arg
from ml_intern.core.approvals.shell.files import Rule

_LOCAL_HOSTS = frozenset({"localhost", "127.0.0.1", "::1", "0.0.0.0"})  # noqa: S104 - compared with, never bound to


def _only_local(call: Call) -> bool:
    """Whether every address of a call is on this machine."""
    found = []
    for text in call.texts:
        address = text if "//" in text else "//" + text
        if "//" in text or re.match(r"(?:localhost|127\.0\.0\.1)(?::|/|$)", text):
            try:
                found.append(urlsplit(address).hostname in _LOCAL_HOSTS)
            except ValueError:
                found.append(False)
    return bool(found) and all(found)


PLAIN_QUERY = 60
"""A longer query in an address is more than a question."""


def _says_something(call: Call) -> bool:
    """Whether an address (or a header) carries what a command prints, or a long text of its own, to another machine."""
    if _only_local(call):
        return False
    if any(not arg.known for arg in call.args):
        return True
    return any(len(text.partition("?")[2]) > PLAIN_QUERY for text in call.texts if "//" in text)


def _looks_up(call: Call) -> None:
    """Programs that ask about a name: harmless, unless the name is made of something else."""
    if any(not arg.known for arg in call.args):
        call.publishes(f"sends data inside a name ({call.name})")
    else:
        call.reads()


_CURL_WRITES = (
    "--output-dir", "-D", "--dump-header", "-c", "--cookie-jar", "--trace", "--trace-ascii", "--stderr", "--hsts",
    "--alt-svc", "--etag-save", "--libcurl",
)  # fmt: skip


def _sends_data(call: Call) -> None:
    call.publishes("sends data to a server")
    if any(asks_for_compute(text) for text in call.texts):
        call.rents("asks the Hub for compute")


def _curl(call: Call) -> None:
    methods = [arg.text.upper() for arg in call.value("-X", "--request")] + re.findall(r"X([A-Z]+)", call.letters)
    letters = _bundled(call)
    sends = set("dFT") & letters or any(
        text.startswith(("--data", "--form", "--upload-file", "--json")) for text in call.texts
    )
    if sends or any(method not in {"GET", "HEAD", "OPTIONS"} for method in methods):
        if _only_local(call):
            call.changes()
        else:
            _sends_data(call)
    elif _says_something(call):
        call.publishes("sends data inside an address")
    else:
        call.reads()
    if {"K"} & letters or call.has("--config"):
        call.found.unreadable("curl takes its options from a file")
    targets = [*call.value("-o", "--output"), *call.bundled_value("o")]
    if "O" in letters or call.has("--remote-name", "--remote-name-all", "-J"):
        call.changes()
        targets += [Arg(_last_part(text)) for text in call.texts if "/" in text and not text.startswith("-")]
    call.writes([*targets, *call.value(*_CURL_WRITES)], "downloads to")
    if {"n"} & letters or call.has("--netrc", "--netrc-optional", "--netrc-file"):
        call.found.add(Effect.CREDENTIALS, "sends what .netrc holds for the server")
    _remember_fetched(call, targets)


def _bundled(call: Call) -> set[str]:
    """Letters of bundled flags, without the values that follow some of them directly."""
    found: set[str] = set()
    for text in call.texts:
        if match := re.match(r"-([a-zA-Z#]+)", text):
            for letter in match[1]:
                found.add(letter)
                if letter in "XdFTHAeumwobcK":
                    break
    return found


def _last_part(text: str) -> str:
    return text.rstrip("/").rpartition("/")[2].partition("?")[0] or "index.html"


def _remember_fetched(call: Call, targets: list[Arg]) -> None:
    call.scope.fetched.update(place for target in targets for place in call.scope.places(target.text))


def _wget(call: Call) -> None:
    sends = any(text.startswith(("--post", "--body", "--method")) for text in call.texts)
    if sends and not _only_local(call):
        _sends_data(call)
    elif _says_something(call):
        call.publishes("sends data inside an address")
    targets = [*call.value("-O", "--output-document"), *call.bundled_value("O")]
    if any(target.text == "-" for target in targets) or call.has("--spider"):
        call.reads()
        call.writes(call.value("-o", "--output-file", "-a", "--append-output", "--save-cookies"))
        return
    call.changes()
    urls = call.operands("-O", "-P", "-o", "-a", "-U", "--header", "-t", "-T", "-Q", "-w")
    targets = targets or [Arg(_last_part(url.text)) for url in urls]
    call.writes([*targets, *call.value("-P", "--directory-prefix")], "downloads to")
    _remember_fetched(call, targets)


def _httpie(call: Call) -> None:
    operands = [arg.text for arg in call.operands()]
    method = operands[0].upper() if operands and operands[0].isalpha() else "GET"
    sends = method not in {"GET", "HEAD", "OPTIONS"} or any(re.search(r"^\w+:?=", text) for text in operands[1:])
    if sends and not _only_local(call):
        _sends_data(call)
    call.reads()


def _sends(call: Call) -> None:
    call.publishes(f"opens a connection to other machines ({call.name})")


_SSH_COMMAND = re.compile(r"(?i)(?:proxy|local|knownhosts|remote)command(?:\s*=\s*|\s+|$)|^match.*?exec\s+")


def _remote_shell(call: Call) -> None:
    call.found.add(Effect.OUTSIDE, "acts on another machine")
    for index, text in enumerate(call.texts):
        if option := _SSH_COMMAND.search(text):
            call.run_text(text[option.end() :] or " ".join(call.texts[index + 1 : index + 2]))


def _rclone(call: Call) -> None:
    words = call.operands()
    first = words[0].text if words else ""
    if first in {"ls", "lsd", "lsl", "lsf", "lsjson", "size", "cat", "about", "check", "version"}:
        call.reads()
    elif first in {"config", "authorize"}:
        call.found.add(Effect.CREDENTIALS, "shows or changes credentials of rclone")
    else:
        call.publishes("copies files to or from an account")
        if first in {"delete", "deletefile", "purge", "sync", "move", "rmdir", "rmdirs", "cleanup"}:
            call.destroys(f"deletes files ({call.name} {first})")


RULES: dict[str, Rule] = {
    **dict.fromkeys(("ping", "ping6", "dig", "nslookup", "host", "drill", "whois", "traceroute", "getent"), _looks_up),
    "curl": _curl,
    "wget": _wget,
    **dict.fromkeys(("http", "https", "xh"), _httpie),
    **dict.fromkeys(
        ("nc", "ncat", "netcat", "socat", "telnet", "ftp", "sftp", "lftp", "mail", "sendmail", "mutt"), _sends
    ),
    **dict.fromkeys(("ngrok", "cloudflared", "localtunnel", "lt", "croc", "magic-wormhole", "wormhole"), _sends),
    **dict.fromkeys(("ssh", "mosh", "autossh", "ssh-copy-id", "sshpass", "pdsh"), _remote_shell),
    "rclone": _rclone,
}
