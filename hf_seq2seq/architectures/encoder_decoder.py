"""Shared by both families of encoder-decoders: tied tensors, two vocabularies, the decoder's inputs."""

from typing import Any

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from .configuration_source_inputs import main_input

Names = dict[str, str]


class EncoderDecoderModel(PreTrainedModel):
    """A model with a source and a target vocabulary, which may be the same.

    `_tied_weights_keys` names what can be tied; `share_embeddings` and `tie_word_embeddings` say what is.
    """

    def __init__(self, config: Any) -> None:
        super().__init__(config)
        wanted = {"lm_head": config.tie_word_embeddings, "encoder": config.share_embeddings}
        tied: Names = self._tied_weights_keys or {}
        self._tied_weights_keys = {name: origin for name, origin in tied.items() if wanted[name.split(".")[0]]}
        self.main_input_name = main_input(config)

    def get_expanded_tied_weights_keys(self, all_submodels: bool = False) -> Names:
        """The tied tensors: source and target embeddings by `share_embeddings`, output by `tie_word_embeddings`."""
        if all_submodels:
            return super().get_expanded_tied_weights_keys(all_submodels=True)
        return dict(self._tied_weights_keys or {})

    def get_input_embeddings(self) -> nn.Embedding:
        """The target embeddings, whose size is `config.vocab_size`."""
        model: Any = self.base_model
        return model.decoder.embed_tokens

    def set_input_embeddings(self, value: nn.Module) -> None:
        """Replaces the target embeddings, and the source's if they are shared."""
        assert isinstance(value, nn.Embedding)
        model: Any = self.base_model
        model.decoder.embed_tokens = value
        if self.config.share_embeddings:
            model.encoder.embed_tokens = value

    def resize_token_embeddings(self, *args: Any, **kwargs: Any) -> nn.Embedding:
        """Resizes the target vocabulary; also the source's if they share embeddings."""
        embeddings = super().resize_token_embeddings(*args, **kwargs)
        if self.config.share_embeddings:
            self.config.source_vocab_size = self.config.vocab_size
        return embeddings

    def resize_source_embeddings(self, new_num_tokens: int) -> nn.Embedding:
        """Resizes the source vocabulary.

        Raises:
            ValueError: source and target share their embeddings.
        """
        if self.config.share_embeddings:
            raise ValueError("share_embeddings=True: there is one vocabulary; use resize_token_embeddings")
        encoder: Any = self.get_encoder()
        encoder.embed_tokens = self._get_resized_embeddings(encoder.embed_tokens, new_num_tokens)
        self.config.source_vocab_size = new_num_tokens
        return encoder.embed_tokens

    def prepare_decoder_input_ids_from_labels(self, labels: Tensor) -> Tensor:
        """The decoder's inputs `(batch, target)`: the start token, then all labels but the last, with -100 padded."""
        first, pad = self.config.decoder_start_token_id, self.config.pad_token_id
        start = labels.new_full((labels.shape[0], 1), first)
        return torch.cat([start, labels[:, :-1].masked_fill(labels[:, :-1] == -100, pad)], 1)
