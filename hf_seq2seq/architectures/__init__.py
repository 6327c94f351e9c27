"""The hand-built models, as Hugging Face model families."""

MODEL_TYPES = ("rnn-seq2seq", "transformer-seq2seq", "transformer-encoder", "transformer-decoder")
"""The families, by the name in a model's `config.json`."""


def register() -> None:
    """Registers the families with transformers' Auto classes; idempotent.

    torch and transformers are imported only here.
    """
    import transformers as auto

    from . import configuration_rnn, configuration_transformer, modeling_rnn, modeling_transformer
    from . import modeling_transformer_decoder as decoder
    from . import modeling_transformer_encoder as encoder

    rnn, seq2seq = configuration_rnn.RnnSeq2SeqConfig, configuration_transformer.TransformerSeq2SeqConfig
    encoder_only = configuration_transformer.TransformerEncoderConfig
    decoder_only = configuration_transformer.TransformerDecoderConfig
    for config in (rnn, seq2seq, encoder_only, decoder_only):
        auto.AutoConfig.register(config.model_type, config, exist_ok=True)
    auto.AutoModel.register(rnn, modeling_rnn.RnnModel, exist_ok=True)
    auto.AutoModelForSeq2SeqLM.register(rnn, modeling_rnn.RnnForConditionalGeneration, exist_ok=True)
    auto.AutoModel.register(seq2seq, modeling_transformer.TransformerModel, exist_ok=True)
    auto.AutoModelForSeq2SeqLM.register(
        seq2seq, modeling_transformer.TransformerForConditionalGeneration, exist_ok=True
    )
    auto.AutoModel.register(encoder_only, encoder.TransformerEncoderModel, exist_ok=True)
    auto.AutoModelForMaskedLM.register(encoder_only, encoder.TransformerForMaskedLM, exist_ok=True)
    auto.AutoModelForSequenceClassification.register(
        encoder_only, encoder.TransformerForSequenceClassification, exist_ok=True
    )
    auto.AutoModel.register(decoder_only, decoder.TransformerDecoderModel, exist_ok=True)
    auto.AutoModelForCausalLM.register(decoder_only, decoder.TransformerForCausalLM, exist_ok=True)
