"""What a person does with the conversation from the main screen: search it, follow its links, send a prompt anew."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from textual.screen import Screen

from ml_intern.tui import messages
from ml_intern.tui.entries import Entry
from ml_intern.tui.keys.keymap import keymap_of
from ml_intern.tui.panes.chat import ChatPane
from ml_intern.tui.widgets.composer import Composer

BUSY = "A turn is running. {interrupt} ends it, then the earlier prompt can be sent anew."
GONE = "The model no longer had that prompt before it, so this was sent as a new one."


class Reading:
    """Acts for the main screen.

    Args:
        screen: Where messages are posted.
        chat: The conversation.
        composer: Where a prompt is edited.
        send: Sends a prompt.
        show_chat: Brings the chat into view where only one pane is.
    """

    def __init__(
        self,
        screen: Screen[Any],
        chat: ChatPane,
        composer: Composer,
        send: Callable[[Entry], None],
        show_chat: Callable[[], None],
    ) -> None:
        self._screen = screen
        self._chat = chat
        self._composer = composer
        self._send = send
        self._show_chat = show_chat
        self._editing: int | None = None  # which prompt, for `rewind`
        self._draft = Entry()
        self._rewinding = False

    # ------------------------------------------------------------------------------------------- search and links

    async def search(self, text: str | None = None) -> None:
        """Opens the search."""
        self._show_chat()
        await self._chat.open_search(text)

    async def take(self, wish: messages.ChatIntent) -> None:
        """Does what is wanted of the conversation."""
        match wish:
            case messages.SearchChat():
                await self.search(wish.text or None)
            case messages.ShowChatLinks():
                self._chat.show_links()
            case messages.CopyFromChat():
                self._chat.copy(wish.what)

    # ------------------------------------------------------------------------------------- a prompt is sent anew

    @property
    def editing(self) -> bool:
        """Whether the prompt holds an earlier one."""
        return self._editing is not None

    def edit(self, number: int, text: str, *, busy: bool) -> bool:
        """Puts an earlier prompt into the editor. Nothing is taken back before it is sent.

        Args:
            number: Which prompt, as `rewind` counts them.
            text: What it says.
            busy: A turn runs.

        Returns:
            Whether it is there now.
        """
        if busy:
            self._screen.notify(keymap_of(self._screen).tell(BUSY), severity="warning", markup=False)
            return False
        if self._editing is None:
            self._draft = self._composer.current
        self._editing = number
        self._composer.tell_editing(True)
        self._composer.put(Entry(text))
        self._composer.prompt.focus()
        return True

    def leave(self) -> None:
        """Puts back what was being written before."""
        self.forget()
        self._composer.put(self._draft)

    def forget(self) -> None:
        """No earlier prompt is edited any more."""
        self._editing = None
        self._composer.tell_editing(False)

    def send_anew(self, entry: Entry) -> None:
        """Goes back to before the prompt that was edited, and sends it as it is now."""
        number, self._rewinding = self._editing, True
        self.forget()
        self._screen.post_message(messages.Operate("rewind", prompt=number))
        self._send(entry)

    def took_back(self, message: messages.Undone) -> bool:
        """Whether something was taken back in order to be sent anew."""
        expected, self._rewinding = self._rewinding, False
        if expected and not message.event.removed_messages:
            self._chat.say(GONE)
        return expected
