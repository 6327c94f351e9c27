"""The "how to use" of a model card: a program that runs unmodified with the current transformers."""

from pathlib import Path

from hf_seq2seq.configs import Decoding
from hf_seq2seq.data.evaluation_sets import sets_of
from hf_seq2seq.data.messages import is_dialogue
from hf_seq2seq.hub.published_card import ADAPTED, CONFIG_LINE
from hf_seq2seq.saved.adapters import is_adapted
from hf_seq2seq.saved.pooling import NAMES, recorded_pooling
from hf_seq2seq.sections import flatten
from hf_seq2seq.task import Task

LONGEST_SAMPLE = 300  # characters


def how_to_use(folder: Path, task: Task) -> str:
    """A Python program that loads the model from its folder and runs it on a text from its data."""
    program = _filler if task.problem == "masked_lm" else _writer if task.writes else _classifier
    lines = program(task)
    return "\n".join(lines).replace("MODEL_PATH", repr(str(folder))) + "\n"


def with_peft(task: Task) -> list[str]:
    """A sentence on how PEFT's own class loads an adapter with a head; empty for other models."""
    if not is_adapted(task.model) or task.problem not in _ANSWERS or recorded_pooling(task.model.config):
        return []
    labels = f"num_labels={task.model.config.num_labels}, ignore_mismatched_sizes=True"
    return [f"PEFT loads it, too: `AutoPeftModelForSequenceClassification.from_pretrained(model_path, {labels})`."]


def is_hand_built(task: Task) -> bool:
    """Whether the model is one of this package's own architectures, which transformers alone cannot load."""
    return type(task.model).__module__.startswith("hf_seq2seq.")


def takes_pairs(task: Task) -> bool:
    """Whether a row is two texts."""
    return "text_pair" in task.columns


def _load(auto: str, task: Task) -> list[str]:
    allowed = ", trust_remote_code=True" if is_hand_built(task) else ""
    adapted = is_adapted(task.model)  # because the base may lack labels and languages
    told = ADAPTED[task.problem in _ANSWERS] if adapted else ""
    return [
        f"from transformers import {auto}{', AutoConfig' if adapted else ''}, AutoTokenizer",
        "",
        "model_path = MODEL_PATH",
        f"tokenizer = AutoTokenizer.from_pretrained(model_path{allowed})",
        *_load_target_tokenizer(task, allowed),
        *([CONFIG_LINE] if adapted else []),
        f"model = {auto}.from_pretrained(model_path{told}{allowed})",
        "",
    ]


def _load_target_tokenizer(task: Task, allowed: str) -> list[str]:
    if task.tokenizers.target is task.tokenizers.source:
        return []
    return [f'target_tokenizer = AutoTokenizer.from_pretrained(model_path, subfolder="target_tokenizer"{allowed})']


def _writer(task: Task) -> list[str]:
    options = flatten(task.config)
    prefix = options.get("source_prefix") or ""
    texts = f"[{prefix!r} + text for text in texts]" if prefix else "texts"
    decoder = "tokenizer" if task.tokenizers.target is task.tokenizers.source else "target_tokenizer"
    is_alone = not task.model.config.is_encoder_decoder
    search = "".join(f", {name}={value!r}" for name, value in _search(task).items())
    return [
        *_load("AutoModelForCausalLM" if is_alone else "AutoModelForSeq2SeqLM", task),
        f"texts = [{_sample(task)!r}]",
        *(_ASK if is_dialogue(options) else [_encode(texts, options["max_source_length"])]),
        f"search = dict(max_new_tokens={options['max_target_length']}{search})",
        "outputs = model.generate(inputs.input_ids, attention_mask=inputs.attention_mask, **search)",
        *(["outputs = outputs[:, inputs.input_ids.shape[1] :]  # the tokens after the source"] if is_alone else []),
        f"print({decoder}.batch_decode(outputs, skip_special_tokens=True))",
    ]


_ASK = [
    'conversations = [[{"role": "user", "content": text}] for text in texts]  # may include previous turns',
    "inputs = tokenizer.apply_chat_template(",
    '    conversations, add_generation_prompt=True, return_tensors="pt", return_dict=True, padding=True',
    ")",
]


def _search(task: Task) -> dict[str, object]:
    """The run's search options that differ from the defaults of `generate`."""
    options = flatten(task.config)
    usual = Decoding()
    names = ["num_beams", "no_repeat_ngram_size"] + ["length_penalty"] * (options.get("num_beams", 1) > 1)
    return {name: options[name] for name in names if options.get(name, getattr(usual, name)) != getattr(usual, name)}


def _classifier(task: Task) -> list[str]:
    texts = "texts, other_texts" if takes_pairs(task) else "texts"
    other = ['other_texts = ["The second text of the pair."]'] if takes_pairs(task) else []
    return [
        "import torch",
        *_load("AutoModelForSequenceClassification", task),
        f"texts = [{_sample(task)!r}]",
        *other,
        _encode(texts, flatten(task.config)["max_source_length"]),
        *_pool(task),
        "with torch.inference_mode():",
        "    logits = model(**inputs).logits",
        *_ANSWERS[task.problem],
    ]


_POOLED = {
    "mean": ["    pooled = (hidden * mask[..., None]).sum(1) / mask.sum(1, keepdim=True)"],
    "cls": ["    pooled = hidden[range(len(mask)), mask.argmax(1)]"],
    "last": [
        "    last = (mask * torch.arange(1, mask.shape[1] + 1)).argmax(1)",
        "    pooled = hidden[range(len(mask)), last]",
    ],
}


def _pool(task: Task) -> list[str]:
    """Code that inserts a pooling unknown to transformers between the base model and the head."""
    found = recorded_pooling(task.model.config)
    if found is None:
        return []
    albert = task.model.config.model_type == "albert"
    pooler = "base.pooler_activation(base.pooler(pooled))" if albert else "base.pooler(outputs.last_hidden_state)"
    return [
        "",
        "",
        "def pool(base, args, outputs):",
        f'    """Lets the head see {NAMES[found]}, as in training; transformers alone does not do this."""',
        "    hidden, mask = outputs.last_hidden_state, inputs.attention_mask",
        *_POOLED[found],
        "    outputs.last_hidden_state = pooled[:, None].expand_as(hidden)",
        '    if outputs.get("pooler_output") is not None:',
        f"        outputs.pooler_output = {pooler}",
        "    return outputs",
        "",
        "",
        "model.base_model.register_forward_hook(pool)",
    ]


def _filler(task: Task) -> list[str]:
    return [
        "import torch",
        *_load("AutoModelForMaskedLM", task),
        f"texts = [{_masked_sample(task)!r}]",
        _encode("texts", flatten(task.config)["max_source_length"]),
        "with torch.inference_mode():",
        "    logits = model(**inputs).logits",
        "masked = inputs.input_ids == tokenizer.mask_token_id",
        "print(tokenizer.convert_ids_to_tokens(logits[masked].argmax(dim=-1)))",
    ]


def _masked_sample(task: Task) -> str:
    """The beginning of a text, short enough for any limit, with its second word masked."""
    words = _sample(task).split()[:8]
    return " ".join([*words[:1], str(task.tokenizers.source.mask_token), *words[2:]])


_ANSWERS = {
    "single_label": ["print([model.config.id2label[i] for i in logits.argmax(dim=-1).tolist()])"],
    "multi_label": [
        "for row in (logits > 0).tolist():",
        "    print([model.config.id2label[i] for i, is_true in enumerate(row) if is_true])",
    ],
    "regression": ["print(logits[:, 0].tolist())"],
}


def _encode(texts: str, longest: int) -> str:
    return f'inputs = tokenizer({texts}, return_tensors="pt", padding=True, truncation=True, max_length={longest})'


def _sample(task: Task) -> str:
    """A short text from the data, preferably unseen in training."""
    split = next(split for kind in ("test", "validation", "train") for split in sets_of(task.splits, kind))
    texts = task.splits[split].texts
    if task.problem == "causal_lm":
        return " ".join(texts[0].split(" ")[:4])[:LONGEST_SAMPLE]
    return next((text for text in texts if len(text) <= LONGEST_SAMPLE), texts[0][:LONGEST_SAMPLE])
