"""The tokenizers of a run: trained on its text or pretrained, saved and loaded."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from huggingface_hub import HfApi
from tokenizers import AddedToken, Tokenizer
from transformers import AutoTokenizer, PreTrainedTokenizerBase, PreTrainedTokenizerFast
from transformers.utils import cached_file

from hf_seq2seq import configs
from hf_seq2seq.data.tokenizers.cache import trained_once
from hf_seq2seq.data.tokenizers.special_tokens import SEQ2SEQ, SpecialTokens
from hf_seq2seq.data.tokenizers.spelled import read_as_text
from hf_seq2seq.data.tokenizers.training import Plan
from hf_seq2seq.errors import InputError
from hf_seq2seq.sections import flag

TARGET_FOLDER = "target_tokenizer"
"""Subfolder of a separate target tokenizer in the folder of the source tokenizer."""

SECONDS_TO_ANSWER = 10
NEEDS_SENTENCEPIECE = "its tokenizer needs one more package: pip install 'hf-seq2seq[sentencepiece]'"


@dataclass(frozen=True)
class Tokenizers:
    """The tokenizers of source and target; the same object twice if the vocabulary is shared."""

    source: PreTrainedTokenizerBase
    target: PreTrainedTokenizerBase
    inputs: Mapping[str, Any] = field(default_factory=dict)
    """Fields of a new model's configuration about sources that are more than tokens."""

    @property
    def shared(self) -> bool:
        """Whether source and target share a vocabulary."""
        return self.source is self.target

    def model_settings(self) -> dict[str, Any]:
        """The fields of a new model's configuration about the vocabularies."""
        ids = {f"{role}_token_id": getattr(self.target, f"{role}_token_id") for role in ("pad", "eos", "bos", "unk")}
        sizes: dict[str, Any] = {"vocab_size": len(self.target), "source_vocab_size": len(self.source)}
        sizes |= {"share_embeddings": self.shared, "decoder_start_token_id": ids["bos_token_id"]}
        return {**self.inputs, **sizes, **ids}

    def source_to_target_ids(self) -> list[int]:
        """The target id of every source id: that of the same token, or the unknown token's."""
        target, unknown = self.target.get_vocab(), self.target.unk_token_id
        return [target.get(token, unknown) for token, _ in sorted(self.source.get_vocab().items(), key=lambda t: t[1])]

    def separator_ids(self, options: dict[str, Any]) -> dict[str, Any]:
        """Options converted to a model's configuration: `x_separator`, a source token, as `x_separator_token_id`.

        Raises:
            InputError: the source vocabulary has no such token.
        """
        special = self.source.all_special_tokens  # which does not occur in text
        known, found = {k: v for k, v in self.source.get_vocab().items() if k not in special}, dict(options)
        for name in [name for name in options if name.endswith("_separator")]:
            token = found.pop(name)
            if token is not None and token not in known:
                raise InputError(
                    f"{flag(name)}: the source vocabulary has no token {token!r}; "
                    "a word or char tokenizer keeps each one separate"
                )
            found[f"{name}_token_id"] = known.get(token)
        return found

    def save(self, folder: str | Path) -> None:
        """Saves the source tokenizer in `folder`, and a separate target tokenizer in its `target_tokenizer`."""
        _save(self.source, Path(folder))
        if not self.shared:
            _save(self.target, Path(folder) / TARGET_FOLDER)

    @classmethod
    def load(cls, name: str | Path, trust_remote_code: bool = False) -> "Tokenizers":
        """Loads what `save` wrote from a folder or Hub repository, or the single tokenizer of any other model.

        Raises:
            InputError: there is no tokenizer.
        """
        # Both set explicitly, because by default the terminal, or an unresponsive Hub, would be asked.
        where = {"trust_remote_code": trust_remote_code, "local_files_only": not _on_hub(name)}
        source = _load(name, "", where)
        separate = optional_file(name, f"{TARGET_FOLDER}/tokenizer.json", where["local_files_only"])
        return cls(source, _load(name, TARGET_FOLDER, where) if separate else source)


def has_two_vocabularies(options: Mapping[str, Any]) -> bool:
    """Whether sources and targets have tokenizers of their own, by the options of new tokenizers."""
    kind, size = options.get("tokenizer_type"), options.get("vocab_size")
    target = options.get("target_tokenizer_type") or kind, options.get("target_vocab_size") or size
    return bool(options.get("separate_vocabularies")) or target != (kind, size)


def train_tokenizers(
    sources: Sequence[str],
    targets: Sequence[str],
    options: configs.OneTokenizer,
    *,
    specials: SpecialTokens = SEQ2SEQ,
) -> Tokenizers:
    """Trains the tokenizers of a model trained from scratch, or loads the pretrained one named in `options`.

    Source and target share a vocabulary unless a separate one is requested by name, kind or size. Repeated training on
    the same text with the same options uses the cache in `$HF_HOME/hf_seq2seq/tokenizers`.

    Args:
        sources: source texts of the training rows.
        targets: their target texts; empty for a classifier.
        options: kind, sizes and limits; a `NewTokenizer` if there are targets.
        specials: special tokens and templates.

    Raises:
        InputError: there is no text, the vocabulary is too small, or a pretrained tokenizer is missing or lacks a
            special token.
    """
    if isinstance(options, configs.NewTokenizer) and options.added_tokens:
        added = options.added_tokens
        without = replace(options, added_tokens=())
        sides = [[without_tokens(text, added) for text in side] for side in (sources, targets)]
        return with_tokens(train_tokenizers(sides[0], sides[1], without, specials=specials), added)
    if options.tokenizer_name is not None:
        ready = _ready(options.tokenizer_name, options, specials)
        for tokenizer, texts in ((ready.source, sources), (ready.target, targets)):
            read_as_text(tokenizer, texts)
        return ready
    plan = Plan(options.tokenizer_type, options.vocab_size, options.min_frequency, options.lowercase, specials)
    if not targets:
        one = _wrap(trained_once(sources, "source", plan), specials, options.max_source_length)
        return Tokenizers(one, one)
    assert isinstance(options, configs.NewTokenizer)
    target_kind = options.target_tokenizer_type or options.tokenizer_type
    target_size = options.target_vocab_size or options.vocab_size
    if not has_two_vocabularies(asdict(options)):
        if options.source_normalization is not None:
            raise InputError(
                "--source-normalization: source and target share a vocabulary, and outputs are not composed again; "
                "add --separate-vocabularies"
            )
        longest = max(options.max_source_length, options.max_target_length)
        both = _wrap(trained_once([*sources, *targets], "source and target", plan), specials, longest)
        return Tokenizers(both, both)
    size_option = "target_vocab_size" if options.target_vocab_size else "vocab_size"
    target_plan = Plan(target_kind, target_size, options.min_frequency, options.lowercase, specials, size_option)
    plan = replace(plan, normal_form=options.source_normalization)
    return Tokenizers(
        _wrap(trained_once(sources, "source", plan), specials, options.max_source_length),
        _wrap(trained_once(targets, "target", target_plan), specials, options.max_target_length),
    )


def with_tokens(tokenizers: Tokenizers, added: Sequence[str]) -> Tokenizers:
    """Makes marks in a text one token each, together with the spaces behind them; those that are known stay.

    Raises:
        InputError: a mark is empty or contains white space.
    """
    for token in added:
        if not token or token.split() != [token]:
            raise InputError(f"--added-tokens: {token!r} is empty or contains white space")
    marks = [AddedToken(token, rstrip=True, normalized=False, special=False) for token in added]
    for tokenizer in {id(each): each for each in (tokenizers.source, tokenizers.target)}.values():
        tokenizer.add_tokens(marks)
    return tokenizers


def without_tokens(text: str, added: Sequence[str]) -> str:
    """A text without marks, from which the rest of the vocabulary is learned."""
    for token in added:
        text = text.replace(token, "")
    return text.lstrip()


def _on_hub(name: str | Path) -> bool:
    if Path(name).is_dir():
        return False
    try:
        HfApi().model_info(str(name), timeout=SECONDS_TO_ANSWER)
    except Exception:  # no network, offline mode, no such name: each HTTP library has its own errors
        return False
    return True


def _load(name: str | Path, subfolder: str, where: dict[str, bool]) -> PreTrainedTokenizerBase:
    try:
        tokenizer = AutoTokenizer.from_pretrained(str(name), subfolder=subfolder, **where)
    except Exception as error:  # transformers raises any of a dozen exception types here
        raise InputError(_no_tokenizer(name, subfolder, error)) from error
    check_longest(tokenizer, name)
    # For a model folder without tokenizer files, transformers creates an empty tokenizer.
    file = Path(subfolder, "tokenizer.json").as_posix()
    if len(tokenizer) - len(tokenizer.all_special_ids) < 2 and not optional_file(name, file, where["local_files_only"]):
        raise InputError(f"{name}: the folder has a model's configuration but no tokenizer files")
    return tokenizer


def check_longest(tokenizer: PreTrainedTokenizerBase, name: str | Path) -> None:
    """Rejects a tokenizer whose longest text, which its file may state, is no number of tokens.

    Raises:
        InputError: it is not.
    """
    most: Any = tokenizer.model_max_length
    if isinstance(most, bool) or not isinstance(most, int | float) or not most > 0:
        raise InputError(f"{name}: its tokenizer_config.json has a model_max_length of {most!r}, not a number above 0")


def _no_tokenizer(name: str | Path, subfolder: str, error: Exception) -> str:
    place = Path(name) / subfolder
    if lacks_sentencepiece(error):
        return f"{name}: {NEEDS_SENTENCEPIECE}"
    if place.is_dir():
        reason = str(error).strip().splitlines()[0] if place.joinpath("tokenizer.json").exists() else ""
        return f"{place}: no loadable tokenizer in this folder" + (f" ({reason})" if reason else "")
    return f"{name}: no such folder, and no tokenizer of this name on the Hub (or the Hub cannot be reached)"


def lacks_sentencepiece(error: Exception) -> bool:
    """Whether a tokenizer could not be loaded because it exists only in SentencePiece's format."""
    return isinstance(error, ImportError) and "sentencepiece" in str(error).lower()


def optional_file(name: str | Path, file: str, local_files_only: bool) -> str | None:
    """The path of a file that a folder or a Hub repository may have; None if it has none, or cannot be reached."""
    found: str | None = cached_file(
        str(name),
        file,
        local_files_only=local_files_only,
        _raise_exceptions_for_gated_repo=False,
        _raise_exceptions_for_missing_entries=False,
        _raise_exceptions_for_connection_errors=False,
    )
    return found


def _ready(name: str, options: configs.OneTokenizer, specials: SpecialTokens) -> Tokenizers:
    for option in ("target_tokenizer_type", "target_vocab_size", "separate_vocabularies", "source_normalization"):
        if getattr(options, option, None):
            raise InputError(f"--tokenizer-name: names a pretrained tokenizer, so {flag(option)} has no effect")
    try:
        ready = Tokenizers.load(name)
    except InputError as error:
        raise InputError(f"--tokenizer-name: {error}") from error
    needed = [role for role in ("pad_token", "eos_token") if role in specials.roles]
    for tokenizer in (ready.source, ready.target):
        for role in needed:
            if getattr(tokenizer, role) is None:
                raise InputError(f"--tokenizer-name: {name} has no {role}, which this model needs")
    return ready


def _wrap(tokenizer: Tokenizer, specials: SpecialTokens, longest: int) -> PreTrainedTokenizerBase:
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        model_max_length=longest,
        model_input_names=list(specials.inputs),
        clean_up_tokenization_spaces=False,
        # "</s>" spelled in a text is text: only the encoder's template and the model end a sequence.
        split_special_tokens=True,
        extra_special_tokens=list(specials.more),
        **specials.roles,
    )


def _save(tokenizer: PreTrainedTokenizerBase, folder: Path) -> None:
    rust = getattr(tokenizer, "backend_tokenizer", None)
    if rust is not None:
        # A call with truncation or padding changes the settings, which would then be saved.
        rust.no_truncation()
        rust.no_padding()
    tokenizer.save_pretrained(folder)
    path = folder / "tokenizer_config.json"
    config = json.loads(path.read_text(encoding="utf-8"))
    if config.get("tokenizer_class") == "TokenizersBackend":
        # The same class under a name that transformers 4 also has.
        config["tokenizer_class"] = "PreTrainedTokenizerFast"
    for trace in ("is_local", "local_files_only"):
        config.pop(trace, None)
    path.write_text(json.dumps(config, indent=2, sort_keys=True, ensure_ascii=False) + "\n", encoding="utf-8")
