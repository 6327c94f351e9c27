"""Named figures that an objective adds to the step log."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor


class Figures:
    """Quotients of sums over batches, such as shares and means per token, since the last line of the step log.

    Args:
        names: what the log calls them, equal on every process.
    """

    def __init__(self, names: Sequence[str] = ()) -> None:
        self._sums = {name: torch.zeros(2, dtype=torch.float64) for name in names}
        self._factor: float | None = None

    def include(self, names: Sequence[str]) -> None:
        """Also counts figures of these names, which the run adds itself."""
        self._sums |= {name: torch.zeros(2, dtype=torch.float64) for name in names}

    @contextmanager
    def counting(self, factor: float) -> Iterator[None]:
        """Lets `add` count, with a factor of 0 for a batch that only keeps a process busy; outside, it does nothing."""
        self._factor = factor
        try:
            yield
        finally:
            self._factor = None

    def add(self, name: str, total: Tensor | float, weight: Tensor | float) -> None:
        """Adds a batch's sum and its divisor; neither waits for the device."""
        if self._factor is None:
            return
        pair = [torch.as_tensor(part).detach().double() for part in (total, weight)]
        device = next((part.device for part in pair if part.device.type != "cpu"), torch.device("cpu"))
        both = torch.stack([part.to(device) for part in pair]) * self._factor
        self._sums[name] = self._sums[name].to(device) + both

    def sums(self, device: torch.device) -> Tensor:
        """Every figure's sum and divisor, `(figures, 2)` float64."""
        return torch.stack([pair.to(device) for pair in self._sums.values()]) if self._sums else torch.zeros(0, 2)

    def named(self, sums: Tensor) -> dict[str, list[float]]:
        """Sums and divisors by name, as a checkpoint stores them."""
        return dict(zip(self._sums, sums.tolist(), strict=True))

    def reset(self, stored: Mapping[str, Sequence[float]] | None = None) -> None:
        """Starts again from zero, or from a checkpoint's sums; one whose figure no longer exists is left out."""
        stored = stored or {}
        for name in self._sums:
            self._sums[name] = torch.tensor(stored.get(name, (0.0, 0.0)), dtype=torch.float64)


def quotients(named: Mapping[str, Sequence[float]]) -> dict[str, float]:
    """The figures' values, without those that nothing was added to."""
    return {name: total / weight for name, (total, weight) in named.items() if weight}
