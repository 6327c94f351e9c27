"""What models of some families need after loading."""

from typing import Any

from hf_seq2seq.saved.global_attention import attend_globally
from hf_seq2seq.saved.joined_pairs import settle_joined
from hf_seq2seq.saved.prophetnet import order_streams


def meet_needs(model: Any) -> None:
    """Gives a loaded model what its family needs to be trained and used; most need nothing.

    Args:
        model: modified in place.
    """
    for name in getattr(model, "_keys_to_ignore_on_save", None) or ():  # a table of positions (Marian)
        model.get_parameter(name).requires_grad_(False)  # which would be trained, and not saved
    attend_globally(model)
    order_streams(model)
    settle_joined(model)
