"""Sums of heights over a long list, kept in a binary indexed tree: every question and every correction is O(log n)."""

from __future__ import annotations

from collections.abc import Iterable


class Heights:
    """Heights of the items of a list, in rows."""

    __slots__ = ("_heights", "_tree")

    def __init__(self, heights: Iterable[int] = ()) -> None:
        self._heights: list[int] = []
        self._tree: list[int] = [0]  # _tree[i] is the sum of the (i & -i) heights that end at item i, counted from 1
        for height in heights:
            self.append(height)

    def copy(self) -> Heights:
        """The same heights, to be changed for themselves."""
        other = Heights()
        other._heights, other._tree = self._heights.copy(), self._tree.copy()
        return other

    def __len__(self) -> int:
        return len(self._heights)

    def __getitem__(self, index: int) -> int:
        return self._heights[index]

    def append(self, height: int) -> None:
        """Adds an item at the end."""
        self._heights.append(height)
        at = len(self._heights)
        total, step = height, 1
        while step < at & -at:
            total += self._tree[at - step]
            step *= 2
        self._tree.append(total)

    def set(self, index: int, height: int) -> None:
        """Corrects the height of one item."""
        change = height - self._heights[index]
        if not change:
            return
        self._heights[index] = height
        at = index + 1
        while at < len(self._tree):
            self._tree[at] += change
            at += at & -at

    def truncate(self, size: int) -> None:
        """Keeps the first `size` items."""
        del self._heights[size:]
        del self._tree[size + 1 :]

    def before(self, index: int) -> int:
        """Rows above an item."""
        total, at = 0, index
        while at:
            total += self._tree[at]
            at &= at - 1
        return total

    @property
    def total(self) -> int:
        """Rows in all."""
        return self.before(len(self._heights))

    def locate(self, row: int) -> tuple[int, int]:
        """The item at a row and the row inside it. Rows outside the list give its first or last item.

        Raises:
            IndexError: The list is empty.
        """
        size = len(self._heights)
        if not size:
            raise IndexError("no items")
        at, rest = 0, max(0, row)
        step = 1 << size.bit_length()
        while step:
            if at + step <= size and self._tree[at + step] <= rest:
                at += step
                rest -= self._tree[at]
            step >>= 1
        if at == size:
            return size - 1, max(0, self._heights[-1] - 1)
        return at, rest
