"""The rows of every split, with the place that they come from."""

from collections.abc import Callable, Iterable, Mapping

from datasets import Dataset

Arrange = Callable[[Dataset, str], Dataset]
"""Makes other rows of rows; told their place."""


class Splits(dict[str, Dataset]):
    """The rows by split: "train", "validation", "test", or "test_NAME".

    Args:
        rows: of each split.
        places: what messages call the source of each split: its file, or the data set and its split.
    """

    def __init__(self, rows: Mapping[str, Dataset], places: Mapping[str, str]) -> None:
        super().__init__(rows)
        self._places = places

    def place(self, split: str) -> str:
        """The place that the rows of a split come from."""
        return self._places.get(split, split)

    @property
    def first(self) -> str:
        """The split in which columns are looked for: the training rows where there are any."""
        return "train" if "train" in self else next(iter(self))

    def only(self, names: Iterable[str]) -> "Splits":
        """The splits of these names."""
        return Splits({name: self[name] for name in names}, self._places)

    def each(self, change: Arrange) -> "Splits":
        """Other rows in the place of those of every split."""
        return Splits({split: change(rows, self.place(split)) for split, rows in self.items()}, self._places)
