"""What program text given on a command line would do, judged by the calls it names (Python, Perl, Ruby, JavaScript).

One that is handed to an interpreter inside a command is read like the command itself. A program in a file is ordinary
work; of that, only what leaves the machine, touches secrets or removes whole trees is looked for.
"""

from __future__ import annotations

import re

from ml_intern.core.approvals.effects import Effect
from ml_intern.core.approvals.shell.call import Call
from ml_intern.core.approvals.shell.expand import SOMETHING, UNKNOWN, Arg

_STRING = re.compile(r"'((?:[^'\\\n]|\\.)*)'|\"((?:[^\"\\\n]|\\.)*)\"")
_TREE_REMOVAL = re.compile(r"\b(?:rmtree|removedirs|rm_rf|remove_entry_secure|rmSync|rm_r|remove_tree)\b")
_REMOVAL = re.compile(
    r"\bos\.(?:remove|unlink|rmdir|truncate)\b|\.unlink\(|\.rmdir\(|\bunlink(?:Sync)?\b|\brmdirSync\b|\bFile\.delete\b"
)
_SHELL = re.compile(
    r"\bos\.(?:system|popen|exec\w+|spawn\w+)|\bsubprocess\b|\bpty\.spawn|\bexecSync|\bspawnSync|\bchild_process"
    r"|(?<![.\w])(?:system|exec|spawn)\s*(?=[('\"%{])|%x[({\[]|\bIO\.popen|\bqx\b\s*[^\w\s]|\bos\.execute|\bio\.popen"
)
_IMPORT = re.compile(r"\b(?:import|from)\s[\w, ]*\Z")
_HIDDEN = re.compile(
    r"(?<![.\w])(?:eval|exec|__import__|compile)\s*\(|\bmarshal\.|\bgetattr\(\s*(?:os|shutil|subprocess)\b"
    r"|\bimport_module\(\s*(?!['\"])|\bimport_module\(\s*['\"](?:os|shutil|subprocess|pathlib)\b|\brunpy\.|\bctypes\b"
)
_BACKTICKS = re.compile(r"`([^`]{0,2000})`")
_IMPORTED = re.compile(
    r"^\s*(?:from\s+([\w.]+)\s+)?import\s+\(?([\w.]+(?:\s+as\s+\w+)?(?:\s*,\s*[\w.]+(?:\s+as\s+\w+)?)*)"
)
_STATEMENTS = re.compile(r"[;\n]")
_MOST_NAMES = 64
_SECRET_NAME = re.compile(
    r"(?:TOKEN|SECRET|PASSWORD|PASSWD|API_?KEY|ACCESS_KEY|PRIVATE_KEY|CREDENTIALS?)$", re.IGNORECASE
)
_WHOLE_ENVIRONMENT = re.compile(
    r"\bos\.environ\b(?!\s*(?:\[|\.(?:get|setdefault|pop|update)\b))|\bprocess\.env\b(?!\s*[.\[])|%ENV\b"
    r"|(?<![\w$%])ENV\b(?!\s*(?:\[|\.(?:fetch|key\?|has_key\?)))|\bgetenv\(\s*\)|\$_(?:ENV|SERVER)\b(?!\s*\[)"
)
_ENVIRONMENT = re.compile(r"\benviron\b|\bgetenv\b|\bprocess\.env\b|\bENV\b")
_ENVIRONMENT_NAME = re.compile(r"(?:environ\w*|getenv|env|ENV)\W{1,6}(?:get\W{1,4})?['\"]?(\w+)")
_ENDPOINT = re.compile(
    r"(?:\bHF_ENDPOINT['\"]?\]?\s*[=,:]|\bHfApi\([^)]{0,200}?\bendpoint\s*=)\s*['\"]([^'\"\s]{1,300})"
)
_TOKEN_CALLS = re.compile(r"\b(?:get_token|HfFolder|keyring\.get_password)\b")
_PUBLISHING = re.compile(
    r"\.?\b(?:push_to_hub|upload_file|upload_folder|upload_large_folder|create_repo|create_commit|create_pull_request"
    r"|create_discussion|add_space_\w+|set_space_\w+|pause_space|restart_space|duplicate_(?:space|repo)|super_squash_history"
    r"|update_repo_\w+|move_repo|merge_pull_request|comment_discussion|change_discussion_status"
    r"|create_collection|add_collection_item|create_bucket|sync_bucket|batch_bucket_files)\s*\("
    r"|\.to_(?:parquet|csv|json)\(\s*f?['\"]hf://|\bHfFileSystem\b[^\n]*\.(?:rm|put|cp|mv|pipe\w*|touch|write\w*)\w*\("
    r"|\b(?:requests|httpx|session|client)\.(?:post|put|patch|delete)\s*\(|\bmethod\s*[:=]\s*['\"](?:POST|PUT|PATCH|DELETE)"
    r"|\burlopen\([^)]*data\s*=|\bsmtplib\b|\bsocket\.(?:socket|create_connection)|\bftplib\b|\bparamiko\b|\bhttp\.server\b"
)
_RENTING = re.compile(
    r"\brun_(?:uv_)?job\b|\bget_inference_endpoint\b.{0,300}\.(?:resume|scale|update)\s*\(|\bhuggingface_hub\.(?:cli|commands)\b|\b(?:create|resume|update|scale)\w*_inference_endpoint\s*\(|\brequest_space_hardware\s*\("
    r"|\bspace_hardware\s*=|\bhuggingface_hub\.Sandbox(?:Pool)?\b|\bSandbox(?:Pool)?\.create\s*\(|\btrigger_scheduled_job\s*\("
)
_COMPUTE_ADDRESS = re.compile(
    r"huggingface\.co/api/(?:jobs|scheduled-jobs|sandboxes)\b|/api/spaces/[^\s?#]{1,200}/(?:hardware|restart)\b"
    r"|\bendpoints\.huggingface\.cloud\b"
)
_SENDS = re.compile(r"(?i)\b(?:post|put)\b|\burlopen\b|\bRequest\(")
_NETWORK = re.compile(
    r"\b(?:urllib\.request|urllib3|urlopen|urlretrieve|requests|httpx|aiohttp|http\.client|pycurl|websockets?)\b"
    r"|(?<![.\w])fetch\s*\(|\bXMLHttpRequest\b|\bhttps?\.(?:get|request)\s*\(|\bNet::HTTP\b|\bLWP::|\bdgram\b"
)
_ADDRESS = re.compile(r"https?://([\w.\-\[\]:]+)")
_OPENED = re.compile(
    r"\bopen\(\s*(?:os\.path\.expanduser\(\s*)?['\"]([^'\"]+)['\"]\)?\s*,\s*(?:mode\s*=\s*)?['\"][^'\"]*[wax+]"
)
_PATH_WRITTEN = re.compile(
    r"\bPath\(\s*['\"]([^'\"]+)['\"]\s*\)\s*\.\s*(?:write_text|write_bytes|mkdir|touch|rename)\b"
)
_HOME = re.compile(r"\bexpanduser\b|\bhome\(\)|\bHOME\b|['\"]~")
_SQL = re.compile(r"\b(?:drop\s+(?:table|database|schema|index)|truncate\s+table|delete\s+from)\b", re.IGNORECASE)


def is_secret_name(name: str) -> bool:
    """Whether a variable of this name holds a secret."""
    return bool(_SECRET_NAME.search(name))


def destroys_data(text: str) -> bool:
    """Whether a text holds a database statement that deletes."""
    return bool(_SQL.search(text))


def judge_code(call: Call, code: str) -> None:
    """Adds what a program's text would do."""
    code = _with_full_names(code)
    call.changes()
    if UNKNOWN in code or SOMETHING in code:
        call.found.unreadable("a program with parts that are filled in later")
    if _HIDDEN.search(code):
        call.found.unreadable("a program that builds its own code")
    if destroys_data(code):
        call.destroys("deletes from a database")
    _judge_removals(call, code)
    _judge_shell(call, code)
    _judge_secrets(call, code)
    _judge_publishing(call, code)
    paths = [*_OPENED.findall(code), *_PATH_WRITTEN.findall(code)]
    call.writes([Arg(_at_home(call, path)) for path in paths])


def judge_program(call: Call, code: str) -> None:
    """Adds what a program in a file would do beyond ordinary work."""
    code = _with_full_names(code)
    call.changes()
    _judge_secrets(call, code)
    _judge_publishing(call, code)
    _judge_shell(call, code, read_only=True)
    if _TREE_REMOVAL.search(code):
        _judge_removals(call, code)


def _with_full_names(code: str) -> str:
    """The code with what it has imported under its full name: `run(` becomes `subprocess.run(`."""
    names: dict[str, str] = {}
    for statement in _STATEMENTS.split(code):
        if (found := _IMPORTED.match(statement)) and len(names) < _MOST_NAMES:
            module, imported = found[1], found[2]
            for item in imported.split(","):
                name, *renamed = item.split()
                short, full = (renamed or [name])[-1], f"{module}.{name}" if module else name
                if short != full and short.isidentifier():
                    names[short] = full
    if not names:
        return code
    imported_names = re.compile(
        rf"{_STRING.pattern}|\b(?:from|import|as)\s[\w., ]*|(?<![.\w])({'|'.join(names)})\b(?!\s*=[^=])"
    )
    return imported_names.sub(lambda found: names.get(found[3] or "", str(found[0])), code)


def _strings(text: str) -> list[str]:
    return [single or double for single, double in _STRING.findall(text)]


def _at_home(call: Call, path: str) -> str:
    home = call.scope.variables.get("HOME", ("",))[0]
    return home + path[1:] if path == "~" or path.startswith("~/") else path


def _judge_removals(call: Call, code: str) -> None:
    for pattern, whole_trees in ((_TREE_REMOVAL, True), (_REMOVAL, False)):
        for match in pattern.finditer(code):
            call.destroys("deletes files from within a program")
            statement = code[match.start() : match.start() + 300].partition("\n")[0]
            call.removes([Arg(_at_home(call, path)) for path in _strings(statement)[:3]], whole_trees=whole_trees)
            if whole_trees and _HOME.search(statement) and len(_strings(statement)) < 2:
                call.found.add(Effect.CATASTROPHIC, "deletes the home directory from within a program")


def _judge_shell(call: Call, code: str, *, read_only: bool = False) -> None:
    """Judges the commands that a program runs. `read_only`: only those whose text can be read."""
    for match in _SHELL.finditer(code):
        if read_only and not match[0].startswith(("os.", "subprocess", "pty.")):
            continue  # in a file, `exec` and `system` are names of anything
        rest = code[match.end() : match.end() + 2000].partition("\n")[0].lstrip(".abcdefghijklmnopqrstuvwxyz_ (")
        words = _strings(rest)
        if re.match(r"os\.(?:exec(?!ute\b)|spawn)", match[0]) and words:
            call.run([Arg(word) for word in words[1:] or words])  # the program, and then its arguments from its name on
        elif rest.startswith("[") and (words := _strings(rest.partition("]")[0])):
            call.run([Arg(word) for word in words])
        elif words and rest[:1] in {"'", '"'}:
            call.run_text(words[0])
        elif not read_only and not _IMPORT.search(code, max(0, match.start() - 100), match.start()):
            call.found.unreadable("a program that runs commands")
    if call.name in {"perl", "ruby", "php"}:
        for text in _BACKTICKS.findall(code):
            call.run_text(text)


def _judge_secrets(call: Call, code: str) -> None:
    names = _ENVIRONMENT_NAME.findall(code) if _ENVIRONMENT.search(code) else []
    if _WHOLE_ENVIRONMENT.search(code) or _TOKEN_CALLS.search(code) or any(is_secret_name(name) for name in names):
        call.found.add(Effect.CREDENTIALS, "reads secrets from within a program")
    for value in _ENDPOINT.findall(code):
        call.sets("HF_ENDPOINT", value)
    for text in _strings(code):
        if len(text) < 300 and " " not in text:
            call.touches_secret(Arg(_at_home(call, text)))


def asks_for_compute(text: str) -> bool:
    """Whether a text names an address of the Hub where hardware is asked for."""
    return bool(_COMPUTE_ADDRESS.search(text))


def _judge_publishing(call: Call, code: str) -> None:
    if asks_for_compute(code) and _SENDS.search(code):
        call.rents("asks for compute from within a program")
    if _PUBLISHING.search(code):
        call.publishes("sends something from within a program")
    elif _NETWORK.search(code) and not _stays_here(code):
        call.publishes("talks to other machines from within a program")
    if re.search(r"\bdelete_(?:repo|bucket|collection|inference_endpoint)\s*\(", code):
        call.found.add(Effect.CATASTROPHIC, "deletes a repository")
    if re.search(r"\bdelete_(?:file|files|folder|branch|tag)\s*\(|\bpermanently_delete", code):
        call.destroys("deletes from a repository")
        call.publishes("changes a repository")
    if _RENTING.search(code):
        call.rents("starts compute from within a program")
    if re.search(r"\bcreate_scheduled_(?:uv_)?job\s*\(", code):
        call.found.add(Effect.SCHEDULE, "sets up a scheduled job from within a program")


def _stays_here(code: str) -> bool:
    """Whether every address that a program names is on this machine; one that names none may go anywhere."""
    hosts = [host.rpartition(":")[0] or host for host in _ADDRESS.findall(code)]
    return bool(hosts) and all(host in {"localhost", "127.0.0.1", "[::1]"} for host in hosts)
