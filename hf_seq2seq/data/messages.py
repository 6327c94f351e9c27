"""Messages of conversations and their validation; imports no data library."""

from collections.abc import Mapping, Sequence
from typing import Any

from hf_seq2seq.data.rows import is_unicode, shown
from hf_seq2seq.data.tokenizers.unicode_text import is_blank
from hf_seq2seq.errors import InputError, nearest

Messages = list[dict[str, str]]
"""A conversation: `[{"role": "user", "content": "hi"}, {"role": "assistant", "content": "hello"}]`."""

OBJECTIVE = "dialogue"
COLUMN = "messages"
USER, ASSISTANT = "user", "assistant"
ROLES = ("system", "developer", USER, ASSISTANT, "tool", "function")
"""The roles of usual chat templates."""
SPEAKERS = {
    **dict.fromkeys(("human", "prompter"), USER),
    **dict.fromkeys(("gpt", "chatgpt", "bing", "bard", "bot", "model"), ASSISTANT),
    **dict.fromkeys(("observation", "function_response"), "tool"),
}
"""Roles by the names of speakers in ShareGPT's and similar formats."""
READ = {"role", "content", "from", "value"}
BESIDE = ("system", "system_prompt", "history", "tools")
"""Columns next to messages that other tools read as part of the conversation."""


def reply_numbers(messages: Messages) -> list[int]:
    """The indices of replies: the assistant's messages, except one that opens the conversation."""
    return [index for index, message in enumerate(messages) if index and message["role"] == ASSISTANT]


def transcript(messages: Messages) -> str:
    """Messages for display, `user: hi` on a line and `assistant: hello` on the next."""
    return "\n".join(f"{message['role']}: {message['content']}" for message in messages)


def is_dialogue(options: Mapping[str, Any]) -> bool:
    """Whether a run, given its options by flat name, learns replies: some recipes have one objective, others a list."""
    return options.get("objective") in (OBJECTIVE, [OBJECTIVE])


def check_messages(value: Any, place: str, reply: bool) -> Messages:
    """A cell as messages with only role and content.

    Args:
        value: the cell.
        place: for errors.
        reply: whether the last message must be the assistant's; otherwise it must not.

    Raises:
        InputError: a message is invalid; names it.
    """
    if not isinstance(value, Sequence) or isinstance(value, str) or not value:
        raise InputError(
            f'{place}: {shown(value)} is not a list of messages, such as {{"role": "user", "content": "hi"}}'
        )
    messages: Messages = []
    for number, message in enumerate(value, start=1):
        role, content = _role_and_content(message)
        if not isinstance(role, str) or not isinstance(content, str):
            raise InputError(f"{place}: message {number}, {shown(message)}, needs a role and a content, both text")
        if not is_unicode(content):
            raise InputError(f"{place}: message {number} has half of a surrogate pair, which is no character")
        if role not in ROLES:
            raise InputError(f"{place}: message {number}: unknown role {role!r}{nearest(role, ROLES)}")
        if role in (USER, ASSISTANT) and is_blank(content):
            raise InputError(f"{place}: message {number}, of the {role}, is empty; fill it in or remove the row")
        messages.append({"role": role, "content": content})
    if (messages[-1]["role"] == ASSISTANT) != reply:
        hint = "" if reply else "; leave it out, because the model generates it"
        raise InputError(f"{place}: the last message is {'not ' if reply else ''}the assistant's{hint}")
    if reply and not reply_numbers(messages):
        raise InputError(f"{place}: the only message is the assistant's; a reply needs a message before it")
    return messages


def _role_and_content(message: Any) -> tuple[Any, Any]:
    """The role and content of a message, also in ShareGPT's format: `{"from": "human", "value": "hi"}`."""
    if not isinstance(message, Mapping):
        return None, None
    speaker, value = message.get("from"), message.get("value")
    role, content = message.get("role"), message.get("content")
    role = SPEAKERS.get(str(speaker), speaker) if role is None else role
    return role, value if content is None else content
