"""`hf-seq2seq chat MODEL`: talk to a model in the terminal."""

from dataclasses import dataclass, field
from pathlib import Path

from hf_seq2seq.cli.flag_command import FlagCommand
from hf_seq2seq.cli.generate import ModelPath
from hf_seq2seq.cli.options import Values
from hf_seq2seq.decoding.pipeline import Ensemble, Model
from hf_seq2seq.decoding.search_options import Search, check_search
from hf_seq2seq.errors import InputError
from hf_seq2seq.sections import Section, build, option


@dataclass(frozen=True, kw_only=True)
class Conversation(Section):
    """Conversation."""

    history: str | None = option(
        None, "JSON lines of messages to continue; written after each answer, and new if there is no such file."
    )


@dataclass(frozen=True)
class ChatConfig:
    """The flags of `chat`."""

    conversation: Conversation = field(default_factory=Conversation)
    model: Model = field(default_factory=Model)
    ensemble: Ensemble = field(default_factory=Ensemble)
    decoding: Search = field(default_factory=Search)


def chat(model: ModelPath, *, values: Values) -> None:
    """Talks in the terminal; /help lists what can be changed meanwhile."""
    config = build(ChatConfig, values, origin="chat")
    check_search(config.decoding, values)
    given = config.conversation.history
    file = Path(given).expanduser() if given else None
    from hf_seq2seq.cli.talking import Talking, load_talker
    from hf_seq2seq.serving.messages_file import read_messages
    from hf_seq2seq.serving.talk import Talk

    messages = read_messages(file) if file is not None else []
    if file is not None and not file.absolute().parent.is_dir():
        raise InputError(f"--history {given}: {file.parent} is not a folder")
    loaded = load_talker(model, config.model)
    if loaded.tokenizers.source.chat_template is None:
        raise InputError(f"{model}: reads texts, not conversations; hf-seq2seq generate {model} --interactive")
    talking = Talking(
        Talk(loaded, {name: value for name, value in values.items() if name != "history"}, messages), file
    )
    if messages:
        talking.terminal.remark(f"({len(messages)} messages in {given})")
    talking.run()


COMMAND = FlagCommand(chat, ChatConfig)
build_command = COMMAND.build
