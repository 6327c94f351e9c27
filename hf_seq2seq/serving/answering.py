"""Lets a generator compute in the engine that all share."""

from dataclasses import replace
from typing import Any

from hf_seq2seq.api.models import ONLY, Model
from hf_seq2seq.decoding.counts import Counted
from hf_seq2seq.decoding.outputs import Output
from hf_seq2seq.decoding.text_generator import TextGenerator
from hf_seq2seq.serving.sessions import Session


def outputs_of(
    session: Session, model: Model, generator: TextGenerator, sources: list[Any], first: int = 0
) -> Counted[list[Output]]:
    """The outputs of every source; for other arguments see `TextGenerator.outputs`.

    Args:
        session: where to compute. It hears nothing where texts are read in pieces, which grow side by side.
        model: the model.
        generator: its generator.
        sources: what the generator reads.
        first: index of the first source in a longer input.
    """
    if generator.splitting is not None and generator.splitting.kind:
        session.listen = None
    if model.flags.engine == ONLY:
        return session.call(lambda: generator.outputs(sources, first))
    return replace(generator, runner=session).outputs(sources, first)
