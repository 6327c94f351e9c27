"""Pretraining noises by name: a closed set of classes whose fields are their options; see `noise.Noise`.

Each makes training pairs of a whole split at once, in numpy alone. `packing.pack` cuts text into blocks for causal
language models, `next_sentence.NextSentence` builds BERT's pairs of sentences; neither is a noise.
"""

from hf_seq2seq.noising.document_rotation import DocumentRotation
from hf_seq2seq.noising.gap_sentences import GapSentences
from hf_seq2seq.noising.iid_denoising import DroppedTokens, ReplacedSpans
from hf_seq2seq.noising.masked_tokens import MaskedTokens
from hf_seq2seq.noising.noise import Noise
from hf_seq2seq.noising.prefix_language_model import PrefixLanguageModel
from hf_seq2seq.noising.sentence_permutation import Deshuffling, SentencePermutation
from hf_seq2seq.noising.span_corruption import SpanCorruption
from hf_seq2seq.noising.text_infilling import TextInfilling
from hf_seq2seq.noising.token_deletion import TokenDeletion
from hf_seq2seq.noising.token_masking import TokenMasking

NOISES: dict[str, type[Noise]] = {
    "span_corruption": SpanCorruption,
    "prefix_language_model": PrefixLanguageModel,
    "replaced_spans": ReplacedSpans,
    "dropped_tokens": DroppedTokens,
    "deshuffling": Deshuffling,
    "token_masking": TokenMasking,
    "token_deletion": TokenDeletion,
    "text_infilling": TextInfilling,
    "sentence_permutation": SentencePermutation,
    "document_rotation": DocumentRotation,
    "masked_tokens": MaskedTokens,
    "gap_sentences": GapSentences,
}
