"""Options of `serve`; imports no torch, so that the command line can list them quickly."""

from dataclasses import dataclass, field

from hf_seq2seq.decoding.pipeline import ENGINES
from hf_seq2seq.sections import Section, option

KEY = "HF_SEQ2SEQ_API_KEY"
"""Environment variable with the key that requests must carry."""
LOOPBACK = ("127.0.0.1", "::1", "localhost")


@dataclass(frozen=True, kw_only=True)
class Network(Section):
    """Network: where the server listens."""

    host: str = option("127.0.0.1", f"Address to listen on; any but a loopback address needs a key in {KEY}.")
    port: int = option(8000, "Port to listen on; 0 for any free one.", at_least=0, at_most=65535)
    cors_origins: tuple[str, ...] = option((), "Web pages of these origins may ask, such as https://example.org.")


@dataclass(frozen=True, kw_only=True)
class Limits(Section):
    """Limits of requests."""

    max_requests: int = option(128, "Requests at a time; more are answered by 429.", at_least=1, at_most=4096)
    max_texts: int = option(256, "Texts per request.", at_least=1)
    max_body_kib: int = option(4096, "Size of a request's body in KiB.", at_least=1)
    max_new_tokens_limit: int = option(1024, "Largest max_new_tokens that a request may ask for.", at_least=1)
    max_beams: int = option(20, "Most beams, or outputs per text, that a request may ask for.", at_least=1)
    request_seconds: float = option(120.0, "Time for a request, after which it is answered by 504.", above=0)
    shutdown_seconds: float = option(30.0, "Time to finish requests after SIGTERM.", at_least=0)
    max_batch_tokens: int = option(
        65_536, "Tokens decoded together: sources and longest outputs, for each hypothesis.", at_least=1
    )


@dataclass(frozen=True, kw_only=True)
class Loading(Section):
    """Models: how they are loaded."""

    engine: str = option(
        "transformers", "Inference engine; `export` writes the format of ctranslate2.", choices=ENGINES
    )
    trust_remote_code: bool = option(False, "Allow a Hub repository to run its own code.")


@dataclass(frozen=True)
class ServeConfig:
    """The flags of `serve`."""

    network: Network = field(default_factory=Network)
    limits: Limits = field(default_factory=Limits)
    loading: Loading = field(default_factory=Loading)
