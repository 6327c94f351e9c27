"""How word vectors are learned; importing this loads no torch."""

from dataclasses import dataclass

from hf_seq2seq.sections import LARGEST_SEED, Section, option


@dataclass(frozen=True, kw_only=True)
class Options(Section):
    """Vectors: how they are learned."""

    architecture: str = option("skip_gram", "What predicts what.", choices=("skip_gram", "cbow"))
    output: str = option(
        "negative_sampling", "How a word is predicted.", choices=("negative_sampling", "hierarchical_softmax")
    )
    vector_size: int = option(100, "Width of the vectors.", at_least=1)
    window: int = option(5, "Neighbours to each side; how many of them is drawn at each word.", at_least=1)
    negatives: int = option(5, "Words that are drawn for each true one.", at_least=1)
    min_count: int = option(5, "Leave out words that are rarer.", at_least=1)
    subsample: float = option(1e-3, "Pass over words more frequent than this share, often; 0 keeps all.", at_least=0)
    num_train_epochs: int = option(5, "Passes over the text.", at_least=1)
    learning_rate: float = option(5e-3, "Peak learning rate, of Adam.", above=0)
    seed: int = option(42, "Seed of the start, the windows and the negatives.", at_least=0, at_most=LARGEST_SEED)
