from __future__ import annotations

import contextlib
import os
import resource
import sqlite3
import stat
import threading
from pathlib import Path

import pytest

from ml_intern.core.protocol import (
    ArtifactEvent,
    AssistantChunk,
    AssistantMessage,
    ErrorEvent,
    EventBase,
    SessionMeta,
    TurnComplete,
    UserMessage,
)
from ml_intern.core.redact import Redactor
from ml_intern.sessions.find import Lookout
from ml_intern.sessions.index import IndexUnavailableError, SessionIndex
from ml_intern.sessions.lock import SessionLock
from ml_intern.sessions.log import SessionLog, read_session
from tests.sessions.support import answer, output, prompt, record, whole_session


@pytest.fixture
def index(tmp_path: Path) -> SessionIndex:
    return SessionIndex(tmp_path / "sessions")


def write(index: SessionIndex, name: str, *events: EventBase, directory: str = "/data/project") -> Path:
    return record(index.path.parent, name, *(events or whole_session()), directory=directory)


def test_no_sessions_are_no_trouble(index: SessionIndex) -> None:
    assert (index.refresh(), index.list(), index.search("loss"), index.get("x")) == (0, [], [], None)


def test_row_tells_what_the_session_was(index: SessionIndex) -> None:
    write(index, "one")
    assert index.refresh() == 1
    (session,) = index.list()
    row = session.row()
    assert row.pop("started") <= row.pop("ended")
    assert row == {
        "id": "one",
        "title": "Train a classifier",
        "directory": "/data/project",
        "model": "vllm/qwen3",
        "turns": 1,
        "cost_usd": 0.75,
        "status": "completed",
        "tags": [],
    }
    assert session.errors == 1


@pytest.mark.parametrize(
    ("end", "status"),
    [
        (TurnComplete(reason="cost_limit", final_response="", iterations=1, cost_usd=0, tokens=0), "limit"),
        (ErrorEvent(error="no", kind="auth"), "error"),
        (ErrorEvent(error="no", kind="usage", ends_turn=False), "interrupted"),
        (None, "interrupted"),
    ],
)
def test_status_is_how_the_last_turn_ended(index: SessionIndex, end: EventBase | None, status: str) -> None:
    path = write(index, "one", *prompt("go"), *([end] if end else []))
    index.refresh()
    assert index.list()[0].status == status
    if end is None:
        lock = SessionLock.take(path)
        assert index.list()[0].status == "running"
        lock.release()


def test_newest_comes_first_and_directories_are_kept_apart(index: SessionIndex) -> None:
    for name, directory in (("a", "/x"), ("b", "/y"), ("c", "/x")):
        write(index, name, *prompt(name), SessionMeta(), *answer(name), directory=directory)
    index.refresh()
    assert sorted(session.id for session in index.list(limit=9)) == ["a", "b", "c"]
    assert [session.ended for session in index.list()] == sorted((s.ended for s in index.list()), reverse=True)
    assert {session.id for session in index.list(Path("/x"))} == {"a", "c"}
    assert len(index.list(limit=2)) == 2


def test_beginnings_of_words_are_found_and_marks_of_letters_do_not_matter(index: SessionIndex) -> None:
    write(index, "one", *prompt("Évaluer the perplexity of train.python"))
    write(index, "two", *prompt("something else"))
    index.refresh()
    for words in ("perp", "Perpl", "éval", "eval", "train.pyth", "perplexity eval"):
        assert [found.session.id for found in index.search(words)] == ["one"], words
    assert index.search("pe") == []


def test_any_part_of_a_text_without_spaces_is_found(index: SessionIndex) -> None:
    write(index, "one", *prompt("Qwen3モデルを訓練してください。評価は後で"), *answer("训练完成，准确率很高"))
    write(index, "two", *prompt("モデとルを"))
    index.refresh()
    for words in ("モデル", "訓練", "qwen3モデル", "Qwen3", "准确率", "モデル 训练", "評", "モデルを訓"):
        (found,) = index.search(words)
        assert found.session.id == "one", words
        start, end = found.marks[-1]
        assert found.snippet[start:end].lower() == words.split()[-1].lower()
    assert index.search("訓モ") == []
    assert index.search("モデルを訓練")[0].snippet == "Qwen3モデルを訓練してください。評価は後で"


@pytest.mark.parametrize("words", ["abc", "abcd", "abcde"])
def test_beginnings_that_very_many_words_have_leave_none_out(index: SessionIndex, words: str) -> None:
    for number in range(3):
        said = " ".join(f"abcdef{number}{word:03}" for word in range(150))
        write(index, f"s{number}", *prompt(said), directory="/x" if number else "/y")
    index.refresh()
    assert {found.session.id for found in index.search(words)} == {"s0", "s1", "s2"}
    (found,) = index.search(words, directory=Path("/y"))
    start, end = found.marks[0]
    assert found.snippet[start:end].startswith("abcdef0")


def test_hits_name_sessions_and_their_texts_can_be_asked_for(index: SessionIndex) -> None:
    path = write(index, "one")
    write(index, "two", *prompt("something else"))
    index.refresh()
    (hit,) = index.hits("classifier")
    assert hit.id == "one"
    quote = index.quote(hit)
    assert quote is not None
    assert (quote.kind, quote.snippet) == ("prompt", "Train a classifier")
    path.unlink()
    index.refresh()
    assert index.quote(hit) is None
    assert index.hits("") == []


def test_a_search_that_nobody_wants_any_more_ends_without_an_answer(index: SessionIndex) -> None:
    path = write(index, "one")
    with path.open("a") as file:
        file.writelines('{"type": "user_message", "content": "same"}\n' for _ in range(8_000))
    index.refresh()
    with pytest.raises(IndexUnavailableError):
        index.hits("same", stop=lambda: True)
    assert [hit.id for hit in index.hits("same", stop=lambda: False)] == ["one"]


def test_all_about_a_session_is_known(index: SessionIndex) -> None:
    made = ArtifactEvent(kind="model", id="ada/m", state="created")
    gone = ArtifactEvent(kind="dataset", id="ada/d", state="created")
    events = [*whole_session(), *output("c3", "hf_jobs", "started", stage="RUNNING"), made, gone]
    path = write(index, "one", *events, gone.model_copy(update={"state": "deleted"}))
    index.refresh()
    details = index.get("one")
    assert details is not None
    assert (details.path, details.size) == (path, path.stat().st_size)
    session = details.session
    assert (session.tools, session.jobs, session.artifacts) == ({"bash": 2}, ("j",), ("model ada/m",))
    assert session.answer.startswith("Accuracy is")
    assert index.list()[0].answer == ""


def test_refresh_tells_what_it_has_learnt_and_what_is_left(index: SessionIndex) -> None:
    told: list[tuple[list[str], list[str], int]] = []
    path = write(index, "one")
    index.refresh(tell=lambda new, gone, left: told.append((list(new), list(gone), left)))
    path.unlink()
    index.refresh(tell=lambda new, gone, left: told.append((list(new), list(gone), left)))
    assert told == [([], [], 1), (["one"], [], 0), ([], ["one"], 0)]
    assert index.those(["one"]) == []


def test_words_are_found_wherever_they_were_said_or_run(index: SessionIndex) -> None:
    write(index, "one")
    index.refresh()
    for words, kind in (("classifier", "prompt"), ("train.py", "command"), ("0.31", "output"), ("0.93", "answer")):
        (found,) = index.search(words)
        assert (found.session.id, found.kind) == ("one", kind)
        start, end = found.marks[0]
        assert found.snippet[start:end].lower() == words
    assert index.search("accur")[0].kind == "answer"
    assert index.search("nowhere") == []


def test_words_may_be_spread_over_a_session(index: SessionIndex) -> None:
    write(index, "one")
    write(index, "two", *prompt("only a classifier"))
    index.refresh()
    assert [found.session.id for found in index.search("classifier accuracy")] == ["one"]
    assert [found.session.id for found in index.search('"train a classifier"')] == ["one"]


@pytest.mark.parametrize(
    "words", ['"', "AND", "a*", "NEAR(x", "text:loss", "-", "\0", "'; DROP", "()", '""""', "ü\ud800"]
)
def test_no_word_has_a_meaning_of_its_own(index: SessionIndex, words: str) -> None:
    write(index, "one")
    index.refresh()
    assert isinstance(list(index.search(words.encode("utf-8", "replace").decode())), list)


def test_search_can_stay_in_a_directory(index: SessionIndex) -> None:
    write(index, "one", directory="/x")
    write(index, "two", directory="/y")
    index.refresh()
    assert [found.session.id for found in index.search("loss", directory=Path("/y"))] == ["two"]
    assert len(index.search("loss", limit=1)) == 1


def test_log_that_grew_is_read_on_from_where_it_was_left(index: SessionIndex) -> None:
    path = write(index, "one", *prompt("first"), *answer("done"))
    index.refresh()
    grown = path.read_bytes()
    write(index, "one", *prompt("then zebra"), *answer("again"))
    with path.open("r+b") as file:  # what was read before is not looked at again
        file.seek(grown.index(b"first") - 30)
        file.write(b"#")
    assert index.refresh() == 1
    (session,) = index.list()
    assert (session.turns, session.title, session.cost_usd) == (2, "first", 0.5)
    assert [found.kind for found in index.search("zebra")] == ["prompt"]
    assert index.refresh() == 0


def test_torn_line_is_read_once_it_is_whole(index: SessionIndex) -> None:
    path = write(index, "one", *prompt("go"), *answer("walrus"))
    data = path.read_bytes()
    path.write_bytes(data[:-60])
    index.refresh()
    assert index.list()[0].status == "interrupted"
    path.write_bytes(data)
    index.refresh()
    assert index.list()[0].status == "completed"
    assert len(index.search("walrus")) == 1


def test_file_that_is_another_one_is_read_anew(index: SessionIndex) -> None:
    path = write(index, "one", *prompt("an old prompt about whales"), *answer("x"))
    index.refresh()
    path.unlink()
    write(index, "one", *prompt("a new one about lions, and much longer than the old one " * 40), *answer("y"))
    index.refresh()
    assert index.search("whales") == []
    assert index.list()[0].turns == 1
    assert len(index.search("lions")) == 1


def test_sessions_that_are_gone_are_forgotten(index: SessionIndex) -> None:
    path = write(index, "one")
    write(index, "two")
    index.refresh()
    path.unlink()
    assert index.refresh() == 1
    assert [session.id for session in index.list()] == ["two"]
    assert [found.session.id for found in index.search("loss")] == ["two"]


@pytest.mark.parametrize("damage", ["gone", "noise", "torn", "version", "empty", "no table"])
def test_damaged_index_is_made_anew(index: SessionIndex, damage: str) -> None:
    write(index, "one")
    index.refresh()
    data = index.path.read_bytes()
    if damage == "gone":
        index.path.unlink()
        index.refresh()
    elif damage in {"noise", "torn", "empty"}:
        index.path.write_bytes({"noise": b"no database" * 999, "torn": data[: len(data) // 3], "empty": b""}[damage])
        index.refresh()
    else:
        with sqlite3.connect(index.path) as db:
            db.execute("PRAGMA user_version = 99" if damage == "version" else "DROP TABLE sessions")
        db.close()
    assert [session.id for session in index.list()] == ["one"]
    assert len(index.search("loss")) == 1


@pytest.mark.parametrize("obstacle", ["a directory", "a dangling link", "a full disk", "locked"])
@pytest.mark.parametrize("waits", [True, False])
def test_an_index_that_cannot_be_written_is_kept_in_memory(index: SessionIndex, obstacle: str, waits: bool) -> None:
    write(index, "one")
    index.refresh()
    known = index.path.stat().st_size
    for number in range(30):
        write(index, f"s{number}", *prompt(f"walrus {number} " + "filler " * 400))
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    keeper = sqlite3.connect(index.path, isolation_level=None)
    if obstacle == "locked":
        keeper.execute("BEGIN EXCLUSIVE")
    elif obstacle == "a full disk":
        resource.setrlimit(resource.RLIMIT_FSIZE, (known, limits[1]))
    else:
        index.path.unlink()
        index.path.mkdir() if obstacle == "a directory" else index.path.symlink_to("/nonexistent/index")
    other = SessionIndex(index.path.parent, waits=waits, patience_s=0.01)
    try:
        if obstacle == "locked" and not waits:  # the app asks again
            with pytest.raises(IndexUnavailableError):
                other.refresh()
            return
        other.refresh()
        assert other.count() == 31
        assert len(other.search("walrus")) == 30
        with contextlib.suppress(IndexUnavailableError):
            other.hits("filler walrus", stop=lambda: True)
        write(index, "later")
        assert other.refresh() == 1
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        keeper.close()


def test_what_cannot_be_read_is_in_nobodys_way(index: SessionIndex) -> None:
    log = write(index, "one")
    (log.parent / "loop.jsonl").symlink_to("loop.jsonl")
    (log.parents[1] / "00").symlink_to("00")
    (log.parents[2] / "1999").symlink_to("1999")
    for closely in (True, False):
        index.refresh(closely=closely)
        assert [session.id for session in index.list()] == ["one"]


def test_index_belongs_to_the_user_alone(index: SessionIndex) -> None:
    index.refresh()
    assert stat.S_IMODE(index.path.stat().st_mode) == 0o600


@pytest.mark.parametrize("looks", [0, 1, 2, 5, 8])
def test_refresh_can_be_stopped_anywhere_and_goes_on_later(index: SessionIndex, looks: int) -> None:
    for number in range(5):
        write(index, f"s{number}", *prompt("walrus"), *answer("done"))
    left = [False] * looks
    assert index.refresh(stop=lambda: not left or left.pop()) in {0, 5}
    index.refresh()
    assert index.refresh() == 0
    assert [session.turns for session in index.list()] == [1] * 5
    assert len(index.search("walrus")) == 5


def test_a_damaged_index_that_is_not_waited_for_fills_with_the_next_refresh(index: SessionIndex) -> None:
    write(index, "one")
    index.refresh()
    index.path.write_bytes(b"no database" * 999)
    other = SessionIndex(index.path.parent, waits=False)
    assert other.list() == []
    assert other.refresh() == 1
    assert [session.id for session in index.list()] == ["one"]


def test_a_fleeting_look_sees_what_is_new_what_grew_lately_and_what_is_gone(index: SessionIndex) -> None:
    gone, _ = (write(index, name, *prompt("first")) for name in ("gone", "grown"))
    os.utime(gone.parent, (1e9, 1e9))  # so that the month says that nothing came or went since
    index.refresh()
    write(index, "grown", *prompt("again"))
    assert index.refresh(closely=False) == 1
    assert {session.id: session.turns for session in index.list()} == {"gone": 1, "grown": 2}
    gone.unlink()
    write(index, "new")
    assert index.refresh(closely=False) == 2
    assert {session.id: session.turns for session in index.list()} == {"grown": 2, "new": 1}


def test_a_session_that_rested_for_long_is_seen_at_a_close_look(tmp_path: Path) -> None:
    path = record(tmp_path, "old", *prompt("go"))
    os.utime(path, (1e9, 1e9))
    os.utime(path.parent, (1e9, 1e9))
    lookout = Lookout(tmp_path)
    size = lookout.look()["old"].size
    with path.open("a") as file:
        file.write("{}\n")
    os.utime(path.parent, (1e9, 1e9))
    assert lookout.look(closely=False)["old"].size == size
    assert lookout.look()["old"].size == size + 3


def test_two_threads_refresh_at_once_without_doubling(index: SessionIndex) -> None:
    for number in range(12):
        write(index, f"s{number}", *prompt(f"prompt {number}"), *answer("same words"))
    threads = [threading.Thread(target=index.refresh) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert len(index.list()) == 12
    assert all(session.turns == 1 for session in index.list())


def test_title_and_tags_of_the_log_are_in_the_list(index: SessionIndex) -> None:
    write(index, "one", *whole_session(), SessionMeta(title="Baseline"), SessionMeta(tags=("good", "lr sweep")))
    index.refresh()
    (session,) = index.list()
    assert (session.title, session.tags) == ("Baseline", ("good", "lr sweep"))
    assert index.search("baseline")[0].session.id == "one"


def test_large_outputs_are_searched_where_they_lie(index: SessionIndex) -> None:
    path = write(index, "one", *prompt("go"), *output("c1", "bash", "x " * 40_000 + "pangolin"))
    assert path.stat().st_size < 20_000
    assert list(path.with_suffix(".files").iterdir())
    index.refresh()
    assert [found.kind for found in index.search("pangolin")] == ["output"]
    assert any("pangolin" in str(event.get("output")) for event in read_session(path))


def test_odd_values_in_a_log_are_passed_over(index: SessionIndex) -> None:
    path = write(index, "one", UserMessage(content="go"))
    with path.open("a") as file:
        file.write('{"type": "llm_call", "cost_usd": "much", "seq": 1e400, "time": 7}\n')
        file.write('{"type": "session_meta", "tags": [1, null, "ok"], "title": {"a": 1}}\n')
        file.write('{"type": "user_message", "content": ["\\ud800"], "seq": -5}\n')
        file.write('{"type": "assistant_message", "content": "bad \\ud800 \\u0000 octopus", "time": "9999-99"}\n')
        file.write("[" * 100_000 + "\n")
    index.refresh()
    (session,) = index.list()
    assert (session.cost_usd, session.tags, session.title) == (0.0, ("ok",), "go")
    assert len(index.search("octopus")) == 1


def test_what_a_killed_reply_had_said_is_found_until_it_is_said_whole(index: SessionIndex) -> None:
    halves = [AssistantChunk(content="Let me think.", kind="reasoning")]
    halves += [AssistantChunk(content=piece) for piece in ("The pang", "olin eats ")]
    path = write(index, "one", *prompt("what does it eat?"), *halves)
    index.refresh()
    [found] = index.search("pangolin eats")
    assert found.kind == "answer"
    details = index.get("one")
    assert details is not None
    assert details.session.answer == "The pangolin eats"
    assert index.search("think") == []

    log = SessionLog(index.path.parent, Redactor(), "1.2.3", lambda _: None)
    log.claim("one")
    seq = max(event["seq"] for event in read_session(path))
    said = AssistantMessage(content="The pangolin eats ants.", seq=seq + 1, session_id="one")
    log(AssistantChunk(content="ants.", seq=seq, session_id="one"))
    index.refresh()
    assert len(index.search("pangolin ants")) == 1
    log(said)
    log.close()
    index.refresh()
    [again] = index.search("pangolin eats ants")
    assert again.snippet == "The pangolin eats ants."
    with sqlite3.connect(index.path) as db:
        assert db.execute("SELECT count(*) FROM texts WHERE kind = 'answer'").fetchone() == (1,)
    assert SessionIndex(index.path.parent).search("pangolin eats ants") != []
