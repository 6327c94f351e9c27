"""Fields of a configuration about sources that are more than tokens, and their checks."""

from transformers import PreTrainedConfig

JOININGS = ("add", "concatenate")


def check_source_inputs(config: PreTrainedConfig) -> None:
    """Rejects what a model cannot read.

    Raises:
        ValueError: names the field.
    """
    if config.feature_joining not in JOININGS:
        raise ValueError(f"feature_joining={config.feature_joining!r} is not one of {', '.join(JOININGS)}")
    if config.input_width is not None and config.input_width < 1:
        raise ValueError(f"input_width={config.input_width}: a frame has at least one number")
    if config.input_width is not None and config.feature_names:
        raise ValueError("input_width and feature_names: features belong to tokens, and frames are none")


def main_input(config: PreTrainedConfig) -> str:
    """The name of what a model reads in the first place."""
    return "input_ids" if getattr(config, "input_width", None) is None else "input_features"
