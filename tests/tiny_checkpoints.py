"""Encoder-decoders of every family with random weights of the smallest sizes, each with a tokenizer of its own class.

All know the letters a to e. `save("led", folder)` writes one in the form in which its authors publish it.
"""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import transformers as hf

LETTERS = "abcde"
WIDTH = 16
SCALE = 5.0
SIDES = {
    f"{side}_{name}": value
    for side in ("encoder", "decoder")
    for name, value in {"layers": 1, "attention_heads": 2, "ffn_dim": 16}.items()
}
BART = {"d_model": WIDTH, **SIDES, "max_position_embeddings": 64}
T5 = {"d_model": WIDTH, "d_kv": 8, "d_ff": 16, "num_layers": 1, "num_decoder_layers": 1, "num_heads": 2}
GEMMA = {
    **{"hidden_size": WIDTH, "intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2},
    **{"num_key_value_heads": 1, "head_dim": 8, "query_pre_attn_scalar": 8, "max_position_embeddings": 64},
    **{"sliding_window": 8, "layer_types": ["full_attention"]},
}
PROPHETNET = {
    **{"hidden_size": WIDTH, "encoder_ffn_dim": 16, "decoder_ffn_dim": 16, "max_position_embeddings": 64},
    **{"num_encoder_layers": 1, "num_decoder_layers": 1, "ngram": 2, "num_buckets": 8, "relative_max_distance": 16},
    **{"num_encoder_attention_heads": 2, "num_decoder_attention_heads": 2},
}
SIGLIP = {
    **{"model_type": "siglip_vision_model", "hidden_size": 8, "intermediate_size": 8, "num_hidden_layers": 1},
    **{"num_attention_heads": 1, "image_size": 28, "patch_size": 14},
}


def sentence_piece(folder: Path, name: str) -> Path:
    """A SentencePiece model of the letters."""
    import sentencepiece

    texts = iter([LETTERS, *(" ".join(LETTERS[place:] + LETTERS[:place]) for place in range(len(LETTERS)))])
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=texts, model_prefix=str(folder / name), vocab_size=9, model_type="char", minloglevel=2
    )
    return folder / f"{name}.model"


def byte_level(tokenizer: type, **options: Any) -> Any:
    """A byte-level BPE tokenizer without merges."""
    from tokenizers import pre_tokenizers

    pieces = ["<s>", "<pad>", "</s>", "<unk>", *sorted(pre_tokenizers.ByteLevel.alphabet()), "<mask>"]
    return tokenizer(vocab={piece: number for number, piece in enumerate(pieces)}, merges=[], **options)


def unigram(*more: str) -> list[tuple[str, float]]:
    return [(piece, -2.0 if len(piece) == 1 else 0.0) for piece in (*more, "▁", *LETTERS)]


def t5_tokenizer(_: Path) -> Any:
    return hf.T5Tokenizer(vocab=unigram("<pad>", "</s>", "<unk>"), extra_ids=2)


def led_tokenizer(_: Path) -> Any:
    return byte_level(hf.LEDTokenizer)


def blenderbot_tokenizer(_: Path) -> Any:
    from tokenizers.processors import TemplateProcessing

    tokenizer = byte_level(hf.BlenderbotTokenizer)
    tokenizer.backend_tokenizer.post_processor = TemplateProcessing(single="$A </s>", special_tokens=[("</s>", 2)])
    return tokenizer


def gemma_tokenizer(_: Path) -> Any:
    pieces = ["<pad>", "<eos>", "<bos>", "<unk>", "<mask>", *(f"<0x{byte:02X}>" for byte in range(256)), "▁", *LETTERS]
    return hf.GemmaTokenizer(vocab={piece: number for number, piece in enumerate(pieces)})


def marian_tokenizer(folder: Path) -> Any:
    pieces = ["</s>", "<unk>", "▁", *LETTERS, "<pad>"]
    (folder / "vocab.json").write_text(json.dumps({piece: number for number, piece in enumerate(pieces)}))
    source, target = (str(sentence_piece(folder, side)) for side in ("source", "target"))
    return hf.MarianTokenizer(source_spm=source, target_spm=target, vocab=str(folder / "vocab.json"))


def m2m_tokenizer(folder: Path) -> Any:
    from transformers.models.m2m_100.tokenization_m2m_100 import FAIRSEQ_LANGUAGE_CODES

    pieces = ["<s>", "<pad>", "</s>", "<unk>", "▁", *LETTERS]
    (folder / "vocab.json").write_text(json.dumps({piece: number for number, piece in enumerate(pieces)}))
    codes = [f"__{code}__" for code in FAIRSEQ_LANGUAGE_CODES["m2m100"]]
    files = str(folder / "vocab.json"), str(sentence_piece(folder, "letters"))
    return hf.M2M100Tokenizer(*files, additional_special_tokens=codes)


def nllb_tokenizer(_: Path) -> Any:
    pieces = ["<s>", "<pad>", "</s>", "<unk>", "▁", *LETTERS]
    return hf.NllbTokenizer(vocab={piece: number for number, piece in enumerate(pieces)}, merges=[])


def mbart50_tokenizer(_: Path) -> Any:
    from transformers.models.mbart50.tokenization_mbart50 import FAIRSEQ_LANGUAGE_CODES

    codes = [(code, 0.0) for code in FAIRSEQ_LANGUAGE_CODES]
    return hf.MBart50Tokenizer(vocab=[*unigram("<s>", "<pad>", "</s>", "<unk>"), *codes, ("<mask>", 0.0)])


def prophetnet_tokenizer(folder: Path) -> Any:
    pieces = ["[PAD]", "[CLS]", "[SEP]", "[UNK]", "[MASK]", "[X_SEP]", *LETTERS, *(f"##{x}" for x in LETTERS)]
    (folder / "prophetnet.tokenizer").write_text("\n".join(pieces) + "\n")
    return hf.ProphetNetTokenizer(str(folder / "prophetnet.tokenizer"))


def bert_tokenizer(_: Path) -> Any:
    pieces = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *LETTERS, *(f"##{x}" for x in LETTERS)]
    return hf.BertTokenizer(vocab={piece: number for number, piece in enumerate(pieces)})


def gpt2_tokenizer(_: Path) -> Any:
    from tokenizers import pre_tokenizers

    pieces = [*sorted(pre_tokenizers.ByteLevel.alphabet()), "<|endoftext|>"]
    return hf.GPT2Tokenizer(vocab={piece: number for number, piece in enumerate(pieces)}, merges=[])


def byt5_tokenizer(_: Path) -> Any:
    return hf.ByT5Tokenizer(extra_ids=2)


def led_config(**more: Any) -> Any:
    positions = {"max_encoder_position_embeddings": 64, "max_decoder_position_embeddings": 48}
    sizes = {"d_model": WIDTH, **SIDES, **positions, "attention_window": [4]}
    return hf.LEDConfig(**sizes, decoder_start_token_id=2, **more)


def t5gemma(**more: Any) -> Any:
    side = hf.T5GemmaModuleConfig(**GEMMA, **more)
    return hf.T5GemmaConfig(encoder=side, decoder=side, **more)


def t5gemma2(**more: Any) -> Any:
    text = GEMMA | more | {"layer_types": ["full_attention"]}
    size = more["vocab_size"]
    pictures = {"image_token_index": size - 1, "boi_token_index": size - 2, "eoi_token_index": size - 3}
    encoder = {"text_config": text, "vision_config": SIGLIP, "mm_tokens_per_image": 4, **pictures}
    return hf.T5Gemma2Config(encoder=encoder, decoder=text, image_token_index=size - 1, eoi_token_index=size - 3)


def configured(kind: type, **fields: Any) -> Callable[..., Any]:
    return lambda **more: kind(**(fields | more))


MADE: dict[str, tuple[Callable[[Path], Any], Callable[..., Any], str]] = {
    "marian": (
        marian_tokenizer,
        configured(hf.MarianConfig, **BART, scale_embedding=True, static_position_embeddings=True),
        "MarianMTModel",
    ),
    "m2m_100": (
        m2m_tokenizer,
        configured(hf.M2M100Config, **BART, scale_embedding=True, decoder_start_token_id=2),
        "M2M100ForConditionalGeneration",
    ),
    "nllb": (
        nllb_tokenizer,
        configured(hf.M2M100Config, **BART, scale_embedding=True, decoder_start_token_id=2),
        "M2M100ForConditionalGeneration",
    ),
    "nllb_moe": (
        nllb_tokenizer,
        configured(
            hf.NllbMoeConfig,
            **BART,
            num_experts=4,
            encoder_sparse_step=1,
            decoder_sparse_step=1,
            expert_capacity=64,
            decoder_start_token_id=2,
        ),
        "NllbMoeForConditionalGeneration",
    ),
    "mbart50": (
        mbart50_tokenizer,
        configured(hf.MBartConfig, **BART, scale_embedding=True, decoder_start_token_id=2),
        "MBartForConditionalGeneration",
    ),
    "led": (led_tokenizer, led_config, "LEDForConditionalGeneration"),
    "longt5": (
        t5_tokenizer,
        configured(
            hf.LongT5Config,
            **T5,
            encoder_attention_type="transient-global",
            local_radius=4,
            global_block_size=2,
            decoder_start_token_id=0,
        ),
        "LongT5ForConditionalGeneration",
    ),
    "umt5": (
        t5_tokenizer,
        configured(hf.UMT5Config, **T5, decoder_start_token_id=0, tie_word_embeddings=False),
        "UMT5ForConditionalGeneration",
    ),
    "switch_transformers": (
        t5_tokenizer,
        configured(
            hf.SwitchTransformersConfig,
            **(T5 | {"num_layers": 2, "num_decoder_layers": 2}),
            num_experts=2,
            num_sparse_encoder_layers=1,
            num_sparse_decoder_layers=1,
            decoder_start_token_id=0,
        ),
        "SwitchTransformersForConditionalGeneration",
    ),
    "prophetnet": (
        prophetnet_tokenizer,
        configured(hf.ProphetNetConfig, **PROPHETNET, decoder_start_token_id=2, bos_token_id=2, eos_token_id=2),
        "ProphetNetForConditionalGeneration",
    ),
    "blenderbot": (
        blenderbot_tokenizer,
        configured(hf.BlenderbotConfig, **BART, scale_embedding=True, decoder_start_token_id=0),
        "BlenderbotForConditionalGeneration",
    ),
    "t5gemma": (gemma_tokenizer, t5gemma, "T5GemmaForConditionalGeneration"),
    "t5gemma2": (gemma_tokenizer, t5gemma2, "T5Gemma2ForConditionalGeneration"),
    "byt5": (
        byt5_tokenizer,
        configured(hf.T5Config, **T5, decoder_start_token_id=0, tie_word_embeddings=False),
        "T5ForConditionalGeneration",
    ),
    "bert": (
        bert_tokenizer,
        configured(
            hf.BertConfig,
            hidden_size=WIDTH,
            num_hidden_layers=1,
            num_attention_heads=2,
            intermediate_size=16,
            max_position_embeddings=64,
        ),
        "BertForMaskedLM",
    ),
    "gpt2": (
        gpt2_tokenizer,
        configured(hf.GPT2Config, n_embd=WIDTH, n_layer=1, n_head=2, n_positions=64),
        "GPT2LMHeadModel",
    ),
}
"""The tokenizer, the configuration and the class of each checkpoint."""
NEED_SENTENCEPIECE = ("marian", "m2m_100")


def save(name: str, folder: Path) -> str:
    """Writes a checkpoint; returns its folder."""
    tokenizer_of, config_of, model_class = MADE[name]
    scratch = folder.with_name(f"{folder.name}-files")
    scratch.mkdir(parents=True)
    tokenizer = tokenizer_of(scratch)
    ids = {f"{role}_token_id": getattr(tokenizer, f"{role}_token_id") for role in ("pad", "bos", "eos")}
    known = {role: number for role, number in ids.items() if number is not None}
    if name == "marian":
        known |= {"decoder_start_token_id": known["pad_token_id"], "bos_token_id": 0, "forced_eos_token_id": 0}
    if name == "prophetnet":
        known = {}
    config = config_of(vocab_size=1 + max(tokenizer.get_vocab().values()), **known)
    torch.manual_seed(0)
    model = getattr(hf, model_class)(config)
    with torch.no_grad():  # at the usual initialization the source hardly matters
        for part, weight in model.named_parameters():
            if "position" not in part:
                weight.copy_(weight * SCALE if weight.ndim > 1 else weight + 0.1 * torch.randn(weight.shape))
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return str(folder)
