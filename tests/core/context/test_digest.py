from __future__ import annotations

import json

from ml_intern.core.context.digest import digest, fit, quotes, record_of, summary_message
from ml_intern.core.context.messages import Message
from ml_intern.core.context.tokens import TokenCounter
from tests.core.context.builders import calls, exchanges, prompt, result, says

COUNTER = TokenCounter()


def plan_call(call_id: str, *steps: str) -> Message:
    todos = [{"id": str(n), "content": step, "status": "pending"} for n, step in enumerate(steps)]
    return calls(call_id, name="plan_tool", arguments=json.dumps({"todos": todos}))


def test_the_record_names_who_said_what_and_leaves_guards_out() -> None:
    history = [prompt("train it"), *exchanges(1, "loss 0.3"), Message("user", "nagging", kind="guard"), says("done")]
    record = record_of(history, 10_000, COUNTER)
    for part in ("[user]\ntrain it", '[assistant calls bash] {"command": "step 0"}', "[result of bash]\nloss 0.3"):
        assert part in record
    assert "nagging" not in record
    assert record.index("train it") < record.index("loss 0.3") < record.index("done")


def test_the_record_fits_its_room_however_much_there_is() -> None:
    for count, output in ((500, "long output line\n" * 2_000), (5_000, "ok"), (1, "x" * 3_000_000)):
        record = record_of([prompt(), *exchanges(count, output)], 5_000, COUNTER)
        assert COUNTER.text(record) <= 5_100


def test_the_digest_tells_plan_files_calls_and_last_words() -> None:
    history = [
        plan_call("p1", "old step"),
        result("p1"),
        plan_call("p2", "load data", "train"),
        result("p2"),
        calls("w", name="write", arguments='{"path": "train.py", "content": "x"}'),
        result("w", "written"),
        *exchanges(30, "exit code 0\nloss 0.25"),
        says("The loss fell to 0.25."),
    ]
    text = digest(history, 3_000, COUNTER)
    for part in ("load data", "train.py", "bash ×30", "step 29", "exit code 0", "The loss fell to 0.25."):
        assert part in text
    assert "old step" not in text


def test_the_digest_carries_an_earlier_summary_on_and_fits() -> None:
    earlier = summary_message("The best run was run-17. " + "More facts. " * 5_000, "", 40)
    text = digest([earlier, *exchanges(300, "output\n" * 100)], 1_000, COUNTER)
    assert "run-17" in text
    assert "[Summary of" not in text
    assert COUNTER.text(text) <= 1_050


def test_arguments_that_are_no_object_do_not_disturb_the_digest() -> None:
    history = [calls("1", name="write", arguments="[]"), result("1"), calls("2", name="plan_tool", arguments="{")]
    assert "write ×1" in digest(history, 1_000, COUNTER)
    assert digest([], 1_000, COUNTER)


def test_the_users_words_are_quoted_in_order_newest_first_to_find_room() -> None:
    prompts = [prompt(f"wish {n} " + "word " * 50) for n in range(20)]
    text = quotes(prompts, 300, COUNTER)
    assert "wish 19" in text
    assert "wish 0 " not in text
    assert text.index("wish 18") < text.index("wish 19")
    assert "earlier messages left out" in text
    assert quotes([], 300, COUNTER) == ""


def test_what_is_cut_to_fit_keeps_its_end() -> None:
    text = "beginning " + "word " * 10_000 + "end"
    cut = fit(text, 500, COUNTER)
    assert cut.startswith("beginning")
    assert cut.endswith("end")
    assert COUNTER.text(cut) <= 520
    assert fit("short", 500, COUNTER) == "short"
