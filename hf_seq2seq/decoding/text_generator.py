"""Generation for long inputs: windows of rows are sorted by length, so memory does not grow with the input."""

import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from hf_seq2seq.configs import Decoding
from hf_seq2seq.data.annotated_text import TAG, AnnotatedText
from hf_seq2seq.data.arriving import Arriving
from hf_seq2seq.data.copying import Words, name_source_words, name_target_words
from hf_seq2seq.data.encoding import encode_continuations, encode_targets, encode_texts
from hf_seq2seq.data.features import FeatureSpace, with_features
from hf_seq2seq.data.frames import as_matrices
from hf_seq2seq.data.tokenizers.languages import wanted_of
from hf_seq2seq.data.tokenizers.locked import tokenizing
from hf_seq2seq.data.tokenizers.unicode_text import is_blank
from hf_seq2seq.data.tokenizers.unknown import count_unknown, reads_words
from hf_seq2seq.data.tokenizers.vocabulary import Tokenizers
from hf_seq2seq.decoding.choices import Choices, name_of, read_choices
from hf_seq2seq.decoding.counts import Counted, Counts
from hf_seq2seq.decoding.forced_words import find_words
from hf_seq2seq.decoding.generation import HERE, ONE_AT_A_TIME, Advance, Runner, as_search, evaluating, texts_of
from hf_seq2seq.decoding.languages import Languages
from hf_seq2seq.decoding.minimum_bayes_risk import choose_output
from hf_seq2seq.decoding.outputs import Output, Reader, Written
from hf_seq2seq.decoding.pieces import PieceReader
from hf_seq2seq.decoding.scoring import Scored
from hf_seq2seq.decoding.search import Searcher
from hf_seq2seq.decoding.search_options import Search
from hf_seq2seq.decoding.splitting_options import AGAIN, CUT, Splitting
from hf_seq2seq.errors import InputError, nearest, shorten
from hf_seq2seq.ragged import Ragged
from hf_seq2seq.saved.positions import longest_sequence
from hf_seq2seq.saved.run_settings import UNBOUNDED
from hf_seq2seq.saved.start_tokens import given_start

if TYPE_CHECKING:
    from transformers import PreTrainedModel

Row = TypeVar("Row")
Result = TypeVar("Result")
WINDOW = 4096
LONG_CHOICE = 1024
"""Tokens of an entry of `--choices` beyond which a search is announced to be long."""


@dataclass
class TextGenerator:
    """Generates for many texts; it is stateless and thread-safe.

    The same call gives the same result regardless of earlier calls, from any thread; only one thread computes at a
    time. The counts of a call, such as truncated sources, are part of its result.

    Attributes:
        model: an encoder-decoder or decoder-only model, in evaluation mode.
        tokenizers: its tokenizers.
        decoding: search options, and rows per batch.
        max_new_tokens: maximum length of a target in tokens, including EOS.
        max_source_length: longer sources are truncated to this many tokens; None for no limit.
        prefix: prepended to every text.
        advance: called with the number of finished rows after every batch.
        others: the rest of an ensemble, with the same vocabulary.
        average: what an ensemble averages, "probability" or "log_probability".
        details: what to return about outputs: "score", "tokens", "log_probs", "alignment".
        replacing: replace unknown words by source words.
        runner: where the model computes.
        languages: makes texts say their languages; None if the model knows no languages.
        splitting: what is done with long texts; None to truncate them.
    """

    model: "PreTrainedModel"
    tokenizers: Tokenizers
    decoding: Decoding
    max_new_tokens: int
    max_source_length: int | None = None
    prefix: str = ""
    advance: Advance | None = None
    others: tuple["PreTrainedModel", ...] = ()
    average: str = "probability"
    details: tuple[str, ...] = ()
    replacing: bool = False
    runner: Runner = HERE
    languages: Languages | None = None
    splitting: Splitting | None = None

    def spoken(self, rows: list[Any]) -> list[Any]:
        """The rows as the model reads them: with the codes or tags of their languages, or as feature matrices.

        Raises:
            InputError: a language is missing or unknown, or a row is a text and must be a matrix, or the reverse.
        """
        rows = as_matrices(rows, getattr(self.model.config, "input_width", None))
        return rows if self.languages is None else self.languages(rows)

    @property
    def several(self) -> bool:
        """Whether a source may have more than one output."""
        search = as_search(self.decoding)
        return search.num_return_sequences > 1 and search.mbr_metric is None

    @property
    def asked(self) -> int:
        """How many outputs to return per source; there may be fewer."""
        return as_search(self.decoding).num_return_sequences if self.several else 1

    def encode(self, rows: list[Any]) -> tuple[Ragged, int]:
        """Encodes texts with the prefix; also returns how many were truncated."""
        limit = self.max_source_length or UNBOUNDED
        return encode_texts([self.prefix + text for text in rows], self.tokenizers.source, limit)

    @cached_property
    def choices(self) -> Choices | None:
        """The only outputs to choose from; None for any.

        Raises:
            InputError: their file cannot be read, or one has more tokens than the model has positions.
        """
        file = as_search(self.decoding).choices
        if file is None:
            return None
        found = read_choices(file, lambda texts: self.encode_targets([""] * len(texts), texts))
        room = longest_sequence(self.model)
        if found.longest > (room or UNBOUNDED):
            raise InputError(f"{name_of(file)}: one has {found.longest} tokens; this model has {room} positions")
        if found.longest > LONG_CHOICE:
            detail = f"one has {found.longest:,} tokens, and the search may take as many steps for each text"
            print(f"{name_of(file)}: {detail}", file=sys.stderr)
        if found.left_out:
            detail = f"{found.left_out} have the same tokens as another one, and are left out"
            print(f"{name_of(file)}: {detail}", file=sys.stderr)
        return found

    def read_sources(self, texts: list[Any]) -> tuple[Ragged, list[Words] | None, Counts]:
        """Encodes texts, with ids for the unknown words that a model copies; counts those that remain unknown."""
        texts = self.spoken(texts)
        with tokenizing():
            encoded, cut = self.encode(texts)
            if space := FeatureSpace.of_config(self.model.config):
                prefixed = [self.prefix + text for text in texts]
                encoded = with_features(encoded, prefixed, self.tokenizers.source, space)
        sources, words = self.name_unknown(encoded, texts)
        return sources, words, Counts(truncated=cut, unknown=count_unknown(sources.values, self.tokenizers.source))

    def __call__(self, texts: list[Any], first: int = 0) -> Counted[str]:
        """Generates a text for each of up to a few thousand texts; an empty text gives an empty one."""
        found = self.outputs(texts, first)
        return Counted.of([outputs[0].text for outputs in found], found.counts)

    def outputs(self, texts: list[Any], first: int = 0, prefixes: Sequence[str] | None = None) -> Counted[list[Output]]:
        """Every text's outputs, best first.

        An empty text, or one for which the search finds no valid output, has a single empty output.

        Args:
            texts: the sources.
            first: index of the first one in a longer input, because a row's sampling is seeded by its index.
            prefixes: what each output has to begin with; None for nothing.

        Raises:
            InputError: a text is too long, and was to be refused; or a prefix is.
        """
        asked = [row for row, text in enumerate(texts) if not isinstance(text, str) or not is_blank(text)]
        found, counts = [[Output("")] for _ in texts], Counts(texts=len(texts))
        if asked:
            begun = self.begun([texts[row] for row in asked], [prefixes[row] for row in asked]) if prefixes else ()
            numbers = [first + row for row in asked]
            written, more = self._read([texts[row] for row in asked], numbers, dict(zip(numbers, begun, strict=False)))
            for row, outputs in zip(asked, written, strict=True):
                found[row] = outputs or found[row]
            counts += more + Counts(impossible=sum(not outputs for outputs in written))
        return Counted.of(found, counts)

    def begun(self, texts: list[Any], prefixes: Sequence[str]) -> list[list[int]]:
        """The first tokens of outputs that begin with certain texts; none for a blank one.

        Raises:
            InputError: one has as many tokens as an output may have, or characters or words that the vocabulary lacks.
        """
        with tokenizing():
            encoded = self.encode_targets(texts, list(prefixes))
        ends = {self.tokenizers.target.eos_token_id, self.tokenizers.target.sep_token_id}
        found = [encoded[row].tolist() if text.strip() else [] for row, text in enumerate(prefixes)]
        found = [ids[:-1] if ids and ids[-1] in ends else ids for ids in found]
        for text, ids in zip(prefixes, found, strict=True):
            if self.tokenizers.target.unk_token_id in ids:
                detail = f"{shorten(repr(text))} has characters or words that are not in the vocabulary of outputs"
                raise InputError(f"--target-prefix-column: {detail}")
        longest: list[int] = max(found, key=len, default=[])
        if len(longest) >= self.max_new_tokens:
            text = prefixes[found.index(longest)]
            detail = f"{shorten(repr(text))} has {len(longest)} tokens; the longest output has {self.max_new_tokens}"
            raise InputError(f"--target-prefix-column: {detail} (--max-new-tokens)")
        return found

    def _read(
        self, texts: list[Any], numbers: list[int], begun: dict[int, list[int]]
    ) -> tuple[list[list[Output]], Counts]:
        """Outputs of texts, whole or by pieces."""
        options = self.splitting
        if options is None or (options.kind is None and options.action == CUT):
            return self._outputs(texts, numbers, begun)
        if getattr(self.model.config, "input_width", None) is not None:
            raise InputError("--split, --on-too-long: only texts are split or refused, and this model reads matrices")
        tells = bool(self.details) or options.combine == AGAIN
        between = " " if reads_words(self.tokenizers.target) else ""
        reader = PieceReader(options, self.count_tokens, self.max_source_length, self._outputs, tells, between)
        if options.kind is None:
            reader.check(texts, numbers)
            return self._outputs(texts, numbers, begun)
        return reader(texts, numbers)

    def count_tokens(self, texts: list[str]) -> list[int]:
        """The tokens of each text with the prefix and special tokens, before any truncation."""
        with tokenizing():
            sources = [self.prefix + text for text in self.spoken(texts)]
            encoded, _ = encode_texts(sources, self.tokenizers.source, UNBOUNDED)
        return [int(length) for length in encoded.lengths]

    def _outputs(
        self, texts: list[Any], numbers: list[int], begun: Mapping[int, list[int]] | None = None
    ) -> tuple[list[list[Output]], Counts]:
        written, counts = self.write(texts, numbers, begun)
        reader = self.reader
        return (self.runner.each(reader.describe, written) if reader.reads_again else reader.describe(written)), counts

    def write(
        self, texts: list[Any], numbers: list[int], begun: Mapping[int, list[int]] | None = None
    ) -> tuple[list[Written], Counts]:
        """Searches for the outputs of every text, before they are described.

        Args:
            texts: the sources, none of them empty.
            numbers: their indices in a longer input, which seed the sampling.
            begun: first tokens of the outputs of some, by these indices.
        """
        sources, unknown, counts = self.read_sources(texts)
        search, first = as_search(self.decoding), self.first_token
        counts += Counts(conflicting=count_conflicts(search, sources.lengths))
        words = find_words(search.force_words, self.tokenizers.target, self.max_new_tokens)
        every = (self.others, self.average, words, self.tokenizers.target)
        searcher = Searcher(self.model, search, self.max_new_tokens, first, *every, self.choices, begun or {})
        found = self.runner.decode(searcher, sources, self.tokenizers.source, self.advance, numbers)
        written, unended = [], 0
        for row, hypotheses in enumerate(found):
            named = () if unknown is None else unknown[row]
            ids = [each.ids for each in hypotheses]
            spelled = texts_of(ids, self.tokenizers, None if unknown is None else [named] * len(ids))
            if self.choices:
                spelled = [self.choices.text(each.whole) for each in hypotheses]
            source = texts[row] if isinstance(texts[row], str) else ""
            if search.mbr_metric and hypotheses:
                chosen = choose_output(spelled, source, search.mbr_metric)
                hypotheses, spelled = [hypotheses[chosen]], [spelled[chosen]]
            unended += bool(hypotheses) and hypotheses[0].fills(self.max_new_tokens)
            written.append(Written(sources[row], source, hypotheses, spelled, named, sources, row, self.max_new_tokens))
        return written, counts + Counts(unended=unended)

    def score(self, texts: list[Any], targets: list[str], first: int = 0) -> Counted[dict[str, Any]]:
        """Scores of given targets: the summed `log_prob`, `perplexity`, and the requested details.

        If part of a target is not in the vocabulary, `unknown_tokens` counts the tokens of which it is.

        Args:
            texts: the sources.
            targets: one per source.
            first: index of the first one in a longer input, for errors.

        Raises:
            InputError: the model has too few positions for a target.
        """
        reader, found = self.reader, []
        read, counts = self.read_targets(reader, texts, targets, range(first, first + len(texts)))
        for source, ids, words, each in read:
            known = {"score": sum(each.log_probs) / len(ids)} | reader.details_of(source, ids, each, words)
            sums: dict[str, Any] = {"log_prob": sum(each.log_probs), "perplexity": each.perplexity}
            if (unknown := count_unknown(np.array(ids), self.tokenizers.target)).tokens:
                sums["unknown_tokens"] = unknown.tokens
            found.append(sums | {name: known[name] for name in self.details if name in known})
        return Counted.of(found, counts + Counts(texts=len(texts)))

    def likelihoods(self, texts: list[Any], references: Sequence[Sequence[str]]) -> tuple[np.ndarray, Counts]:
        """Likelihoods of references: log-probability and number of tokens, including EOS, `(rows, 2)` float64.

        For a row with several references these are sums, and its source counts as often in the second result, the
        counts.

        Raises:
            InputError: as for `score`.
        """
        sums, counts = np.zeros((len(texts), 2)), Counts()
        for start in range(0, len(texts), WINDOW):
            end = min(start + WINDOW, len(texts))
            rows = [row for row in range(start, end) for _ in references[row]]
            targets = [target for row in range(start, end) for target in references[row]]
            read, more = self.read_targets(self.reader, [texts[row] for row in rows], targets, rows)
            counts += more + Counts(texts=len(rows))
            for row, (_, ids, _, each) in zip(rows, read, strict=True):
                sums[row] += (sum(each.log_probs), len(ids))
            if self.advance:
                self.advance(end - start)
        return sums, counts

    def encode_targets(self, texts: list[Any], targets: list[str]) -> Ragged:
        """Encodes the targets of texts as in training."""
        if self.languages is not None and self.languages.codes:
            targets = [AnnotatedText(*pair) for pair in zip(targets, wanted_of(self.spoken(texts)), strict=True)]
        if not self.model.config.is_encoder_decoder:
            return encode_continuations(targets, self.tokenizers.target, UNBOUNDED)[0]
        return encode_targets(targets, self.tokenizers.target, UNBOUNDED, given_start(self.model))[0]

    def read_targets(
        self, reader: Reader, texts: list[Any], targets: list[str], numbers: Sequence[int]
    ) -> tuple[Iterator[tuple[np.ndarray, list[int], Words, Scored]], Counts]:
        """Ids of every source and target, unknown words that they stand for, and the scores of the targets."""
        with ONE_AT_A_TIME, evaluating(self.model):
            sources, unknown, counts = self.read_sources(texts)
            with tokenizing():
                encoded = self.encode_targets(texts, targets)
            self._check_positions(sources, encoded, numbers)
            if unknown is not None:
                encoded = name_target_words(encoded, targets, self.tokenizers.target, unknown)
            rows = [encoded[row].tolist() for row in range(len(encoded))]
            scored = reader.score(sources, rows)
        counts += Counts(unknown_targets=count_unknown(encoded.values, self.tokenizers.target))
        named = [()] * len(rows) if unknown is None else unknown
        return zip((sources[row] for row in range(len(rows))), rows, named, scored, strict=True), counts

    def _check_positions(self, sources: Ragged, targets: Ragged, numbers: Sequence[int]) -> None:
        room = longest_sequence(self.model, "decoder")
        joined = not self.model.config.is_encoder_decoder
        lengths = targets.lengths + (sources.lengths - 1 if joined else 0)  # the last token is not an input
        long = np.flatnonzero(lengths > (room or UNBOUNDED))
        if len(long):
            what = "its source and target have" if joined else "its target has"
            number, length = numbers[int(long[0])] + 1, lengths[long[0]]
            hint = " (--max-source-length truncates sources)" if joined else ""
            raise InputError(f"row {number}: {what} {length} tokens; this model has {room} positions{hint}")

    def name_unknown(self, sources: Ragged, texts: list[Any]) -> tuple[Ragged, list[Words] | None]:
        """Assigns ids to unknown words if the model copies them."""
        if room := getattr(self.model.config, "copy_vocab_size", 0):
            prefixed = [self.prefix + text for text in texts]
            return name_source_words(sources, prefixed, self.tokenizers.source, room)
        return sources, None

    @property
    def first_token(self) -> int | None:
        """The id of the first token of every output, if the search options name one.

        Raises:
            InputError: the vocabulary has no such token; names the nearest one.
        """
        token = as_search(self.decoding).forced_bos_token
        if token is None:
            return None
        known = self.tokenizers.target.get_vocab()
        if token not in known:
            raise InputError(f"--forced-bos-token: {token!r} is not in the vocabulary{nearest(token, known)}")
        return int(known[token])

    @property
    def reader(self) -> Reader:
        """The object that describes outputs."""
        models = (self.model, *self.others)
        size = self.decoding.per_device_eval_batch_size
        tags = self.languages.tag_ids if self.languages is not None else frozenset()
        is_text = self.languages is not None and self.languages.tags and not tags
        prefix = f"{self.prefix} {TAG}" if is_text else self.prefix
        return Reader(models, self.tokenizers, self.details, self.replacing, prefix, self.average, size, tags)


def count_conflicts(search: Search, lengths: np.ndarray) -> int:
    """Sources for which the maximum length, a ratio of their tokens, is below the minimum.

    The maximum takes precedence.
    """
    if search.max_length_ratio is None:
        return 0
    longest = np.ceil(lengths * search.max_length_ratio).clip(min=1)
    return int((longest < (search.min_new_tokens or 0)).sum())


def in_windows(
    rows: Iterable[Row], work: Callable[[list[Row]], list[Result]], window: int = WINDOW
) -> Iterator[tuple[Row, Result]]:
    """Pairs every row with its result, in order; at most `window` rows are read ahead of what was yielded.

    For `Arriving` rows a window contains those already available, so that none waits for others.
    """
    remaining = iter(rows)
    take = rows.take if isinstance(rows, Arriving) else lambda most: list(islice(remaining, most))
    while block := take(window):
        yield from zip(block, work(block), strict=True)
