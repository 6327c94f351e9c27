"""The hand-built models, as Hugging Face model families."""


def register() -> None:
    """Makes `AutoConfig`, `AutoModel` and `AutoModelForSeq2SeqLM` know the families; safe to call again.

    torch and transformers are imported only now.
    """
    from transformers import AutoConfig, AutoModel, AutoModelForSeq2SeqLM

    from .configuration_rnn import RnnSeq2SeqConfig
    from .configuration_transformer import TransformerSeq2SeqConfig
    from .modeling_rnn import RnnForConditionalGeneration, RnnModel
    from .modeling_transformer import TransformerForConditionalGeneration, TransformerModel

    AutoConfig.register(RnnSeq2SeqConfig.model_type, RnnSeq2SeqConfig, exist_ok=True)
    AutoModel.register(RnnSeq2SeqConfig, RnnModel, exist_ok=True)
    AutoModelForSeq2SeqLM.register(RnnSeq2SeqConfig, RnnForConditionalGeneration, exist_ok=True)
    AutoConfig.register(TransformerSeq2SeqConfig.model_type, TransformerSeq2SeqConfig, exist_ok=True)
    AutoModel.register(TransformerSeq2SeqConfig, TransformerModel, exist_ok=True)
    AutoModelForSeq2SeqLM.register(TransformerSeq2SeqConfig, TransformerForConditionalGeneration, exist_ok=True)
