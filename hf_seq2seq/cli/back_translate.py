"""`hf-seq2seq back-translate REVERSE_MODEL --input-file mono.txt --output-file synthetic.jsonl`.

The reverse model translates real targets into synthetic sources; the pairs are more rows to train a model on.
"""

import sys
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from hf_seq2seq.cli.flag_command import FlagCommand
from hf_seq2seq.cli.mixed_rows import check_mixed, real_pairs, training_command, write_mixed, write_stages
from hf_seq2seq.cli.options import Argument, Values
from hf_seq2seq.cli.output_paths import check_outputs
from hf_seq2seq.cli.progress import counted
from hf_seq2seq.cli.rows import report_cut, report_outputs, report_unknown
from hf_seq2seq.cli.synthetic_rows import Noise, Rows
from hf_seq2seq.configs import PairData
from hf_seq2seq.data.cleaning.options import Cleaning
from hf_seq2seq.data.rows import Row, is_live, json_line, read_rows, text_cell
from hf_seq2seq.decoding.pipeline import Ensemble, Model, load_model, load_others, make_generator
from hf_seq2seq.decoding.search_options import Search, check_search
from hf_seq2seq.errors import InputError
from hf_seq2seq.sections import build

if TYPE_CHECKING:
    from hf_seq2seq.data.back_translation import Filters, Line
    from hf_seq2seq.data.cleaning.rules import Seen
    from hf_seq2seq.data.resumable import ResumableFile
    from hf_seq2seq.decoding.text_generator import TextGenerator
    from hf_seq2seq.noising.word_noise import WordNoise

BLOCK = 4096
"""Texts per block, of which at most one is lost when the command is killed; sorted by length, as in `generate`."""
FEWEST_ROWS, ALIKE, MOST_SOURCES = 20, 4, 1000
"""From so many pairs on, it is told if different sources, counted up to the last number, are so many times fewer."""
SPEED = ("per_device_eval_batch_size", "max_tokens_per_batch")
"""Settings that do not change an output: a run may continue with others."""
COLUMNS = ("line", "score", "model", "search")
"""Columns of a pair's provenance."""


@dataclass(frozen=True)
class BackTranslateConfig:
    """The flags of `back-translate`."""

    rows: Rows = field(default_factory=Rows)
    rules: Cleaning = field(default_factory=Cleaning)
    noise: Noise = field(default_factory=Noise)
    model: Model = field(default_factory=Model)
    ensemble: Ensemble = field(default_factory=Ensemble)
    decoding: Search = field(default_factory=Search)


ReverseModel = Annotated[
    str, Argument(metavar="REVERSE_MODEL", help="Folder or Hub id of a model from the target side to the source side.")
]


def back_translate(model: ReverseModel, *, values: Values) -> None:
    """Writes synthetic sources of real targets, to train on; after a kill, the same command continues."""
    config = build(BackTranslateConfig, values, origin="back-translate")
    check(config, values)
    from hf_seq2seq.data.back_translation import check_direction, make_filters
    from hf_seq2seq.saved.run_settings import RUN_FILE, read_run

    options = config.rows
    languages = {"source": options.source_lang, "target": options.target_lang}
    check_direction(model, read_run(Path(model).expanduser() / RUN_FILE), languages, options.input_file)
    filters = make_filters(config.rules, languages, _read_against(config), options.min_score)
    texts = read_texts(options)
    if options.train_file and not is_live(None, options.train_file):  # a pipe can be read only once
        real_pairs(options)  # so that errors come before the texts are translated
    network, tokenizers, settings = load_model(model, config.model)
    others, settings = load_others(model, network, tokenizers, settings, config)
    reverse = options.target_lang, options.source_lang  # it reads targets
    generator = make_generator(config, values, network, tokenizers, settings, languages=reverse)
    generator.others, generator.average = others, config.ensemble.ensemble_average
    generator.details = ("score",)
    pairs = Pairs(options, model, generator.decoding, make_noise(config))
    with _open(config, model, generator) as file, counted("texts") as generator.advance:
        _write(file, filters.lines(texts), generator, filters, pairs)
    _report(file.state, generator, options)
    if not file.state["kept"]:
        raise InputError(
            f"{options.output_file}: no pair is kept, so that there is nothing to train on; see above what dropped "
            f"them; outputs of {model} may be bad: train it longer"
        )
    if options.mixed_file:
        real, made = write_mixed(options)
        print(f"{options.mixed_file}: {real:,} rows of real pairs ({options.upsample} x) and {made:,} synthetic ones")
    if options.stages_file:
        print(f"{options.stages_file}:\n{write_stages(options, file.state['kept'])}", end="")
    print("to train on them (add --validation-file with real pairs):")
    print("  " + training_command(options, config.noise, settings.run))


def _read_against(config: BackTranslateConfig) -> "Seen | None":
    """What the files of --against contain; the libraries of tables are only imported for them."""
    if not config.rules.against:
        return None
    from hf_seq2seq.data.cleaning.pair_rows import sides_of_files

    names = ("source_lang", "target_lang", "encoding")
    data = PairData(**{name: getattr(config.rows, name) for name in names})
    return sides_of_files(config.rules.against, data, config.rows.names)


def check(config: BackTranslateConfig, values: Mapping[str, Any]) -> None:
    """Rejects flags before anything is read.

    Raises:
        InputError: files are missing or unsuitable, or flags conflict.
    """
    options, search = config.rows, config.decoding
    if options.input_file is None:
        raise InputError("--input-file: is missing; name the text to translate, which is of the target side")
    if options.output_file is None:
        raise InputError("--output-file: is missing; name the file of pairs to write")
    _check_suffix(Path(options.output_file))
    names = options.names
    if len({*names, *COLUMNS}) < len(names) + len(COLUMNS):
        raise InputError(
            f"--source-column {names[0]}, --target-column {names[1]}: must differ, also from {', '.join(COLUMNS)}"
        )
    _check_token("--tag", options.tag, may_be_empty=True)
    _check_token("--blank-token", config.noise.blank_token)
    check_search(search, values)
    if search.num_return_sequences > 1 and search.mbr_metric is None:
        raise InputError("--num-return-sequences: one source is written per target; leave it out, or add --mbr-metric")
    check_mixed(options)
    _check_files(options, config.rules.against)


def _check_suffix(path: Path) -> None:
    if path.suffix not in (".jsonl", ".ndjson", ".tsv"):
        raise InputError(f"--output-file {path}: is written as JSON lines or tsv; let its name end in .jsonl or .tsv")


def _check_files(options: Rows, against: tuple[str, ...]) -> None:
    """Rejects an output that is read, too, or written by two flags."""
    names = ("output_file", "mixed_file", "stages_file")
    outputs = [(name, Path(path)) for name in names if (path := getattr(options, name)) is not None]
    inputs = {"input_file": options.input_file, "train_file": options.train_file, "against": against}
    check_outputs(outputs, inputs, (options.source_lang, options.target_lang))


def _check_token(name: str, token: str, may_be_empty: bool = False) -> None:
    if token.split() != [token] and not (may_be_empty and not token):
        raise InputError(f"{name}: {token!r} is {'empty' if not token else 'more than one word'}; give one word")


def read_texts(options: Rows) -> Iterator[str]:
    """The texts of the input, in order.

    Raises:
        InputError: the file cannot be read or has no rows, or its column cannot be found; during iteration, a cell is
            not text.
    """
    from hf_seq2seq.data.columns.finding import columns_told, named_column, text_columns
    from hf_seq2seq.data.rows import names_of

    place = str(options.input_file)
    rows, sample = read_rows(None, place, options.encoding, [options.text_column])
    names = names_of(sample)
    if options.text_column:
        column = named_column(names, sample, "text_column", options.text_column, place)
    else:
        found = ["text"] if "text" in names else text_columns(names, sample)
        if len(found) != 1:
            raise InputError(f"{place}: {columns_told(names, ['--text-column'])}")
        column = found[0]
    return (text_cell(row, column, number, place) for number, row in enumerate(rows, start=1))


def make_noise(config: BackTranslateConfig) -> "WordNoise | None":
    """The noise that the flags ask for."""
    from hf_seq2seq.noising.word_noise import WordNoise

    given = config.noise
    if not given.noise:
        return None
    rates = (given.noise_dropout, given.noise_blank, given.noise_distance)
    return WordNoise(config.decoding.seed, *rates, given.blank_token)


class Pairs:
    """Makes the lines of pairs, with their provenance.

    Args:
        options: the flags.
        model: the reverse model.
        search: how it searches.
        noise: applied to its sources.
    """

    def __init__(self, options: Rows, model: str, search: Any, noise: "WordNoise | None") -> None:
        from hf_seq2seq.data.back_translation import describe_search

        self.names = [*options.names, *COLUMNS]
        self.is_table = str(options.output_file).endswith(".tsv")
        self.tag, self.noise = options.tag, noise
        self.provenance = [model, describe_search(search, noise)]

    @property
    def header(self) -> list[str]:
        """The lines before the first pair."""
        return ["\t".join(self.names)] if self.is_table else []

    def line(self, number: int, source: str, target: str, score: float | None) -> str:
        """A pair as a line of the file.

        Args:
            number: of the target in its file, from 1.
            source: as the reverse model wrote it.
            target: as it is in the file.
            score: log-probability per token of the source under the reverse model.
        """
        source = self.noise(source, number) if self.noise else source
        source = f"{self.tag} {source}" if self.tag else source
        score = score if score is None else round(score, 6)
        cells = [source, target, number, score, *self.provenance]
        if self.is_table:
            return "\t".join(" ".join(str("" if cell is None else cell).split()) for cell in cells)
        row: Row = dict(zip(self.names, cells, strict=True))
        return json_line(row)


def _open(config: BackTranslateConfig, model: str, generator: "TextGenerator") -> "ResumableFile[Line]":
    """The output, which is only continued by the same model with the same settings."""
    from hf_seq2seq.data.resumable import ResumableFile
    from hf_seq2seq.saved.integrity import weights_digest

    networks = [generator.model, *generator.others]
    settings: dict[str, Any] = {"model": model, "weights": [weights_digest(each) for each in networks]}
    mixing = ("output_file", "train_file", "mixed_file", "stages_file", "upsample")
    settings |= {name: value for name, value in asdict(config.rows).items() if name not in mixing}
    settings |= asdict(config.rules) | asdict(config.noise)
    settings |= {name: value for name, value in asdict(generator.decoding).items() if name not in SPEED}
    for name in ("max_new_tokens", "max_source_length", "prefix", "average"):
        settings[name] = getattr(generator, name)
    return ResumableFile(Path(str(config.rows.output_file)), settings, BLOCK)


def _write(
    file: "ResumableFile[Line]", lines: Iterator["Line"], generator: "TextGenerator", filters: "Filters", pairs: Pairs
) -> None:
    from hf_seq2seq.data.cleaning.normal_form import hash_of
    from hf_seq2seq.decoding.counts import Counts

    state = file.state or {"counts": asdict(Counts()), "rows": 0, "kept": 0, "dropped": dict.fromkeys(filters.names, 0)}
    sources = set(state.get("sources", ()))
    for block in file.blocks(lines):
        asked = [line for line in block if line.rule is None]
        before = Counts.of(state["counts"])
        found = generator.outputs([line.text for line in asked], first=before.texts)
        written = [] if file.done else pairs.header
        rules = [line.rule for line in block if line.rule is not None]
        for line, outputs in zip(asked, found, strict=True):
            rule = filters.why_not(outputs[0].text, line.text, outputs[0].details.get("score"))
            if rule is None:
                written.append(pairs.line(line.number, outputs[0].text, line.text, outputs[0].details.get("score")))
                state["kept"] += 1
                sources |= {hash_of(outputs[0].text)} if len(sources) < MOST_SOURCES else set()
            else:
                rules.append(rule)
        for rule in rules:
            state["dropped"][rule] += 1
        state["rows"] += len(block)
        state["sources"] = sorted(sources)
        state["counts"] = asdict(before + found.counts)
        file.commit(written, state)


def _report(state: Mapping[str, Any], generator: "TextGenerator", options: Rows) -> None:
    from hf_seq2seq.data.cleaning.cleaner import describe
    from hf_seq2seq.decoding.counts import Counts

    counts = Counts.of(state["counts"])
    report_cut(counts.truncated, generator.max_source_length, counts.texts)
    report_outputs(counts, generator.max_new_tokens)
    report_unknown(counts.unknown)
    print(describe(state, str(options.output_file)))
    different = len(state["sources"])
    if different < MOST_SOURCES and state["kept"] >= max(FEWEST_ROWS, ALIKE * different):
        print(
            f"warning: {state['kept']:,} pairs have {different:,} different sources: the reverse model hardly reads "
            "its texts; train it longer before you train on its outputs",
            file=sys.stderr,
        )


COMMAND = FlagCommand(back_translate, BackTranslateConfig)
build_command = COMMAND.build
