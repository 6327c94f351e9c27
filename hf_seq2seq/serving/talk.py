"""One person's talk with a model: its settings, the conversation, and answers that grow and can be stopped."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from queue import SimpleQueue
from threading import Thread
from typing import Any

from hf_seq2seq.api.answers import Attention
from hf_seq2seq.api.models import Model
from hf_seq2seq.api.texts import remarks_with_pieces
from hf_seq2seq.data.messages import ASSISTANT, USER, Messages
from hf_seq2seq.data.tokenizers.vocabulary import Tokenizers
from hf_seq2seq.decoding.counts import Counted, Counts
from hf_seq2seq.decoding.outputs import Output
from hf_seq2seq.decoding.splitting_options import AGAIN
from hf_seq2seq.errors import InputError
from hf_seq2seq.serving.answer_options import ANSWER_OPTIONS
from hf_seq2seq.serving.answering import outputs_of
from hf_seq2seq.serving.engine import Engine
from hf_seq2seq.serving.growing import GrowingText
from hf_seq2seq.serving.messages_file import write_lines
from hf_seq2seq.serving.sessions import Ended, Session
from hf_seq2seq.serving.talk_settings import changed

SOURCES = 3
"""Source tokens that are shown for each token of an output."""


class Talk:
    """Answers text after text.

    Args:
        model: the model.
        values: settings by name.
        messages: the conversation so far; None for a model that answers each text by itself.
        replacing: whether unknown words are replaced by source words.

    Attributes:
        said: number of the texts so far, which seeds sampling.
        pairs: sources and outputs so far, where texts are answered one by one.
        last: the last source and its first output; None before the first answer.

    Raises:
        InputError: settings are invalid, or the model does not read conversations.
    """

    def __init__(
        self,
        model: Model,
        values: Mapping[str, Any] | None = None,
        messages: Messages | None = None,
        replacing: bool = False,
    ) -> None:
        self.model, self.values, self.messages, self.replacing = model, dict(values or {}), messages, replacing
        self.pairs: list[dict[str, str]] = []
        self.said, self.last = 0, None  # type: int, tuple[Any, str] | None
        self.generator = self._generator(self.values)
        self.engine = Engine()

    def _generator(self, values: dict[str, Any]) -> Any:
        probe: Any = "-" if self.messages is None else [{"role": USER, "content": "-"}]
        found = self.model.generator([probe], values, None, ())
        found.replacing = self.replacing
        return found

    def set(self, name: str, text: str) -> dict[str, Any]:
        """Changes a setting, and returns all whose values are new, None for a default.

        Raises:
            InputError: there is no such setting, or its value is invalid; nothing is changed.
        """
        values = changed(self.values, name, text)
        self.generator = self._generator(values)
        before, self.values = self.values, values
        return {key: values.get(key) for key in {**before, **values} if before.get(key) != values.get(key)}

    @property
    def settings(self) -> dict[str, Any]:
        """The settings in force that differ from the toolkit's defaults, and the lengths."""
        search = vars(self.generator.decoding)
        found = {
            name: search[name]
            for name, item in ANSWER_OPTIONS.items()
            if search.get(name, item.default) != item.default
        }
        found |= {name: value for name, value in self.values.items() if name in ANSWER_OPTIONS}
        return found | {
            "max_new_tokens": self.generator.max_new_tokens,
            "max_source_length": self.generator.max_source_length,
        }

    def reset(self) -> None:
        """Forgets what was said, except an instruction that the conversation began with."""
        kept = self.messages[:1] if self.messages and self.messages[0]["role"] not in (USER, ASSISTANT) else []
        self.messages = None if self.messages is None else kept
        self.pairs, self.last, self.said = [], None, 0

    def begin(self, text: str) -> "Reply":
        """Begins the answer to a text, or to the conversation with the text as its next message."""
        source = text if self.messages is None else [*self.messages, {"role": USER, "content": text}]
        reply = Reply(self, text, source, self.said)
        self.said += 1
        return reply

    def keep(self, reply: "Reply", text: str) -> bool:
        """Takes an answer into the conversation; False if it is blank, which no conversation can contain."""
        self.last = reply.source, text
        self.pairs.append({"source": reply.said, "prediction": text})
        if self.messages is not None and text.strip():
            self.messages += [{"role": USER, "content": reply.said}, {"role": ASSISTANT, "content": text}]
        return self.messages is None or bool(text.strip())

    def save(self, path: Path) -> int:
        """Writes the conversation, or the pairs, as JSON lines, and returns how many.

        Raises:
            InputError: nothing was said yet, or the file cannot be written.
        """
        rows = self.pairs if self.messages is None else self.messages
        if not rows:
            raise InputError("/save: nothing was said yet")
        write_lines(path, rows)
        return len(rows)

    def attention(self) -> Attention:
        """The attention of the last answer's tokens on those of its source.

        Raises:
            InputError: there is no answer yet, or the model has no attention on a source.
        """
        if self.last is None or not self.last[1].strip():
            raise InputError("/show attention: there is no answer yet")
        (found,) = self.model.attention([self.last[0]], [self.last[1]], **self.values)
        return found

    def remarks(self, counts: Counts) -> list[str]:
        """What the counts of an answer have to say."""
        return remarks_with_pieces(counts, self.generator.max_source_length, self.values.get("combine") == AGAIN)


class Reply:
    """An answer that is being generated.

    Args:
        talk: what it belongs to.
        said: the text that it answers.
        source: that text, or the conversation that ends with it.
        number: seeds sampling.

    Attributes:
        text: the text that was returned in parts.
    """

    def __init__(self, talk: Talk, said: str, source: Any, number: int) -> None:
        self.said, self.source, self.number = said, source, number
        self.text = GrowingText(talk.model.tokenizers.target)
        self._heard: SimpleQueue[list[int] | None] = SimpleQueue()
        self._session = Session(talk.engine, None, self._listen)
        self._found: Counted[list[Output]] | Exception | None = None
        Thread(target=self._run, args=(talk,), daemon=True).start()

    def _listen(self, number: int, ids: list[int]) -> None:
        self._heard.put(list(ids))

    def _run(self, talk: Talk) -> None:
        try:
            rows = talk.model.sources([self.source])
            self._found = outputs_of(self._session, talk.model, talk.generator, rows, self.number)
        except Exception as error:
            self._found = error
        self._heard.put(None)

    def parts(self) -> Iterator[str]:
        """The parts by which the text grows; none for a search with beams."""
        while (ids := self._heard.get()) is not None:
            while ids is not None and not self._heard.empty():
                newer = self._heard.get()
                if newer is None:
                    self._heard.put(None)
                    break
                ids = newer
            if part := self.text.part(ids):
                yield part

    def result(self) -> Counted[list[Output]]:
        """The outputs, after the last part.

        Raises:
            InputError: the text cannot be answered.
            Ended: the answer was stopped.
        """
        if isinstance(self._found, Exception):
            raise self._found
        if self._found is None:
            raise Ended("the answer is not finished")
        return self._found

    def stop(self) -> None:
        """Stops generating."""
        self._session.cancel()


def attention_lines(found: Attention, tokenizers: Tokenizers) -> list[str]:
    """Each token of an output, and the source tokens that it attends to most, with their weights."""
    sources = [_spelled(token, tokenizers.source) for token in found.source_tokens]
    names = [_spelled(token, tokenizers.target) for token in found.target_tokens]
    width = max(map(len, names), default=0)
    lines = []
    for name, weights in zip(names, found.weights, strict=True):
        best = sorted(range(len(weights)), key=lambda place: (-weights[place], place))[:SOURCES]
        shown = "  ".join(f"{sources[place]} {weights[place]:.2f}" for place in best)
        lines.append(f"{name:<{width}}  {shown}")
    return lines


def _spelled(token: str, tokenizer: Any) -> str:
    """A token as text, without the marks of its tokenizer where there are any letters beside them."""
    text = str(tokenizer.convert_tokens_to_string([token])).strip()
    return text if text and "\ufffd" not in text and "\n" not in text else token
