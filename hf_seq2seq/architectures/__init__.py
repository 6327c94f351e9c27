"""The hand-built models, as Hugging Face model families."""


def register() -> None:
    """Makes `AutoConfig`, `AutoModel` and `AutoModelForSeq2SeqLM` know the families; safe to call again.

    torch and transformers are imported only now.
    """
    from transformers import AutoConfig, AutoModel, AutoModelForSeq2SeqLM

    from .configuration_rnn import RnnSeq2SeqConfig
    from .modeling_rnn import RnnForConditionalGeneration, RnnModel

    AutoConfig.register(RnnSeq2SeqConfig.model_type, RnnSeq2SeqConfig, exist_ok=True)
    AutoModel.register(RnnSeq2SeqConfig, RnnModel, exist_ok=True)
    AutoModelForSeq2SeqLM.register(RnnSeq2SeqConfig, RnnForConditionalGeneration, exist_ok=True)
