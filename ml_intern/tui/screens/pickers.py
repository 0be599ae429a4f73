"""The pickers: models, modes, efforts, themes and commands, each read from where it is defined."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from ml_intern.options import DEMO_MODEL
from ml_intern.tui.commands import COMMANDS, EFFORTS, MODES
from ml_intern.tui.keys.keymap import Keymap
from ml_intern.tui.modals.pick import Choice, Pick
from ml_intern.tui.setup import EffortMeaning, FindModels, ModelOffer
from ml_intern.tui.state import SessionState
from ml_intern.tui.themes import NOTES, theme_names

KEYS_HINT = "The others need a key: /sign-in takes it."


def command_picker(state: SessionState, keymap: Keymap) -> Pick:
    """Every command, those that cannot be used now with the reason."""
    choices = []
    for command in COMMANDS:
        objection = command.objection(state)
        key = keymap.shown(command.action or f"/{command.name}")
        text = keymap.tell(objection) or command.help
        choices.append(Choice(command.name, command.usage, text, key, disabled=bool(objection)))
    return Pick("commands", choices)


def mode_picker(state: SessionState) -> Pick:
    """The approval modes."""
    return Pick("approval mode", _described(MODES, state.mode))


def effort_picker(state: SessionState, meaning: EffortMeaning) -> Pick:
    """The reasoning efforts, with what each means for the present model."""
    said = {level: meaning(state.model, level) for level in EFFORTS}
    note = f"for {state.model}" if state.model else ""
    if len(all_the_same := {said[level] for level in EFFORTS if level != "off"}) == 1 and (same := all_the_same.pop()):
        note, said = f"{note}: {same}, whatever is chosen", dict.fromkeys(EFFORTS, "")
    texts = {level: " · ".join(filter(None, [text, said[level]])) for level, text in EFFORTS.items()}
    return Pick("reasoning effort", _described(texts, state.effort), note=note)


def prompt_picker(prompts: Sequence[str], *, files: bool) -> Pick:
    """What was said so far, newest first; the choice is the prompt's number."""
    choices = [Choice(str(number), label=" ".join(text.split())[:200]) for number, text in enumerate(prompts)]
    return Pick("go back to before, files too" if files else "go back to before", choices[::-1], names=False)


def theme_picker(available: Iterable[str], current: str, preview: Callable[[str], None]) -> Pick:
    """The themes, each shown on the whole screen while it is highlighted."""
    choices = [Choice(name, help=NOTES.get(name, ""), current=name == current) for name in theme_names(available)]
    return Pick("theme", choices, on_highlight=preview)


def model_picker(state: SessionState, current: str | None = None) -> Pick:
    """The models that can be used here; any other id can be typed. `fill_models` completes it.

    Args:
        state: The session.
        current: The id that is in use; by default the session's.
    """
    used = state.model if current is None else current
    about = "practice session: no key, no network, no cost"
    choices = [Choice(DEMO_MODEL, help=about, current=used == DEMO_MODEL)]
    if used and used != DEMO_MODEL:
        choices.insert(0, Choice(used, help="in use", current=True))
    return Pick("model", choices, free="use this model id", note="Looking for model servers on this machine …")


async def fill_models(picker: Pick, find: FindModels, current: str) -> None:
    """Puts what can be used here on top of the picker, and says how to get at the rest."""
    offers = await find()
    usable = [_model_choice(offer, current) for offer in offers if offer.usable]
    missing = [_model_choice(offer, current) for offer in offers if not offer.usable]
    picker.add(usable, missing, KEYS_HINT if missing else "")


def _model_choice(offer: ModelOffer, current: str) -> Choice:
    """A model: what it takes and costs in the row, where it is and its key below the list."""
    row = offer.facts or offer.note
    return Choice(offer.id, help=row, current=offer.id == current, disabled=not offer.usable, detail=offer.detail)


def _described(texts: dict[str, str], current: str) -> list[Choice]:
    return [Choice(name, help=text, current=name == current) for name, text in texts.items()]
