"""Builds the attention that a configuration selects."""

from .attention import (
    AdditiveAttention,
    Attention,
    DotAttention,
    GeneralAttention,
    GlobalAlignment,
    ScaledDotAttention,
)
from .configuration_rnn import RnnSeq2SeqConfig
from .coverage_attention import CoverageAttention
from .hierarchical_attention import HierarchicalAlignment
from .local_attention import LocalMonotonicAlignment, LocalPredictiveAlignment
from .location_attention import HistoryAttention, LocationFeatures
from .monotonic_attention import MonotonicAttention
from .rnn_multi_head import MultiHeadAttention


def build_attention(config: RnnSeq2SeqConfig) -> Attention:
    """The attention selected by `config.attention`, `config.coverage` and `config.local_attention`."""
    if config.coverage and config.attention not in ("additive", "location"):
        return CoverageAttention(_build_score(config))
    return _build_score(config)


def _build_score(config: RnnSeq2SeqConfig) -> Attention:
    """The attention without coverage, but where the score itself has a place for it."""
    alignment, sizes = build_alignment(config), (config.hidden_size, config.encoder_output_size)
    if config.attention == "dot":
        return DotAttention(alignment)
    if config.attention == "scaled_dot":
        return ScaledDotAttention(alignment)
    if config.attention == "general":
        return GeneralAttention(*sizes, alignment)
    if config.attention == "multi_head":
        assert config.num_attention_heads is not None
        return MultiHeadAttention(*sizes, config.num_attention_heads, alignment)
    if config.attention == "monotonic":
        return MonotonicAttention(*sizes, config.monotonic_offset, config.monotonic_noise)
    if config.attention == "location":
        location = LocationFeatures(config.location_filters, config.location_kernel)
        return HistoryAttention(*sizes, location, config.coverage, alignment)
    if config.coverage:
        return HistoryAttention(*sizes, coverage=True, alignment=alignment)
    return AdditiveAttention(*sizes, alignment)


def build_alignment(config: RnnSeq2SeqConfig) -> GlobalAlignment:
    """What turns scores into weights, by `config.hierarchical_attention` and `config.local_attention`."""
    if config.hierarchical_attention:
        return HierarchicalAlignment(config.hidden_size, config.encoder_output_size, config.has_documents)
    if config.local_attention == "none":
        return GlobalAlignment()
    assert config.attention_window is not None
    if config.local_attention == "monotonic":
        return LocalMonotonicAlignment(config.attention_window)
    return LocalPredictiveAlignment(config.attention_window, config.hidden_size)
