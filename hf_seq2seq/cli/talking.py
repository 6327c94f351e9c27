"""The loop of `chat` and of `generate --interactive`: texts, answers that grow, and commands such as /help."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from hf_seq2seq.api.models import Model as Loaded
from hf_seq2seq.api.models import load
from hf_seq2seq.cli.terminal import Terminal, Typed
from hf_seq2seq.data.messages import transcript
from hf_seq2seq.decoding.pipeline import Model
from hf_seq2seq.errors import InputError, nearest, shorten
from hf_seq2seq.serving.answer_options import ANSWER_OPTIONS
from hf_seq2seq.serving.refusals import without_flags
from hf_seq2seq.serving.sessions import Ended
from hf_seq2seq.serving.talk import Reply, Talk, attention_lines
from hf_seq2seq.serving.talk_settings import written

SHOWN = ("attention", "history", "settings")


@dataclass(frozen=True)
class Command:
    """A command: how it is typed, what it does, and the method of `Talking` that does it."""

    usage: str
    help: str
    run: "Callable[[Talking, str], None]"


class Talking:
    """Reads texts and commands until the input ends.

    Args:
        talk: the model's side.
        file: where a conversation is written after each answer; None for nowhere.
    """

    def __init__(self, talk: Talk, file: Path | None = None) -> None:
        self.talk, self.file = talk, file
        self.terminal = Terminal(completions)
        self.is_over = False

    def run(self) -> None:
        """Reads and answers; Ctrl-C stops an answer, Ctrl-D ends."""
        while not self.is_over:
            try:
                typed = self.terminal.read()
                if typed is None:
                    self._end()
                else:
                    self.take(typed)
            except KeyboardInterrupt:
                self.terminal.say()
                self.terminal.remark("(Ctrl-D ends; /help lists the commands)")
            except InputError as error:
                self.terminal.remark(_plain(error))

    def _end(self) -> None:
        self.is_over = True
        if self.terminal.is_live:
            self.terminal.say()

    def take(self, typed: Typed) -> None:
        """Runs a command, or answers a text; each line of what was pasted where texts are answered one by one.

        Raises:
            InputError: a command is wrong, or a text cannot be answered.
        """
        text = typed.text.strip()
        if text.startswith("/") and not text.startswith("//") and not typed.is_quoted and "\n" not in text:
            self.command(text)
            return
        texts = text.split("\n") if self.talk.messages is None and not typed.is_quoted else [text]
        for each in map(str.strip, texts):
            said = each.removeprefix("/") if each.startswith("//") and not typed.is_quoted else each
            if said and not self.answer(said):
                break

    def command(self, line: str) -> None:
        """Runs a command.

        Raises:
            InputError: there is no such command, or its argument is wrong.
        """
        name, _, argument = line.partition(" ")
        if name not in COMMANDS:
            close = nearest(name, COMMANDS)
            raise InputError(f"{shorten(name)}: no such command{close} (a text that begins with / begins with //)")
        COMMANDS[name].run(self, argument.strip())

    def answer(self, text: str) -> bool:
        """Answers a text; False if it was stopped."""
        reply = self.talk.begin(text)
        try:
            for part in reply.parts():
                self.terminal.write(part)
            self._finish(reply)
        except KeyboardInterrupt:
            reply.stop()
            self._stopped(reply)
            return False
        except (InputError, Ended):
            raise
        except Exception as error:  # such as too little memory for a long text
            raise InputError(f"no answer: {type(error).__name__}: {shorten(str(error))}") from None
        return True

    def _finish(self, reply: Reply) -> None:
        found = reply.result()
        outputs = [output.text for output in found[0]]
        self._show(reply, outputs)
        for remark in self.talk.remarks(found.counts):
            self.terminal.remark(f"({remark})")
        self._keep(reply, outputs[0])

    def _show(self, reply: Reply, outputs: list[str]) -> None:
        """What of the outputs is not shown yet."""
        begun = reply.text.sent
        if len(outputs) > 1:
            self.terminal.write("\n" if begun else "")
            for number, text in enumerate(outputs, start=1):
                self.terminal.say(f"{number}  {text}")
        elif outputs[0].startswith(begun):
            self.terminal.say(reply.text.rest(outputs[0]))
        else:
            self.terminal.say("\n" + outputs[0])

    def _stopped(self, reply: Reply) -> None:
        self.terminal.say()
        if reply.text.sent.strip():
            self._keep(reply, reply.text.sent.strip())
            self.terminal.remark("(stopped; what was said so far is kept)")
        else:
            self.terminal.remark("(stopped)")

    def _keep(self, reply: Reply, text: str) -> None:
        if not self.talk.keep(reply, text):
            self.terminal.remark("(an empty answer; neither it nor the message is kept)")
        elif self.file is not None:
            self.talk.save(self.file)

    def help(self, argument: str) -> None:
        """Lists the commands."""
        width = max(len(command.usage) for command in COMMANDS.values())
        for command in COMMANDS.values():
            self.terminal.say(f"{command.usage:<{width}}  {command.help}")
        self.terminal.say('""" begins and ends a text of several lines; // begins a text that starts with /.')
        self.terminal.say("Ctrl-C stops an answer, Ctrl-D ends.")

    def reset(self, argument: str) -> None:
        """Starts again."""
        self.talk.reset()
        self.terminal.remark("(everything said is forgotten)")

    def set(self, argument: str) -> None:
        """Changes a setting."""
        name, _, value = argument.replace("=", " ", 1).partition(" ")
        if not name or not value.strip():
            raise InputError("/set: give a setting and its value, such as /set temperature 0.7, or default")
        new = self.talk.set(name, value.strip())
        said = ", ".join(f"{key} {written(item)}" for key, item in new.items())
        self.terminal.remark(f"({said or 'nothing is changed'})")

    def beams(self, argument: str) -> None:
        """Changes the number of beams."""
        if not argument:
            raise InputError("/beams: give a number, such as /beams 5")
        self.set(f"num_beams {argument}")

    def show(self, argument: str) -> None:
        """Shows attention, history or settings."""
        if argument not in SHOWN:
            raise InputError(f"/show {shorten(argument)}: nothing of that name{nearest(argument, SHOWN)}")
        if argument == "attention":
            lines = attention_lines(self.talk.attention(), self.talk.model.tokenizers)
        elif argument == "settings":
            lines = [f"{name} {written(value)}" for name, value in self.talk.settings.items()]
            lines.append(f"others: {' '.join(name for name in ANSWER_OPTIONS if name not in self.talk.settings)}")
        elif self.talk.messages is not None:
            lines = [transcript(self.talk.messages)]
        else:
            lines = [f"{pair['source']}\t{pair['prediction']}" for pair in self.talk.pairs]
        for line in lines:
            self.terminal.say(line)

    def save(self, argument: str) -> None:
        """Saves what was said."""
        if not argument:
            raise InputError("/save: give a file, such as /save talk.jsonl")
        count = self.talk.save(Path(argument).expanduser())
        self.terminal.remark(f"({count} {'rows' if self.talk.messages is None else 'messages'} in {argument})")

    def quit(self, argument: str) -> None:
        """Ends."""
        self.is_over = True


COMMANDS = {
    "/help": Command("/help", "this list", Talking.help),
    "/reset": Command("/reset", "forget what was said", Talking.reset),
    "/set": Command("/set NAME VALUE", "a setting, such as temperature 0.7; default undoes it", Talking.set),
    "/beams": Command("/beams N", "search with so many beams", Talking.beams),
    "/show": Command("/show WHAT", "attention of the last answer, settings, or history", Talking.show),
    "/save": Command("/save FILE", "write what was said as JSON lines", Talking.save),
    "/quit": Command("/quit", "end", Talking.quit),
}


def load_talker(path: str, options: Model) -> Loaded:
    """Loads a model that writes text.

    Raises:
        InputError: it is a classifier.
    """
    loaded = load(path, trust_remote_code=options.trust_remote_code, engine=options.engine)
    if loaded.classifies:
        raise InputError(f"{path}: contains a classifier, which writes no text; hf-seq2seq classify {path}")
    return loaded


def completions(line: str) -> list[str]:
    """The lines that begin with this one, for the tabulator key."""
    lines = [*COMMANDS, *(f"/set {name}" for name in ANSWER_OPTIONS), *(f"/show {what}" for what in SHOWN)]
    return [each for each in lines if line.startswith("/") and each.startswith(line)]


def _plain(error: Exception) -> str:
    """A message in one line, which names settings rather than flags."""
    return without_flags(" ".join(str(error).split()))
