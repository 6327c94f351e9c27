"""Names that other toolkits have for flags of this one, for the hint at an unknown flag."""

from collections.abc import Container, Iterable, Sequence
from importlib import import_module
from typing import Any

ROWS = ("--train-file", "--test-file", "--input-file")
"""Flags that name files of rows, of which the first that a command has is meant."""
SHOWN = 3
"""Maximum number of recipes or commands in a message."""

OTHER_NAMES = {  # fairseq, OpenNMT, Marian, PyTorch Lightning; of a name that fits several flags the first here counts
    "--num-train-epochs": "epoch epochs num-epochs n-epochs max-epoch max-epochs",
    "--max-steps": "steps num-steps train-steps max-train-steps max-update total-num-update after-batches",
    "--learning-rate": "lr peak-lr",
    "--lr-scheduler-type": "lr-scheduler scheduler decay-method",
    "--warmup-steps": "warmup warmup-updates num-warmup-steps lr-warmup",
    "--optim": "optimizer-name optim-type",
    "--max-grad-norm": "clip-norm gradient-clip-val grad-clip",
    "--label-smoothing-factor": "label-smoothing",
    "--loss-type": "loss criterion loss-function",
    "--loss-type scheduled_sampling": "scheduled-sampling teacher-forcing teacher-forcing-ratio",
    "--loss-type minimum_risk": "minimum-risk mrt",
    "--loss-type self_critical": "self-critical scst reinforce",
    "--loss-type preference": "preference cpo dpo",
    "--loss-type distillation --loss-args teacher=DIR": "distillation teacher teacher-model teacher-model-name-or-path",
    "--per-device-train-batch-size": "train-batch-size bs mini-batch max-sentences",
    "--max-tokens-per-batch": "max-tokens batch-tokens mini-batch-words",
    "--gradient-accumulation-steps": "update-freq accum-count accumulate-grad-batches optimizer-delay",
    "--early-stopping-patience": "patience early-stop",
    "--output-dir": "out out-dir output save-dir save-model save-path model-dir",
    "--output-file": "output out",
    "--input-file": "input src-file",
    "--train-file": "train train-data train-path train-set trainpref train-sets data",
    "--validation-file": "valid valid-file valid-data validpref dev dev-file dev-data eval-file valid-sets",
    "--test-file": "test test-data testpref",
    "--source-lang": "src-lang src-language",
    "--target-lang": "tgt-lang trg-lang tgt-language",
    "--source-column": "src source src-column",
    "--target-column": "tgt trg target tgt-column",
    "--model-name-or-path": "model model-name model-path pretrained pretrained-model checkpoint restore-file "
    "finetune-from-model train-from",
    "--resume-from-checkpoint": "resume restart continue-from",
    "--metric-for-best-model": "best-checkpoint-metric best-metric valid-metrics",
    "--metrics": "metric eval-metrics scoring",
    "--eval-steps": "valid-steps valid-freq validate-interval-updates eval-every",
    "--save-steps": "save-freq save-checkpoint-steps save-interval-updates save-every",
    "--save-total-limit": "keep-checkpoint keep-last-epochs save-top-k keep-interval-updates",
    "--logging-steps": "log-interval log-every report-every disp-freq",
    "--num-beams": "beam beams beam-size beam-width",
    "--num-return-sequences": "nbest n-best",
    "--length-penalty": "lenpen alpha normalize",
    "--do-sample": "sampling sample random-sampling",
    "--max-new-tokens": "max-len max-len-b max-decode-length",
    "--encoder-layers": "layers num-layers n-layers enc-layers num-hidden-layers",
    "--decoder-layers": "dec-layers",
    "--hidden-size": "hidden hidden-dim rnn-size hid-dim units",
    "--embedding-size": "embed-dim emb-dim embedding-dim word-vec-size",
    "--d-model": "hidden hidden-size hidden-dim model-dim embed-dim emb-dim dim-emb",
    "--encoder-ffn-dim": "encoder-ffn-embed-dim ffn-dim transformer-ff d-ff",
    "--encoder-attention-heads": "heads num-heads nhead transformer-heads",
    "--cell": "rnn-type cell-type enc-cell",
    "--ema-decay": "ema use-ema exponential-smoothing",
    "--average-checkpoints": "average avg-checkpoints average-decay",
    "--bpe-dropout": "dropout-bpe",
    "--target-vocab-size": "tgt-vocab-size",
    "--report-to": "wandb tensorboard logger",
    "--use-cpu": "cpu no-cuda cpu-only",
    "--overwrite-output-dir": "overwrite force",
}


def flag_here(name: str, flags: Container[str]) -> str | None:
    """Returns what another toolkit calls `name`, a flag of `flags` with its value where it needs one, or None."""
    bare = name.lstrip("-").replace("_", "-").lower()
    named = (here for here, others in OTHER_NAMES.items() if bare in others.split())
    return next((here for here in named if here.split()[0] in flags), None)


def rows_flag(context: Any) -> str | None:
    """The flag that names the rows of a command, or None if it has none."""
    flags = [name for each in context.command.params for name in each.opts] if context else []
    return next((name for name in ROWS if name in flags), None)


def where_else(command: str, name: str) -> str:
    """Says which other recipes have exactly this flag, or else which other commands, or nothing.

    Args:
        command: what was typed before the flags, such as "hf-seq2seq train rnn".
        name: the flag.
    """
    from hf_seq2seq.api import recipe_files
    from hf_seq2seq.cli.command_table import COMMANDS
    from hf_seq2seq.sections import canonical_names

    option, words = name.lstrip("-").replace("-", "_"), command.split()[1:]
    recipes = [each for each in recipe_files.names() if option in canonical_names(recipe_files.load(each).Config)]
    commands = [each for each in COMMANDS if option in _options_of(each) and each not in words]
    if len(words) > 1 and recipes:
        return f"; recipe {recipes[0]} has it" if len(recipes) == 1 else f"; recipes {_listed(recipes)} have it"
    if recipes:
        commands.insert(0, "train" if len(recipes) > SHOWN else f"train {recipes[0]}")
    named = _listed([f"`{each}`" for each in commands])
    return f"; {named} {'has' if len(commands) == 1 else 'have'} it" if commands else ""


def _options_of(command: str) -> Iterable[str]:
    from hf_seq2seq.cli.command_table import module_of
    from hf_seq2seq.sections import canonical_names

    found = getattr(import_module(module_of(command)), "COMMAND", None)
    return canonical_names(found.config) if found else ()


def _listed(names: Sequence[str]) -> str:
    return f"{', '.join(names[:SHOWN])}{' …' * (len(names) > SHOWN)}"
