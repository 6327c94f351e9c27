"""The families that a folder's configuration can name."""

from hf_seq2seq.architectures import MODEL_TYPES, configuration_rnn, configuration_transformer


def test_every_family_is_named() -> None:
    classes = [*vars(configuration_rnn).values(), *vars(configuration_transformer).values()]
    found = {item.model_type for item in classes if isinstance(item, type) and getattr(item, "model_type", "")}
    assert found == set(MODEL_TYPES)
