"""What models of some families need after loading."""

import sys
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
    _keep_all_tokens(model)
    attend_globally(model)
    order_streams(model)
    settle_joined(model)


def _keep_all_tokens(model: Any) -> None:
    """Lets the experts of NLLB-MoE take any number of tokens.

    Otherwise a full expert drops tokens, so that a row depends on those of its batch, and each evaluation leaves its
    own limit to training.
    """
    if model.config.model_type == "nllb-moe":
        for module in model.modules():
            if hasattr(module, "moe_eval_capacity_token_fraction"):
                module.expert_capacity, module.moe_eval_capacity_token_fraction = sys.maxsize, 0.0
