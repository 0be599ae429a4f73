"""The one table of everything a key does: a stable id for the configuration, the keys it has unless a person says
otherwise, and what it does in plain words. Bindings, hints, help, palette, the Keys screen and docs/keys.md read it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from ml_intern.tui.commands import COMMANDS


@dataclass(frozen=True, slots=True)
class Action:
    """One thing that a key does.

    Attributes:
        id: Its name in the configuration.
        keys: The keys it has by default, with commas between them, in Textual's names; none when empty.
        does: What it does, as people say it.
        above: It is heard before whatever has the focus, so a letter that is typed would be lost to it.
        fixed: Why it cannot be given another key, or empty.
        shown: How its keys are shown where the list of them says less, for example `↑↓`.
    """

    id: str
    keys: str
    does: str
    above: bool = False
    fixed: str = ""
    shown: str = ""

    @property
    def standard(self) -> tuple[str, ...]:
        """The keys it has by default."""
        return tuple(key for key in self.keys.split(",") if key)


@dataclass(frozen=True, slots=True)
class Place:
    """A part of the app with keys of its own.

    Attributes:
        name: Short name.
        title: As people read it.
        within: Places around this one, whose keys work here too.
        actions: What can be done there.
    """

    name: str
    title: str
    within: tuple[str, ...]
    actions: tuple[Action, ...]


_TYPING = "it belongs to typing"
_WAY_OUT = "it is the way out when nothing else works"
_MOVING = "it belongs to moving about"

PLACES: tuple[Place, ...] = (
    Place(
        "app",
        "everywhere",
        (),
        (
            Action("help", "f1", "explain what has the focus", above=True),
            Action("sessions", "f2", "sessions: find, review, go on with one", above=True),
            Action("jobs", "f3", "jobs: curves, logs, comparison", above=True),
            Action("settings", "f5", "settings"),
            Action("jump", "f6,alt+j", "show a letter on everything that can be jumped to"),
            Action("commands", "ctrl+p", "all commands"),
            Action("copy", "ctrl+c", "copy the selection; without one interrupt, twice: quit", True, _WAY_OUT),
            Action("quit", "ctrl+q", "quit", above=True),
            Action("fields", "tab", "to the next part of the screen, or the next field", fixed=_MOVING),
            Action("fields.back", "shift+tab", "to the part before", fixed=_MOVING),
            Action("move", "up,down", "up and down in lists and texts", fixed=_MOVING, shown="↑↓"),
            Action("page", "pageup,pagedown", "a page up or down", fixed=_MOVING, shown="PgUp PgDn"),
            Action("first", "home", "to the beginning", fixed=_MOVING),
            Action("last", "end", "to the end; there the chat follows what is written", fixed=_MOVING),
            Action("choose", "enter", "take what is marked, send what is typed in a field", fixed=_TYPING),
            Action("number", "1,2,3,4,5,6,7,8,9", "the row or tab of that number", fixed=_TYPING, shown="1-9"),
        ),
    ),
    Place(
        "main",
        "the main screen",
        ("app",),
        (
            Action("interrupt", "escape", "interrupt the turn; without one: back to the prompt"),
            Action("call", "ctrl+o", "the chosen or newest tool call in full"),
            Action("spend", "f4", "what was spent"),
            Action("history", "ctrl+r", "find an earlier prompt"),
            Action("search", "ctrl+f", "search the conversation, or the tool call that is open", above=True),
            Action("error.copy", "f8", "copy the last error with its details"),
            Action("editor", "ctrl+g", "write the prompt in your own editor"),
            Action("pane.chat", "alt+1", "show the chat"),
            Action("pane.tools", "alt+2", "show the tool calls"),
            Action("pane.plan", "alt+3", "show the plan"),
            Action("pane.jobs", "alt+4", "show the jobs"),
            Action("pane.trail", "alt+5", "show the trail"),
            Action("pane.maximise", "z", "give the pane all the room, or take it back; outside of the prompt"),
        ),
    ),
    Place(
        "prompt",
        "the prompt",
        ("main",),
        (
            Action("prompt.send", "enter", "send; while the agent works: queue"),
            Action("prompt.newline", "shift+enter,ctrl+j,alt+enter,ctrl+enter", "begin a new line"),
            Action("prompt.older", "up", "the prompt before, at the upper edge of the text"),
            Action("prompt.newer", "down", "the prompt after, at the lower edge of the text"),
            Action("prompt.drop", "delete", "remove the last queued prompt, in an empty prompt"),
            Action("queue.before", "alt+up", "edit the queued prompt before; what you write is put aside"),
            Action("queue.after", "alt+down", "edit the queued prompt after, then what you had put aside"),
            Action("prompt.steer", "ctrl+s", "tell the running turn now, at its next step; else send"),
            Action("prompt.paste", "ctrl+v,alt+v", "attach the image on the clipboard; else paste what the app copied"),
            Action("prompt.detach", "backspace", "remove the last attachment, at the beginning of the prompt"),
            Action("prompt.undo", "ctrl+z,super+z", "take the last change of the text back"),
            Action("prompt.redo", "ctrl+y,super+y", "make the change again"),
            Action("prompt.quit", "ctrl+d", "quit, in an empty prompt"),
        ),
    ),
    Place(
        "completer",
        "the list of commands or files above the prompt",
        (),
        (
            Action("complete.take", "tab", "put in the command or file that is marked"),
            Action("complete.run", "enter", "run the command that is marked"),
            Action("complete.close", "escape", "close the list"),
        ),
    ),
    Place(
        "chat",
        "the chat",
        ("main", "review"),
        (
            Action("chat.find", "slash", "search, while the chat has the focus", above=True),
            Action("chat.message_before", "left_parenthesis,shift+up", "to the message before"),
            Action("chat.message_after", "right_parenthesis,shift+down", "to the message after"),
            Action("chat.prompt_before", "left_square_bracket", "to the prompt before"),
            Action("chat.prompt_after", "right_square_bracket", "to the prompt after"),
            Action("chat.error_before", "left_curly_bracket", "to the error before"),
            Action("chat.error_after", "right_curly_bracket", "to the error after"),
            Action("chat.thoughts", "t", "open or close thoughts"),
            Action("chat.copy", "ctrl+y,y", "copy the message at hand"),
            Action("chat.copy_code", "ctrl+k", "copy the newest code block, then the one before"),
            Action("chat.edit", "e", "edit the prompt at hand and send it anew from there"),
            Action("chat.links", "o", "list the links in view"),
            Action("chat.good", "plus", "call the answer at hand good, or not any more"),
            Action("chat.poor", "minus", "call the answer at hand poor, or not any more"),
        ),
    ),
    Place(
        "calls",
        "the tool calls",
        ("main", "review"),
        (
            Action("calls.up", "up", "up"),
            Action("calls.down", "down", "down"),
            Action("calls.first", "home", "to the first"),
            Action("calls.last", "end", "to the last"),
            Action("calls.open", "enter", "the call in full"),
            Action("calls.fold", "space", "open or close what it has told"),
            Action("calls.unfold", "right", "open what it has told"),
            Action("calls.close", "left", "close what it has told, then to its turn"),
            Action("calls.copy", "y", "copy its command, path or question"),
            Action("calls.copy_output", "Y", "copy its output"),
            Action("calls.file", "ctrl+e", "open the file it read or wrote in your own editor"),
            Action("calls.stop", "delete", "end a call that runs; the turn goes on"),
        ),
    ),
    Place(
        "screens",
        "screens and dialogs",
        ("app",),
        (
            Action("back", "escape", "a step back, then out; what was not confirmed stays as it was"),
            Action("leave", "q", "back to the conversation at once"),
            Action("form.done", "ctrl+s", "take over what was edited", above=True),
            Action("form.editor", "ctrl+e", "edit the text in your own editor", above=True),
            Action("diff.layout", "v", "differences side by side, or one below the other"),
            Action("form.before", "left", "the value before, in a field with arrows"),
            Action("form.after", "right,space", "the value after, in a field with arrows"),
        ),
    ),
    Place(
        "list",
        "lists",
        ("app", "jobs", "sessions", "settings", "dataset", "allowed"),
        (
            Action("list.up", "up,k", "up"),
            Action("list.down", "down,j", "down"),
            Action("list.first", "home", "to the first"),
            Action("list.last", "end", "to the last"),
            Action("list.page_up", "pageup", "a page up"),
            Action("list.page_down", "pagedown", "a page down"),
            Action("list.open", "enter", "open"),
        ),
    ),
    Place(
        "find",
        "searching",
        ("jobs", "review", "detail", "sessions", "settings", "chat", "allowed"),
        (
            Action("find", "slash", "search, or filter"),
            Action("find.next", "n", "to the next find"),
            Action("find.before", "N", "to the find before"),
            Action("find.end", "escape", "end the search, and stay where it has led"),
        ),
    ),
    Place(
        "search field",
        "the field in which a search is typed",
        (),
        (
            Action("search.next", "enter,down,ctrl+n,ctrl+g", "to the next find"),
            Action("search.before", "up,shift+enter,ctrl+p,ctrl+shift+g", "to the find before"),
            Action("search.leave", "escape", "back to where the search began; once it has led somewhere: stay there"),
        ),
    ),
    Place(
        "links",
        "the list of links",
        ("screens",),
        (Action("link.copy", "ctrl+y", "copy the link", above=True),),
    ),
    Place(
        "detail",
        "a tool call in full",
        ("screens",),
        (
            Action("detail.all", "a", "all of it"),
            Action("detail.input", "i", "what it was called with"),
            Action("detail.output", "o", "what came of it"),
            Action("detail.transcript", "t", "what a sub-agent did for it"),
            Action("detail.log", "l", "what it said while it ran"),
            Action("detail.next_tab", "tab", "the next of these"),
            Action("detail.tab_before", "shift+tab", "the one before"),
            Action("detail.before", "left", "the call before"),
            Action("detail.after", "right", "the next call"),
            Action("detail.copy", "y", "copy what is shown"),
            Action("detail.stop", "delete,x", "end the call, if it runs; the turn goes on"),
        ),
    ),
    Place(
        "sessions",
        "the sessions screen",
        ("screens",),
        (
            Action("sessions.scope", "a", "this directory, or all"),
            Action("sessions.scope_typing", "tab,shift+tab", "this directory, or all, from the filter too", above=True),
            Action("sessions.to_list", "down", "from the filter to the list"),
            Action("sessions.resume", "r", "go on with the session"),
            Action("sessions.fork", "f", "copy the session"),
            Action("sessions.export", "e", "save it in another format"),
            Action("sessions.tag", "t", "tag it"),
            Action("sessions.rename", "n", "give it a title"),
            Action("sessions.delete", "d", "put it into the trash"),
            Action("sessions.undo", "u", "bring back what was deleted"),
        ),
    ),
    Place(
        "review",
        "reviewing a session",
        ("screens",),
        (
            Action("review.after", "right", "to the next event", above=True),
            Action("review.before", "left", "to the event before", above=True),
            Action("review.turn_after", "right_square_bracket,ctrl+right", "to the next prompt", above=True),
            Action("review.turn_before", "left_square_bracket,ctrl+left", "to the prompt before", above=True),
            Action("review.first", "home", "to the beginning", above=True),
            Action("review.last", "end", "to the end", above=True),
            Action("review.play", "space", "play, or pause", above=True),
            Action("review.faster", "plus,equals_sign", "faster", above=True),
            Action("review.slower", "minus", "slower", above=True),
            Action("review.error", "e", "to the next error", above=True),
            Action("review.error_before", "E", "to the error before", above=True),
            Action("review.approval", "a", "to the next approval", above=True),
            Action("review.approval_before", "A", "to the approval before", above=True),
            Action("review.paid", "p", "to the next expense", above=True),
            Action("review.paid_before", "P", "to the expense before", above=True),
            Action("review.job", "j", "to the next job", above=True),
            Action("review.job_before", "J", "to the job before", above=True),
            Action("review.filter", "f", "let the arrows stop at some events only", above=True),
            Action("review.fork", "F", "go on from here in a copy", above=True),
            Action("review.resume", "r", "go on with the session itself", above=True),
        ),
    ),
    Place(
        "jobs",
        "the jobs screen",
        ("screens",),
        (
            Action("jobs.scope", "a", "jobs of this session, or of the account"),
            Action("jobs.mark", "space", "mark the job for a comparison"),
            Action("jobs.compare", "x", "compare the marked jobs, or end the comparison"),
            Action("jobs.cancel", "c", "cancel the job"),
            Action("jobs.browse", "o", "open the job in a browser"),
            Action("jobs.rerun", "r", "run it again with edits"),
            Action("jobs.copy_id", "y", "copy its id"),
            Action("jobs.copy_address", "Y", "copy its address"),
            Action("jobs.export", "e", "save its log"),
            Action("jobs.load", "g", "more about its load"),
            Action("jobs.follow", "f", "follow the log"),
            Action("chart.after", "right_square_bracket", "the next curve"),
            Action("chart.before", "left_square_bracket", "the curve before"),
            Action("chart.log", "l", "a logarithmic scale, or a plain one"),
            Action("compare.all", "d", "in a comparison: everything, or only what differs"),
        ),
    ),
    Place(
        "approval",
        "an approval",
        ("screens",),
        (
            Action("approval.approve", "a", "approve"),
            Action("approval.reject", "r", "reject"),
            Action("approval.note", "n", "reject, and say why"),
            Action("approval.edit", "e", "edit before approving"),
            Action("approval.hardware", "h", "change hardware, time and payer"),
            Action("approval.remember", "s", "approve, and allow the like in this session by a rule you see"),
            Action("approval.always", "S", "approve, and allow the like in later sessions too"),
            Action("approval.approve_rest", "A", "approve all that is undecided"),
            Action("approval.review", "l", "list all decisions before they are sent"),
            Action("approval.before", "left", "look at the request before"),
            Action("approval.after", "right", "look at the next request"),
            Action("approval.send", "enter", "send the decisions"),
            Action("approval.interrupt", "escape", "leave a field; outside of one end the turn"),
        ),
    ),
    Place(
        "question",
        "questions",
        ("screens",),
        (
            Action("question.send", "enter", "answer", above=True),
            Action("question.mark", "space", "mark an answer, where several fit"),
            Action("question.write", "w", "answer in your own words"),
            Action("question.leave", "escape", "give no answer"),
            Action("confirm.yes", "y", "yes, do it"),
            Action("confirm.no", "n", "no, leave it"),
            Action("leftovers.mark", "space", "keep or end what was left running", above=True),
            Action("leftovers.end_all", "a", "end all that was left running"),
            Action("leftovers.apply", "enter", "do it", above=True),
        ),
    ),
    Place(
        "picker",
        "pickers",
        ("screens",),
        (
            Action("picker.up", "up,ctrl+p", "up", above=True),
            Action("picker.down", "down,ctrl+n", "down", above=True),
            Action("picker.page_up", "pageup", "a page up", above=True),
            Action("picker.page_down", "pagedown", "a page down", above=True),
            Action("hardware.choose", "enter", "take the hardware"),
            Action("hardware.reckoning", "question_mark", "how the estimate comes about", above=True),
        ),
    ),
    Place(
        "lists.more",
        "artifacts, trail, skills, spend",
        ("screens",),
        (
            Action("item.open", "enter,o", "open in a browser", above=True),
            Action("item.copy", "c", "copy the address"),
            Action("item.delete", "d", "delete, after two questions"),
            Action("item.look", "r", "look again"),
            Action("tab.before", "left", "the table before"),
            Action("tab.after", "right,tab", "the next table"),
            Action("spend.export", "e", "save the tables as CSV"),
        ),
    ),
    Place(
        "dataset",
        "looking at a data set",
        ("screens",),
        (
            Action("dataset.view_after", "tab", "the next view", above=True),
            Action("dataset.view_before", "shift+tab", "the view before", above=True),
            Action("dataset.column_before", "left,h", "the column before, in its rows"),
            Action("dataset.column_after", "right,l", "the next column, in its rows"),
            Action("dataset.copy", "c", "copy the cell, or the name of the data set"),
            Action("dataset.browse", "o", "open it in a browser"),
            Action("dataset.call", "v", "the tool call it comes from"),
            Action("dataset.load", "r", "look into it once more, where that failed"),
        ),
    ),
    Place(
        "mcp",
        "MCP servers",
        ("screens",),
        (
            Action("mcp.add", "a", "add a server"),
            Action("mcp.switch", "e", "switch it on or off"),
            Action("mcp.reconnect", "r", "connect anew"),
            Action("mcp.log", "l", "its log, or its tools"),
            Action("mcp.sign_in", "s", "sign in"),
            Action("mcp.sign_out", "o", "sign out"),
        ),
    ),
    Place(
        "settings",
        "settings and keys",
        ("screens",),
        (
            Action("settings.reset", "backspace", "take your own value away, so that the default counts again"),
            Action("keys.none", "delete", "leave the action without a key"),
        ),
    ),
    Place(
        "allowed",
        "what is allowed",
        ("screens",),
        (Action("allowed.take_back", "delete,backspace", "take the rule back"),),
    ),
    Place(
        "commands",
        "commands that have no key yet",
        ("main",),
        tuple(Action(f"/{command.name}", "", command.help) for command in COMMANDS if not command.action),
    ),
)


def all_actions() -> Iterator[Action]:
    """Every action, place by place."""
    for place in PLACES:
        yield from place.actions


ACTIONS: dict[str, Action] = {action.id: action for action in all_actions()}
PLACE_OF: dict[str, Place] = {action.id: place for place in PLACES for action in place.actions}
_PLACES = {place.name: place for place in PLACES}


def around(place: Place) -> frozenset[str]:
    """Names of a place and of all places around it."""
    found, left = {place.name}, list(place.within)
    while left:
        name = left.pop()
        if name not in found:
            found.add(name)
            left.extend(_PLACES[name].within)
    return frozenset(found)


def together(one: Action, other: Action) -> bool:
    """Whether the keys of both can be heard at the same time, so that they must differ."""
    first, second = PLACE_OF[one.id], PLACE_OF[other.id]
    return first.name in around(second) or second.name in around(first)
