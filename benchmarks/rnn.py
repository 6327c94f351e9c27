"""Training speed of the recurrent encoder-decoder compared with a textbook step loop: one process, one thread.

    python benchmarks/rnn.py     # about 4 minutes

Needs Multi30k, `multi30k/train.de.gz` and so on, in $HF_SEQ2SEQ_DATA or ../shared/data. Both have the same weights and
see the same batches. The plain loop is what a tutorial writes: a packed `nn.LSTM` encodes, and for every target step
an `nn.LSTMCell`, the attention (its keys projected again) and the output layer are called; the logits of all steps,
padding included, go into `cross_entropy`. The other side is the model and the objective that a run trains, once as
they are and once under the setting for float32 products that a run makes. A measurement is the forward and backward
pass of every batch in CPU seconds; contenders take turns. Tokens are those of source and target that are not padding.
"""

import argparse
import statistics
import time
from collections.abc import Callable
from contextlib import nullcontext
from typing import TYPE_CHECKING

import numpy as np
import torch
from machine import describe, table
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence
from training import Config, read
from transformers.modeling_outputs import BaseModelOutput

if TYPE_CHECKING:
    from hf_seq2seq.architectures.modeling_rnn import RnnForConditionalGeneration

CONTENDERS = ("plain", "ours", "run")
TITLES = {"plain": "plain step loop", "ours": "hf-seq2seq", "run": "hf-seq2seq, as in a run"}
WIDTH, EXAMPLES, BATCHES = 256, 64, 6


class StepLoop(nn.Module):
    """An LSTM with Luong's general attention, step by step.

    Args:
        model: whose weights it has.
    """

    def __init__(self, model: "RnnForConditionalGeneration") -> None:
        super().__init__()
        self.model, config = model, model.config
        self.feeding = config.input_feeding
        width = config.encoder_hidden_size
        self.encoder = nn.LSTM(config.embedding_size, width, batch_first=True, bidirectional=True)
        below = config.embedding_size + (config.hidden_size if self.feeding else 0)
        self.cell = nn.LSTMCell(below, config.hidden_size)
        layer, last = model.model.encoder.layers[0], model.model.decoder.style.layers[0]
        with torch.no_grad():
            for name, parameter in self.encoder.named_parameters():
                side = layer.right_to_left if name.endswith("_reverse") else layer.left_to_right
                parameter.copy_(getattr(side, name.removesuffix("_reverse")))
            for name, parameter in self.cell.named_parameters():
                parameter.copy_(getattr(last, f"{name}_l0"))

    def forward(self, batch: dict[str, Tensor]) -> Tensor:
        """Logits, `(batch, target, vocabulary)`."""
        encoder, decoder = self.model.model.encoder, self.model.model.decoder
        ids, mask = batch["input_ids"], batch["attention_mask"]
        embedded = encoder.embedding_dropout(encoder.embed_tokens(ids))
        packed = pack_padded_sequence(embedded, mask.sum(1), batch_first=True, enforce_sorted=False)
        values, _ = pad_packed_sequence(self.encoder(packed)[0], batch_first=True, total_length=ids.shape[1])
        encoded = BaseModelOutput(last_hidden_state=values)
        output, memory = decoder.start(encoded, decoder.context(encoded, mask))[:, 0].unbind(1)
        fed, logits = torch.zeros_like(output), []
        words = decoder.embed_tokens(self.model.prepare_decoder_input_ids_from_labels(batch["labels"]))
        for word in words.unbind(1):
            word = decoder.embedding_dropout(word)
            output, memory = self.cell(torch.cat([word, fed], 1) if self.feeding else word, (output, memory))
            scores = (decoder.style.attention.key_projection(values) @ output[:, :, None]).squeeze(2)
            weights = scores.masked_fill(mask == 0, float("-inf")).softmax(1)
            context = (weights[:, None] @ values).squeeze(1)
            fed = torch.tanh(decoder.style.combine(torch.cat([context, output], 1)))
            logits.append(self.model.lm_head(decoder.output_dropout(fed)))
        return torch.stack(logits, 1)

    def loss(self, batch: dict[str, Tensor]) -> Tensor:
        """Mean over the real target tokens."""
        return F.cross_entropy(self(batch).flatten(0, 1), batch["labels"].flatten(), ignore_index=-100)


def main() -> None:
    """Measures both decoders and prints a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5, help="times that each contender runs")
    options = parser.parse_args()
    torch.set_num_threads(1)
    batches, words = read_batches()
    rows = []
    for feeding in (False, True):
        speeds, difference = compare(batches, words, feeding, options.rounds)
        medians = {name: statistics.median(found) for name, found in speeds.items()}
        for name in CONTENDERS:
            spread = f"{min(speeds[name]):,.0f}–{max(speeds[name]):,.0f}"
            row = ["with" if feeding else "without", TITLES[name], f"{medians[name]:,.0f}", spread]
            rows.append([*row, f"{medians[name] / medians['plain']:.2f}", f"{difference:.0e}"])
    print(describe(), f"{options.rounds} rounds of {BATCHES} batches of {EXAMPLES}, one thread", sep="\n", end="\n\n")
    print(table(["input feeding", "", "tokens / CPU s", "range", "× plain", "logits differ by"], rows))


def read_batches() -> tuple[list[dict[str, Tensor]], int]:
    """Random batches of Multi30k from German to English, and the size of the vocabulary."""
    from hf_seq2seq.data.collation import Seq2SeqCollator
    from hf_seq2seq.data.encoding import encode_pairs
    from hf_seq2seq.data.pairs import Pairs
    from hf_seq2seq.data.tokenizers.vocabulary import train_tokenizers

    sources, targets = read("train", "de"), read("train", "en")
    config = Config()
    tokenizers = train_tokenizers(sources, targets, config.tokens)
    examples = encode_pairs(Pairs(sources, [[t] for t in targets], ("de", "en")), tokenizers, config.tokens)
    rows = np.random.default_rng(0).permutation(len(examples))[: BATCHES * EXAMPLES].reshape(BATCHES, EXAMPLES)
    collate = Seq2SeqCollator(tokenizers.source.pad_token_id)
    return [collate(examples, batch) for batch in rows], len(tokenizers.target)


def compare(
    batches: list[dict[str, Tensor]], words: int, feeding: bool, rounds: int
) -> tuple[dict[str, list[float]], float]:
    """Tokens per CPU second of every round, and the largest difference of logits."""
    from hf_seq2seq.architectures.configuration_rnn import RnnSeq2SeqConfig
    from hf_seq2seq.architectures.modeling_rnn import RnnForConditionalGeneration
    from hf_seq2seq.decoding.float32 import quick_float32
    from hf_seq2seq.objectives.cross_entropy import TokenCrossEntropy

    torch.manual_seed(0)
    settings = RnnSeq2SeqConfig(vocab_size=words, hidden_size=WIDTH, input_feeding=feeding, attention="general")
    model = RnnForConditionalGeneration(settings)
    loop, objective = StepLoop(model), TokenCrossEntropy(model)
    model.eval()
    with torch.no_grad():
        difference = max(float((loop(batch) - model(**batch).logits).abs().max()) for batch in batches)
    model.train()
    losses = {"plain": loop.loss, "ours": objective, "run": objective}
    tokens = sum(int(batch["attention_mask"].sum() + (batch["labels"] != -100).sum()) for batch in batches)
    speeds: dict[str, list[float]] = {name: [] for name in CONTENDERS}
    for number in range(rounds + 1):
        for name in CONTENDERS:
            with quick_float32(50) if name == "run" else nullcontext():
                seconds = measure(losses[name], batches, loop)
            if number:  # the first round warms up
                speeds[name].append(tokens / seconds)
    return speeds, difference


def measure(loss: Callable[[dict[str, Tensor]], Tensor], batches: list[dict[str, Tensor]], model: nn.Module) -> float:
    """CPU seconds of forward and backward passes."""
    started = time.process_time()
    for batch in batches:
        model.zero_grad()
        loss(batch).backward()
    return time.process_time() - started


if __name__ == "__main__":
    main()
