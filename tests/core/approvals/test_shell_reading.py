"""What is taken for reading runs unasked in every mode: these only look as if they did, or really do."""

from __future__ import annotations

from pathlib import Path

import pytest

from ml_intern.core.approvals.effects import Effect
from ml_intern.core.approvals.shell_rules import assess_command

HOME = Path("/home/someone")
WORKSPACE = HOME / "project"
READ = frozenset({Effect.READ})


def effects(command: str) -> frozenset[Effect]:
    return assess_command(command, workspace=WORKSPACE, cwd=WORKSPACE, home=HOME).effects


def lines(text: str) -> list[str]:
    return [line.strip() for line in text.strip().splitlines()]


FLAGS = """
    sort --outp=x f
    sort --o=x f
    sort -uo x f
    sort -uox f
    sort --compress-prog=./evil f
    shuf --out x f
    shuf -eo x a
    tree -ao x
    tree -R -H . -L 1
    iconv --out=x f
    less --log-f=x f
    less --lesskey-file=x f
    less '+!touch x' f
    man -P ./evil ls
    man --html=./evil ls
    bat --pager 'sh -c x' f
    bat cache --build
    ag --pager=./evil x
    fd -xrm
    fd -Hx rm
    date --se 12
    date -us x
    date 010203042026
    hostname -F f
    file -C -m x
    diff3 --diff-prog=./evil -m a b c
    xmllint --shell f
    uniq -c a b
    dc -e '!touch x'
    dc <<< '!touch x'
    mapfile -C 'touch x' -c 1 a < f
    hash -p ./evil ls
    bash --rcfile ./evil -i
    sysctl -a -w kernel.x=1
    sed 's/a/b/wx' f
    sed '1w x' f
    sed '1!w x' f
    sed 's,a,b,e' f
    sed 's/a/b/ge' f
    sed 's/[/]/b/e' f
    sed '1erm x' f
    sed --expr='1e rm x' f
    sed -fx f
    sed -e p -i f
    awk '{print | c}' c=sh f
    awk 'BEGIN{c="sh"; print "rm x" | c}'
    awk 'BEGIN{f="system"; @f("rm x")}'
    awk --source='BEGIN{system("rm x")}' f
    awk -l ./evil '1' f
    awk -o/tmp/x '1' f
    awk -iinplace '1' f
    awk 'BEGIN{getline x < "/inet/tcp/0/evil/80"}'
    tar tf x --to-c=evil
    tar tf x --checkpoint-a=exec=evil
    tar -tIevil -f x
    tar tIf evil x
    tar -F evil -tf x
    tar -Af x y
    tar -tf host:x
    git diff --outp=x
    git log -p --ext-d
    git grep -nOevil x
    git grep --open=evil x
    git ls-remote --upload-p=evil .
    git ls-remote ext::'sh -c x'
    git fsck --lost-found
    git bugreport
    git branch --edit-description
    git branch --list x --move
    git config --edit
    git config --remove-section core
    git config --get-regexp . --replace-all a b
    git reflog --output=x
    git stash show --ext-diff
    git -c include.path=./evil log
    git -c difftool.x.cmd=evil status
    git -c "$x" log
    git --exec-path=. log
    git --git-dir=./evil log
    git --config-env=core.pager=X log
    sort $x
    find . $(cat f)
    git log $x
    cat f | xargs find .
"""

ENVIRONMENT = """
    LD_AUDIT=./x.so ls
    LD_PRELOAD=./x.so; export LD_PRELOAD; ls
    export LD_PRELOAD=./x.so; ls
    declare -x BASH_ENV=./evil; bash -c ls
    export GIT_PAGER=./evil; git log
    env LD_PRELOAD=./x ls
    env PATH=. ls
    PATH=.:$PATH; git status
    PATH=/tmp/x:$PATH ls
    RIPGREP_CONFIG_PATH=./evil rg x
    LESS='+!evil' less f
    LESS=-ox less f
    MANOPT='-P./evil' man ls
    BAT_PAGER=./evil bat f
    TAR_OPTIONS='--to-command=x' tar tf x
    GIT_CONFIG_COUNT=1 GIT_CONFIG_KEY_0=core.pager GIT_CONFIG_VALUE_0=./evil git log
    GIT_CONFIG_GLOBAL=./evil git log
    GIT_EXEC_PATH=. git log
    GIT_TRACE=/home/someone/x git status
    GIT_PROXY_COMMAND=./evil git ls-remote x
    HOME=./evil git log
    XDG_CONFIG_HOME=./evil git log
    PYTHONPATH=. python -m json.tool f
    GCONV_PATH=. iconv -f x f
    KUBECONFIG=./evil kubectl get pods
    DOCKER_HOST=tcp://evil docker ps
    https_proxy=evil curl https://x
    set -a; LESSKEYIN=x; less f
"""

SHELL = """
    ./ls
    /tmp/evil/ls
    bin/git status
    echo ${a[$(rm x)]}
    echo "${a[`rm x`]:-y}"
    x='$(rm x)'; echo ${x@P}
    x='a[$(rm x)]'; echo $((x))
    let 'a[$(rm x)]'
    test -v 'a[$(rm x)]'
    [[ 'a[$(rm x)]' -eq 1 ]]
    printf -v 'a[$(rm x)]' y
    declare -i n='a[$(rm x)]'
    shopt -s expand_aliases; alias ls=rm; ls x
"""

STILL_READING = """
    sort -t, -k2,2nr data.csv
    sort -rn -k1 -to f
    shuf -n5 data.jsonl
    man ls
    bat --paging=never f
    rg --pretty --pre-glob '*.pdf' foo
    fd -e x
    date -Iseconds
    date -d '1 day ago' +%F
    date -r f
    sysctl -n kernel.hostname
    tar --list -f x.tar
    tar -tzf x.tgz
    sed -n '/e/p' f
    sed 's/see/e/' f
    sed -e 's/w /x/' -e 's|/usr|/opt|g' f
    sed "s/foo/$bar/" f
    sed -n "${a},${b}p" f
    sed ':a;N;$!ba;s/\\n/ /g' f
    sed "s/foo/bar/w /dev/stdout" f
    awk '{split($0, a, "|"); print a[1]}' f
    awk '/a|b/ {print}' f
    awk '$1 ~ /^(a|b)$/ && $2 > 5' f
    git branch -avv
    git branch -r --contains HEAD
    git tag -l 'v1.*' -n1
    git config --list --show-origin
    git -c core.pager=cat -c color.ui=always log -n3
    git diff $(git merge-base main HEAD)
    GIT_PAGER=cat git log
    PAGER='less -R' LESS=-FRX git log
    LC_ALL=C sort f
    TZ=UTC date
    PATH=$PATH:/opt/x/bin ls
    PATH=/usr/local/cuda/bin:$PATH ls
    export CUDA_VISIBLE_DEVICES=0 HF_HOME=/data/hf; ls
    x=1; echo $((x + 1)) ${arr[0]} ${arr[$i]}
    echo $(( ($(date +%s) - 5) * (2 + 3) ))
    /usr/bin/git status
    set -x; ls
    declare -A m; m[a]=1; echo ${m[a]}
"""


@pytest.mark.parametrize("text", [FLAGS, ENVIRONMENT, SHELL], ids=["flags", "environment", "shell"])
def test_what_writes_or_runs_something_in_a_less_known_way_does_not_only_read(text: str) -> None:
    assert [command for command in lines(text) if effects(command) == READ] == []


def test_what_looks_like_it_only_reads() -> None:
    assert [command for command in lines(STILL_READING) if effects(command) != READ] == []


HIDDEN = [
    "echo \r# ; rm -rf ~",  # to a shell only blanks and tabs part words
    "echo \v# ; rm -rf ~",
    "cat <<E\r\nfoo\nE\r\nrm -rf ~\nE",
    "echo $((rm -rf ~) ; (ls))",  # two brackets are no sum
    "echo $((rm -rf ~; echo '(') ; (ls ')'))",
    "case x in $(rm -rf ~)) ;; esac",
    "case x in a) ls;; b|`rm -rf ~`) ;; esac",
    "env 'BASH_FUNC_ls%%=() { rm -rf ~; }' bash -c ls",
    "for d in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 ~; do rm -rf $d; done",
    "rm -rf {1..2}{1..2}{1..2}{1..2}{1..2}{1..2}/..{/../..,x}",
    "d=~; rm -rf $d",
    "sudo --user root rm -rf /",
    "nice --adjustment 5 rm -rf ~",
    "stdbuf --output L rm -rf ~",
    "xargs --process-slot-var X rm -rf ~",
    "mpirun -n 4 rm -rf ~",
    "srun rm -rf ~",
    "uv --color always run rm -rf ~",
    "some-wrapper --flag rm -rf ~",
    "sg root 'rm -rf ~'",
    "sqlite3 x '.shell rm -rf ~'",
    "gdb -batch -ex '!rm -rf ~'",
    "parallel 'rm -rf {}' ::: ~",
    "parallel <<< 'rm -rf ~'",
    "find ~ -type f -exec rm {} +",
    "tee x.sh <<< 'rm -rf ~'; sh x.sh",
    "zip x y -T -TT 'rm -rf ~'",
    "ssh -o proxycommand='rm -rf ~' x",
    "perl -ne 'system(\"rm -rf ~\")' f",
    "lua -e 'os.execute(\"rm -rf ~\")'",
    "echo b > /proc/sysrq-trigger",
]


@pytest.mark.parametrize("command", HIDDEN)
def test_commands_are_found_where_a_shell_finds_them(command: str) -> None:
    assert Effect.CATASTROPHIC in effects(command)


@pytest.mark.parametrize("command", ['a=(-rf ~); rm "${a[@]}"', "tmux list-sessions -F '#(rm -rf ~)'"])
def test_what_may_delete_is_asked_about(command: str) -> None:
    assert Effect.DESTROY in effects(command)


@pytest.mark.parametrize("delimiter", ["$X", '"$X"', "`a`"])
def test_a_here_document_with_an_odd_end_is_not_guessed_at(delimiter: str) -> None:
    assert Effect.DESTROY in effects(f"cat <<{delimiter}\nhello\n{delimiter}\nrm -rf ~")


@pytest.mark.parametrize(("opening", "closing"), [('"$(', ')"'), ("${a:-", "}"), ("$((", "))"), ("a=(", ")")])
def test_what_is_nested_beyond_reading_is_asked_about(opening: str, closing: str) -> None:
    assert Effect.DESTROY in effects(f"echo {opening * 600}x{closing * 600}")
