"""Local attention: the alignment is a softmax over a window around one source position.

Positions count real tokens from 0, so padding has no effect, wherever it is.

Paper: Luong et al., 2015, section 3.2, https://aclanthology.org/D15-1166
"""

import torch
from torch import Tensor, nn

from .attention import Carried, GlobalAlignment, Memory


class LocalMonotonicAlignment(GlobalAlignment):
    """Local-m: step t looks at the source position p_t = t and `width` positions to each side.

    A target longer than its source keeps looking at the last position, since the window would otherwise be empty.

    Paper: Luong et al., 2015, section 3.2, "local-m", https://aclanthology.org/D15-1166

    Args:
        width: D, half the window.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.width = width

    def start(self, memory: Memory) -> Carried:
        """The index of the step, for each row."""
        return {"steps": memory.values.new_zeros(memory.values.shape[0], dtype=torch.long)}

    def advance(self, carried: Carried, steps: int) -> Carried:
        """As the base class says."""
        return carried | {"steps": carried["steps"] + steps}

    def centres(self, queries: Tensor, memory: Memory, carried: Carried) -> Tensor:
        """p_t, `(batch, target)`."""
        steps = carried["steps"][:, None] + torch.arange(queries.shape[1], device=queries.device)
        return torch.minimum(steps, memory.positions[:, -1:])

    def forward(self, scores: Tensor, queries: Tensor, memory: Memory, carried: Carried) -> Tensor:
        """As the base class says."""
        centres = self.centres(queries, memory, carried)
        distance = memory.positions[:, None] - centres[..., None]
        if scores.dim() == 4:
            distance = distance[:, None]
        outside = torch.finfo(scores.dtype).min
        return self.weigh(scores.masked_fill(distance.abs() > self.width, outside).softmax(-1), distance)

    def weigh(self, weights: Tensor, distance: Tensor) -> Tensor:
        """The weights within the window, by distance from its centre; unchanged here."""
        return weights


class LocalPredictiveAlignment(LocalMonotonicAlignment):
    """Local-p: looks at p_t = S sigmoid(v . tanh(W h)), S the row's real tokens, and favours what lies near p_t.

    The weights of the window are multiplied by exp(-(s - p_t)^2 / (2 sigma^2)) with sigma = D / 2, so they sum to at
    most 1.

    Paper: Luong et al., 2015, equations 9 and 10, https://aclanthology.org/D15-1166

    Args:
        width: D, half the window.
        query_size: width of the decoder's states.
    """

    def __init__(self, width: int, query_size: int) -> None:
        super().__init__(width)
        self.hidden_projection = nn.Linear(query_size, query_size, bias=False)
        self.position_projection = nn.Linear(query_size, 1, bias=False)

    def start(self, memory: Memory) -> Carried:
        """Nothing: only the query decides where to look."""
        return {}

    def advance(self, carried: Carried, steps: int) -> Carried:
        """Unchanged."""
        return carried

    def centres(self, queries: Tensor, memory: Memory, carried: Carried) -> Tensor:
        """p_t, `(batch, target)`, a real number."""
        share = self.position_projection(torch.tanh(self.hidden_projection(queries))).squeeze(-1).sigmoid()
        return (memory.positions[:, -1:] + 1) * share

    def weigh(self, weights: Tensor, distance: Tensor) -> Tensor:
        """The weights under the Gaussian around p_t."""
        return weights * torch.exp(-2 * (distance / self.width) ** 2)
