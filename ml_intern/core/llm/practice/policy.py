"""What the practice model does next. Every decision follows from the story so far."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, replace
from typing import Any

from ml_intern.core.llm.practice.material import Material
from ml_intern.core.llm.practice.story import SCRIPT, Block, Run, Story
from ml_intern.core.llm.practice.wishes import WORK, read_wish

_SHOWN_LINES = 6
_UNFINISHED_LOSS = 0.2


@dataclass(frozen=True, slots=True)
class Step:
    """One reply: what is thought, said and done."""

    text: str = ""
    thought: str = ""
    calls: tuple[tuple[str, dict[str, Any]], ...] = ()


def decide(story: Story, material: Material) -> Step:
    """The next reply."""
    return _Policy(story, material).decide()


def summarize(conversation: str, material: Material) -> str:
    """What has been reached, for a conversation that is compacted; it comes as one text."""
    figures = dict.fromkeys(re.findall(r"(?<![a-z_])accuracy=([\d.]+)", conversation))
    so_far = (
        "no job has printed a figure" if not figures else f"jobs printed these test accuracies: {', '.join(figures)}"
    )
    return material.say("summary", so_far=so_far)


def answer_aside(story: Story, question: str, material: Material) -> Step:
    """The answer to a question beside the work, which goes on."""
    return _Policy(replace(story, wish=read_wish(question)), material).aside()


class _Policy:
    def __init__(self, story: Story, material: Material) -> None:
        self.story = story
        self.material = material

    def decide(self) -> Step:
        story = self.story
        if not story.begun:
            return self.begin()
        if story.prompt:
            return self.answer()
        return self.go_on()

    # ----------------------------------------------------------------------------------------------- to a person

    def answer(self) -> Step:
        """A reply to words of the person in the middle of the task, after a stop, or after the end."""
        story = self.story
        if story.wish.kind in {"again", "task"} and self.has_report():
            return self.begin()
        if story.block is not None or story.finished or story.wish.kind == "stop":
            return self.talk()
        if story.closed:
            return self.go_on() if story.wish.kind in WORK else self.talk()
        step = self.go_on()
        return replace(step, text="\n\n".join(filter(None, (self.noted(), step.text))))

    def noted(self) -> str:
        """What is said to words that came while the work was going on."""
        story = self.story
        if story.wish.kind in {"epochs", "fewer", "more"}:
            # A script that is there already is changed next, with words of its own.
            return "" if story.written else self.say("noted_epochs", wanted=_epochs(story.wanted))
        return "" if story.wish.kind in {"go on", "thanks"} else self.say("noted_other")

    def talk(self) -> Step:
        """An answer without any work."""
        kind = self.story.wish.kind
        if kind == "results" and self.has_report():
            return self.final(self.report_text())
        names = {"thanks": "thanks", "why": "why", "stop": "stopped", "go on": "nothing_left"}
        return self.final(self.say(names.get(kind, "options"), so_far=self.so_far()))

    def aside(self) -> Step:
        """An answer in words alone."""
        kind = self.story.wish.kind
        if kind == "results" and self.has_report():
            return Step(self.report_text())
        return Step(self.say(kind if kind in {"thanks", "why"} else "aside", so_far=self.so_far()))

    # --------------------------------------------------------------------------------------------- the task itself

    def go_on(self) -> Step:
        """The next step of the task, or the words with which it ends."""
        story = self.story
        if story.block is not None:
            return self.unblock(story.block)
        if story.data is None:
            return self.look()
        if not _rows(story.data):
            return self.final(self.say("no_data", shown=_excerpt(story.data)))
        if not story.written:
            return self.write()
        if story.wanted != story.epochs:
            return self.set_epochs()
        if story.baseline is None:
            return self.submit("baseline")
        if not story.improved:
            return self.improve()
        if story.best is None:
            return self.submit("improved")
        if story.checked is None:
            return self.check()
        return self.final(self.report_text())

    def unblock(self, block: Block) -> Step:
        """A file that may not be changed unread is read, once; everything else ends the turn."""
        if block.kind == "failed" and block.tool in {"write", "edit"} and not self.story.read_again:
            return Step(calls=(("read", {"path": SCRIPT}),))
        return self.final(self.stop_text(block))

    def begin(self) -> Step:
        expected = self.story.wish.kind in WORK or self.story.begun
        name = "begin" if expected else "begin_other"
        calls = (self.plan("look"), ("bash", {"command": self.material.look}), ("read", {"path": "README.md"}))
        return self.step(name, calls)

    def look(self) -> Step:
        return Step(calls=(self.plan("look"), ("bash", {"command": self.material.look})))

    def write(self) -> Step:
        counts = _rows(self.story.data or "")
        facts = {
            "rows": sum(counts.values()),
            "topics": len(counts),
            "each": " to ".join(str(count) for count in sorted({min(counts.values()), max(counts.values())})),
            "chance": f"{max(counts.values()) / sum(counts.values()):.0%}",
        }
        written = ("write", {"path": SCRIPT, "content": self.material.script})
        return self.step("write", (self.plan("write"), written), **facts)

    def set_epochs(self) -> Step:
        story = self.story
        change = {"path": SCRIPT, "old_str": f"EPOCHS = {story.epochs}", "new_str": f"EPOCHS = {story.wanted}"}
        wish = {"fewer": "Fewer epochs", "more": "More epochs"}.get(story.wish.kind, _epochs(story.wanted))
        return self.step("epochs", (("edit", change),), wish=wish, epochs=story.epochs, wanted=story.wanted)

    def submit(self, kind: str) -> Step:
        job = {
            "operation": "run",
            "script": SCRIPT,
            "timeout": self.material.timeout,
            "name": self.material.names[kind],
        }
        current = "improve" if kind == "improved" else "baseline"
        plan = (self.plan(current),) if self.story.plan != self.statuses(current) else ()
        known = (kind == "improved") in self.story.submitted
        return self.step("submit_again" if known else f"submit_{kind}", (*plan, ("hf_jobs", job)))

    def improve(self) -> Step:
        run = self.story.baseline
        assert run is not None
        found = run.mistake
        mistake = ""
        if found:
            mistake = self.say("edit_mistake", message=found[0].replace("`", "'"), label=found[1], guess=found[2])
        change = {"path": SCRIPT, "old_str": self.material.old, "new_str": self.material.new}
        facts = {"accuracy": _percent(run.accuracy), "validation": _percent(run.validation), "mistake": mistake}
        return self.step("edit", (self.plan("improve"), ("edit", change)), **facts)

    def check(self) -> Step:
        return self.step("check", (self.plan("report"), ("read", {"path": "metrics.json"})))

    # ---------------------------------------------------------------------------------------------------- the end

    def final(self, text: str) -> Step:
        """A last text; before it the plan is brought to what was really done."""
        if not self.story.plan_open:
            return Step(text)
        done = [{"id": name, "content": content, "status": "completed"} for name, content in self.done()]
        return Step(calls=(("plan_tool", {"todos": done}),))

    def done(self) -> list[tuple[str, str]]:
        story = self.story
        reached = {
            "look": bool(story.data),
            "write": story.written,
            "baseline": story.baseline is not None,
            "improve": story.best is not None,
            "report": self.has_report() and story.checked is not None,
        }
        return [(name, content) for name, content in self.material.plan if reached[name]]

    def has_report(self) -> bool:
        return self.story.baseline is not None and self.story.best is not None

    def report_text(self) -> str:
        base, best = self.story.baseline, self.story.best
        assert base is not None
        assert best is not None
        better = (best.accuracy or 0) > (base.accuracy or 0)
        verdict = self.say(
            "better" if better else "not_better",
            accuracy=_percent(best.accuracy),
            base_accuracy=_percent(base.accuracy),
        )
        checked = "checked" if _metrics_agree(self.story.checked or "", best) else "not_checked"
        return self.say(
            "report",
            verdict=verdict,
            base_epochs=base.epochs,
            base_validation=_percent(base.validation),
            base_accuracy=_percent(base.accuracy),
            epochs=best.epochs,
            validation=_percent(best.validation),
            accuracy=_percent(best.accuracy),
            test=best.test_rows,
            error=_standard_error(best),
            checked=self.say(checked),
            remarks=self.remarks(base, best),
            jobs=" and ".join(f"`{run.job_id}`" for run in (base, best)),
        )

    def remarks(self, base: Run, best: Run) -> str:
        """What keeps the two figures from being compared without a second thought."""
        remarks = []
        if base.epochs != best.epochs:
            remarks.append(self.say("other_epochs"))
        if (best.last_loss or 0) > _UNFINISHED_LOSS:
            remarks.append(self.say("unfinished", loss=best.last_loss, epochs=_epochs(best.epochs)))
        if base.was_edited or best.was_edited:
            remarks.append(self.say("was_edited"))
        return "".join(f"- {remark}\n" for remark in remarks)

    def stop_text(self, block: Block) -> str:
        so_far = self.so_far()
        edited = self.say("failed_edited") if block.was_edited else ""
        feedback = self.say("feedback", feedback=block.feedback) if block.feedback else ""
        if block.feedback and self.story.wish.kind == "stop":
            feedback = ""
        job = block.tool == "hf_jobs"
        names = {
            "refused": "refused" if job else "refused_other",
            "failed": "failed_job" if job else "failed_other",
        }
        name = names.get(block.kind, block.kind)
        return self.say(
            name, tool=block.tool, shown=_excerpt(block.text), so_far=so_far, edited=edited, feedback=feedback
        )

    def so_far(self) -> str:
        base, best = self.story.baseline, self.story.best
        if base is None:
            return self.say("so_far_nothing")
        if best is None:
            return self.say("so_far_baseline", base_accuracy=_percent(base.accuracy))
        return self.say("so_far_both", accuracy=_percent(best.accuracy), base_accuracy=_percent(base.accuracy))

    # -------------------------------------------------------------------------------------------------- small parts

    def say(self, name: str, **facts: object) -> str:
        return self.material.say(name, **facts)

    def step(self, name: str, calls: tuple[tuple[str, dict[str, Any]], ...], **facts: object) -> Step:
        return Step(self.say(name, **facts), self.material.thought(name), calls)

    def statuses(self, current: str) -> tuple[tuple[str, str], ...]:
        """The plan's statuses while a step is in progress: what stands before it is done."""
        names = [name for name, _ in self.material.plan]
        at = names.index(current)
        status = ("completed", "in_progress", "pending")
        return tuple((name, status[(index >= at) + (index > at)]) for index, name in enumerate(names))

    def plan(self, current: str) -> tuple[str, dict[str, Any]]:
        contents = dict(self.material.plan)
        todos = [{"id": name, "content": contents[name], "status": status} for name, status in self.statuses(current)]
        return "plan_tool", {"todos": todos}


def _rows(shown: str) -> dict[str, int]:
    """Counts by topic, from the lines `  100 memory` that looking at the data printed."""
    return {topic: int(count) for count, topic in re.findall(r"^\s*(\d+) ([a-z]+)\s*$", shown, re.MULTILINE)}


def _percent(share: float | None) -> str:
    return "an unknown share" if share is None else f"{share:.1%}".replace(".0%", "%")


def _epochs(number: int | str) -> str:
    return "1 epoch" if str(number) == "1" else f"{number} epochs"


def _standard_error(run: Run) -> str:
    if run.accuracy is None or not run.test_rows:
        return "an unknown number of"
    return f"{100 * math.sqrt(run.accuracy * (1 - run.accuracy) / run.test_rows):.0f}"


def _metrics_agree(saved: str, run: Run) -> bool:
    found = re.search(r'"accuracy": ([\d.]+)', saved)
    return found is not None and run.accuracy is not None and abs(float(found[1]) - run.accuracy) < 1e-4


def _excerpt(text: str) -> str:
    """The last lines of a text, short enough to be quoted."""
    lines = [line[:200] for line in text.strip().splitlines()[-_SHOWN_LINES:]]
    return "\n".join(lines).replace("```", "'''") or "(nothing)"
