"""What was sent while the agent worked: it waits for its turn, and can be taken back, changed and put where it was."""

from __future__ import annotations

from ml_intern.tui.entries import Entry


class Waiting:
    """A queue, of which one entry at a time may be in the prompt.

    Attributes:
        entries: What waits, the oldest first, without the one that is in the prompt.
        place: Where the one that is in the prompt came from; None when none is.
    """

    def __init__(self) -> None:
        self.entries: tuple[Entry, ...] = ()
        self.place: int | None = None
        self._aside = Entry()

    def add(self, entry: Entry) -> None:
        """Lets an entry wait: at its old place if it was taken back, else behind all others."""
        at = len(self.entries) if self.place is None else self.place
        self.entries = (*self.entries[:at], entry, *self.entries[at:])
        self.place = None

    def add_first(self, entry: Entry) -> None:
        """Lets an entry wait before all others: it had its turn already."""
        self.entries = (entry, *self.entries)
        if self.place is not None:
            self.place += 1

    def take_next(self) -> Entry | None:
        """The oldest, which leaves the queue. None when nothing waits."""
        if not self.entries:
            return None
        first, self.entries = self.entries[0], self.entries[1:]
        if self.place:
            self.place -= 1
        return first

    def drop_last(self) -> None:
        """Forgets the newest."""
        self.entries = self.entries[:-1]
        if self.place is not None:
            self.place = min(self.place, len(self.entries))

    def before(self, current: Entry) -> Entry | None:
        """Takes back the entry before the one in the prompt, at first the newest; None when there is none before.

        Args:
            current: What is in the prompt. It goes back to its place, or is put aside until `after` or `written`.
        """
        at = len(self.entries) if self.place is None else self.place
        if at == 0:
            return None
        self._put_back(current)
        return self._take(at - 1)

    def after(self, current: Entry) -> Entry | None:
        """Takes back the entry behind the one in the prompt, behind the newest what was put aside. See `before`."""
        if self.place is None:
            return None
        at = self.place + bool(current)
        self._put_back(current)
        return self._take(at) if at < len(self.entries) else self.written()

    def sent(self) -> None:
        """What is in the prompt was sent: it has no place in the queue any more."""
        self.place = None

    def written(self) -> Entry:
        """What was being written before an entry was taken back; empty when nothing was."""
        aside, self._aside = self._aside, Entry()
        return aside

    def clear(self) -> None:
        """Forgets everything."""
        self.entries, self.place, self._aside = (), None, Entry()

    def _put_back(self, current: Entry) -> None:
        if self.place is None:
            self._aside = current
        elif current:
            self.add(current)
        self.place = None

    def _take(self, at: int) -> Entry:
        taken, self.entries, self.place = self.entries[at], (*self.entries[:at], *self.entries[at + 1 :]), at
        return taken
