"""What a run has learned from its data besides weights: read from the checkpoint where a run goes on from one."""

import json
from collections.abc import Sequence
from pathlib import Path

from hf_seq2seq.architectures import register
from hf_seq2seq.configs import PairData, Run
from hf_seq2seq.data.tokenizers.special_tokens import SEQ2SEQ, SpecialTokens
from hf_seq2seq.data.tokenizers.vocabulary import Tokenizers, train_tokenizers
from hf_seq2seq.run_configs import HandBuiltRun, PretrainedRun
from hf_seq2seq.saved.model_paths import config_place
from hf_seq2seq.training.resuming import resume_point


def start_tokenizers(
    config: HandBuiltRun | PretrainedRun,
    sources: Sequence[str],
    targets: Sequence[str],
    specials: SpecialTokens = SEQ2SEQ,
) -> Tokenizers:
    """The tokenizers of a model from scratch: trained on the texts, or the checkpoint's where a run goes on.

    Trained again they could number their tokens in another way, for the texts may have been edited since.

    A prefix is a part of every source that the model reads, so that its characters and words are in the vocabulary.

    Raises:
        InputError: as `train_tokenizers` and `resume_point`.
    """
    if kept := kept_tokenizers(config.run):
        return kept
    prefix = config.data.source_prefix if isinstance(config.data, PairData) else ""
    read = [prefix + text for text in sources] if prefix else sources
    return train_tokenizers(read, targets, config.tokens, specials=specials)


def kept_tokenizers(run: Run, trust_remote_code: bool = False) -> Tokenizers | None:
    """The tokenizers of the checkpoint that a run goes on from; None for a run that begins.

    Raises:
        InputError: as `resume_point`.
    """
    checkpoint = resume_point(run)
    register()  # the hand-built models' configurations lie beside their tokenizers
    return None if checkpoint is None else Tokenizers.load(checkpoint, trust_remote_code)


def kept_labels(run: Run) -> tuple[str, ...]:
    """The names of the classes by their ids in the checkpoint that a run goes on from; none for a run that begins.

    Raises:
        InputError: as `resume_point`.
    """
    checkpoint = resume_point(run)
    if checkpoint is None:
        return ()
    path = Path(config_place(str(checkpoint)))
    settings = json.loads((path / "config.json" if path.is_dir() else path).read_text(encoding="utf-8"))
    names = {int(number): str(name) for number, name in settings.get("id2label", {}).items()}
    return tuple(names[number] for number in sorted(names))
