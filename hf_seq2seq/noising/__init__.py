"""Pretraining noises by recipe and name: classes whose fields are options; see `noise.Noise`.

Each turns a whole split into training pairs at once, with numpy only. `masked_tokens.MaskedTokens` is for encoder-only
models; `next_sentence.NextSentence` builds BERT's sentence pairs and is not a noise.
"""

from hf_seq2seq.noising.document_rotation import DocumentRotation
from hf_seq2seq.noising.gap_sentences import GapSentences
from hf_seq2seq.noising.iid_denoising import DroppedTokens, ReplacedSpans
from hf_seq2seq.noising.noise import Noise
from hf_seq2seq.noising.prefix_language_model import PrefixLanguageModel
from hf_seq2seq.noising.sentence_permutation import Deshuffling, SentencePermutation
from hf_seq2seq.noising.span_corruption import SpanCorruption
from hf_seq2seq.noising.text_infilling import TextInfilling
from hf_seq2seq.noising.token_deletion import TokenDeletion
from hf_seq2seq.noising.token_masking import TokenMasking

NOISES: dict[str, dict[str, type[Noise]]] = {
    "t5": {
        "span_corruption": SpanCorruption,
        "prefix_language_model": PrefixLanguageModel,
        "replaced_spans": ReplacedSpans,
        "dropped_tokens": DroppedTokens,
        "deshuffling": Deshuffling,
    },
    "bart": {
        "text_infilling": TextInfilling,
        "token_masking": TokenMasking,
        "token_deletion": TokenDeletion,
        "sentence_permutation": SentencePermutation,
        "document_rotation": DocumentRotation,
    },
    "pegasus": {"gap_sentences": GapSentences},
}
