"""Access to the Hub: the user's identity, and one-line errors."""

import os
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from hf_seq2seq.errors import InputError

if TYPE_CHECKING:
    from huggingface_hub import HfApi

LOGIN = "`hf auth login` stores one, or set HF_TOKEN"
FORBIDDEN, UNKNOWN_TOKEN, TOO_MANY = 403, 401, 429


def open_hub(repository: str) -> "HfApi":
    """Checks before any upload whether this user may write to a repository; never prints the token.

    Raises:
        InputError: the token is missing, unknown to the Hub or read-only, the name is invalid, or the namespace is not
            the user's.
    """
    from huggingface_hub import HfApi, constants, get_token
    from huggingface_hub.utils import validate_repo_id

    with explained(repository):
        validate_repo_id(repository)
    if constants.HF_HUB_OFFLINE:
        raise InputError(f"{repository}: HF_HUB_OFFLINE is set")
    if not get_token():
        raise InputError(f"{repository}: uploading needs a Hub token; {LOGIN}")
    api = HfApi(library_name="hf-seq2seq")
    with explained(repository):
        user = api.whoami()
    if ((user.get("auth") or {}).get("accessToken") or {}).get("role") == "read":
        raise InputError(f"{repository}: the token is read-only; use one with the role 'write'; {LOGIN}")
    mine = [user["name"], *(organization["name"] for organization in user.get("orgs", ()))]
    owner = repository.split("/")[0]
    if "/" in repository and owner not in mine:
        raise InputError(f"{repository}: your token belongs to {user['name']!r}, who may write to {', '.join(mine)}")
    return api


@contextmanager
def explained(repository: str) -> Iterator[None]:
    """Turns errors of the Hub's library into one line, and silences its reports of retries.

    Its progress bars are off unless standard error is a terminal.

    Raises:
        InputError: names the repository and the reason.
    """
    from huggingface_hub import utils
    from huggingface_hub.utils import logging

    verbosity, settled = logging.get_verbosity(), utils.are_progress_bars_disabled() or sys.stderr.isatty()
    logging.set_verbosity_error()
    if not settled:
        utils.disable_progress_bars()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    except InputError:
        raise
    except Exception as error:  # the library's HTTP client has its own errors, and was replaced once
        raise InputError(f"{repository}: {reason(error)}") from error
    finally:
        logging.set_verbosity(verbosity)
        if not settled:
            utils.enable_progress_bars()


def reason(error: Exception) -> str:
    """Why the Hub refused or did not respond, in a few words."""
    from huggingface_hub import constants, errors

    silent = "HF_HUB_OFFLINE is set" if constants.HF_HUB_OFFLINE else f"the Hub does not respond ({constants.ENDPOINT})"
    known = {
        errors.GatedRepoError: "is gated; ask for access on its page",
        errors.RepositoryNotFoundError: f"no such repository on the Hub, or a private one that needs a token; {LOGIN}",
        errors.RevisionNotFoundError: "has no such revision",
        errors.HFValidationError: "is not the name of a repository, such as me/my-model",
        errors.LocalEntryNotFoundError: silent,
        errors.OfflineModeIsEnabled: silent,
    }
    for kind, text in known.items():
        if isinstance(error, kind):
            return text
    response = getattr(error, "response", None)
    if response is not None:
        return _refusal(response.status_code, response.headers.get("X-Error-Message") or "")
    if type(error).__module__.split(".")[0].startswith(("httpx", "httpcore")):
        return silent
    lines = [line.strip(" -") for line in str(error).splitlines() if line.strip()]
    return " ".join(lines[:2]) or type(error).__name__


def _refusal(status: int, message: str) -> str:
    if status == UNKNOWN_TOKEN:
        place = "HF_TOKEN is set to one" if os.environ.get("HF_TOKEN") else "the stored one is wrong"
        return f"the Hub does not know the token; {place}; {LOGIN}"
    if status == TOO_MANY:
        return "the Hub asks to wait: too many requests"
    return f"the Hub refuses ({status}): {message}" if message else f"the Hub responded with error {status}"
