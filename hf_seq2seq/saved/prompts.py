"""Prompt tuning: vectors in front of every embedded source, which are trained in place of the weights.

The prompt is added by hooks, wherever the model or its encoder is called with ids, as PEFT adds it in its own model.

Paper: Lester et al., 2021, https://aclanthology.org/2021.emnlp-main.243
"""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from hf_seq2seq.errors import InputError

if TYPE_CHECKING:
    from torch import Tensor
    from transformers import PreTrainedModel

OPTION = "--prompt-tokens"
KIND = "PROMPT_TUNING"
"""PEFT's name of the kind of adapter."""
MODULE = "source_prompt"
SAVED = "prompt_embeddings"
"""The vectors' name in an adapter's file."""
STATE = f"{MODULE}.weight"
"""The vectors' name in a model's state."""
CHECKED = (5, 4, 6)
"""Ids of the source that is read in both ways."""


def is_prompted(model: Any) -> bool:
    """Whether a model has a prompt."""
    return hasattr(model, MODULE)


def prompt_length(model: Any) -> int:
    """Vectors in front of every source; 0 without a prompt."""
    return len(getattr(model, MODULE).weight) if is_prompted(model) else 0


def add_prompt(model: "PreTrainedModel", vectors: "Tensor", place: str = OPTION) -> None:
    """Adds a prompt to an encoder-decoder, and freezes all else.

    Args:
        model: modified in place.
        vectors: `(prompt, width)`, as its embeddings come out of their layer.
        place: for errors.

    Raises:
        InputError: the model does not read embeddings as it reads ids, or attends in a way of its own.
    """
    from torch import nn

    _check(model, place)
    model.requires_grad_(False)
    prompt = nn.Embedding(*vectors.shape).to(vectors.device)
    prompt.weight.data.copy_(vectors)
    model.add_module(MODULE, prompt)
    embeddings = model.get_input_embeddings()

    def embed(_: Any, args: tuple[Any, ...], inputs: dict[str, Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
        if (ids := inputs.get("input_ids")) is None:
            return args, inputs
        words = embeddings(ids)
        mask = inputs.get("attention_mask")
        mask = ids.new_ones(ids.shape) if mask is None else mask
        embedded = _join(prompt.weight.to(words.dtype).expand(len(ids), -1, -1), words)
        given = {"input_ids": None, "inputs_embeds": embedded, "attention_mask": _widened(mask, embedded.shape[1])}
        return args, inputs | given

    def widen(_: Any, args: tuple[Any, ...], inputs: dict[str, Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
        mask, ids, encoded = (inputs.get(name) for name in ("attention_mask", "input_ids", "encoder_outputs"))
        length = 0
        if encoded is not None:
            length = encoded[0].shape[1]
        elif ids is not None:
            length = ids.shape[1] + len(prompt.weight)
        return args, inputs if mask is None else inputs | {"attention_mask": _widened(mask, length)}

    model.get_encoder().register_forward_pre_hook(embed, with_kwargs=True)
    model.register_forward_pre_hook(widen, with_kwargs=True)
    model.register_forward_hook(lambda _, __, output: _without_prompt(output, len(prompt.weight)))


def _join(first: "Tensor", second: "Tensor") -> "Tensor":
    import torch

    return torch.cat([first, second], 1)


def _widened(mask: "Tensor", length: int) -> "Tensor":
    """A mask of words as one of a prompt and words; it may be that already."""
    return _join(mask.new_ones(len(mask), length - mask.shape[1]), mask) if mask.shape[1] < length else mask


def _without_prompt(output: Any, length: int) -> Any:
    """A model's output with the attention on the words alone."""
    if getattr(output, "cross_attentions", None):
        output.cross_attentions = tuple(layer[..., length:] for layer in output.cross_attentions)
    return output


def _check(model: "PreTrainedModel", place: str) -> None:
    import torch

    kind = model.config.model_type
    if not model.config.is_encoder_decoder:
        raise InputError(f"{place}: a prompt in front of sources needs an encoder-decoder; {kind!r} is none")
    encoder, ids = model.get_encoder(), torch.tensor([CHECKED], device=model.device)
    is_training = model.training
    model.eval()
    try:
        with torch.no_grad():
            words = model.get_input_embeddings()(ids)
            read, embedded = encoder(input_ids=ids)[0], encoder(inputs_embeds=words)[0]
        fits = read.shape == embedded.shape and bool(torch.allclose(read, embedded, rtol=1e-3, atol=1e-4))
    except (TypeError, ValueError, AttributeError):
        fits = False
    model.train(is_training)
    if not fits or kind in ("led", "encoder-decoder"):
        raise InputError(f"{place}: PEFT cannot put a prompt in front of the sources of {kind!r}; --lora-r trains it")


def sampled_prompt(model: "PreTrainedModel", length: int) -> "Tensor":
    """The embeddings of random tokens, with which a prompt starts (section 3.1)."""
    import torch

    embeddings: Any = model.get_input_embeddings()
    if embeddings is None or not model.config.is_encoder_decoder:
        raise InputError(f"{OPTION}: a prompt in front of sources needs an encoder-decoder")
    count = len(embeddings.weight)
    tokens = torch.randint(count, (length,)).to(embeddings.weight.device)
    with torch.no_grad():
        found: Tensor = embeddings(tokens).clone()
    return found


def save_prompt(folder: Path, model: Any, state: "dict[str, Tensor]") -> None:
    """Writes a prompt as PEFT's adapter, with the model's settings of generation.

    Args:
        folder: to write to.
        model: that has it.
        state: the model's weights.
    """
    from peft import PromptTuningConfig
    from safetensors.torch import save_file

    vectors = state[STATE].detach().cpu().float().contiguous()
    config = PromptTuningConfig(
        task_type="SEQ_2_SEQ_LM",
        num_virtual_tokens=len(vectors),
        token_dim=vectors.shape[1],
        num_transformer_submodules=1,
        num_attention_heads=model.config.num_attention_heads,
        num_layers=model.config.num_hidden_layers,
        base_model_name_or_path=model.name_or_path,
        inference_mode=True,
    )
    folder.mkdir(parents=True, exist_ok=True)
    config.save_pretrained(str(folder))
    save_file({SAVED: vectors}, folder / "adapter_model.safetensors", {"format": "pt"})
    model.generation_config.save_pretrained(folder)


def load_prompt(model: "PreTrainedModel", folder: str, settings: dict[str, Any]) -> None:
    """Adds the prompt of an adapter's folder to its base.

    Raises:
        InputError: it has none, or the base cannot have one.
    """
    from safetensors.torch import load_file

    path = Path(folder) / "adapter_model.safetensors"
    found = load_file(path) if path.is_file() else {}
    if SAVED not in found:
        raise InputError(f"{path}: contains no {SAVED}")
    # PEFT's own default makes as many for the decoder, and reads none of them.
    if len(found[SAVED]) < settings["num_virtual_tokens"]:
        count = settings["num_virtual_tokens"]
        raise InputError(f"{path}: has {len(found[SAVED])} vectors, but adapter_config.json names {count}")
    add_prompt(model, found[SAVED][: settings["num_virtual_tokens"]], folder)
