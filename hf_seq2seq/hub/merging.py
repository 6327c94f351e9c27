"""Merging an adapter's folder into the folder of a full model."""

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from hf_seq2seq.hub.published_card import merged_card
from hf_seq2seq.saved.adapters import merge_adapter
from hf_seq2seq.saved.loading import is_classifier, load_config, load_model
from hf_seq2seq.saved.model_paths import ADAPTER_CONFIG, ADAPTER_FILE, BASE_CONFIG


@contextmanager
def merged_copy(folder: Path) -> Iterator[Path]:
    """Context manager with a temporary folder of the same name, in which the adapter is merged into its base model.

    Raises:
        InputError: the adapter's base cannot be loaded.
    """
    config = load_config(str(folder))
    kind = "classifier" if is_classifier(config) else "seq2seq" if config.is_encoder_decoder else "causal"
    model = load_model(kind, str(folder))
    merge_adapter(model)
    with tempfile.TemporaryDirectory() as place:
        copy = Path(place) / folder.resolve().name
        left = shutil.ignore_patterns("checkpoint-*", ADAPTER_CONFIG, BASE_CONFIG, ADAPTER_FILE)
        shutil.copytree(folder, copy, ignore=left)
        model.save_pretrained(copy, max_shard_size="1000GB")
        card = copy / "README.md"
        card.write_text(merged_card(card.read_text(encoding="utf-8")), encoding="utf-8")
        yield copy
