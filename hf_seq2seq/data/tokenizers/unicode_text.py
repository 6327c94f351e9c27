"""Text that Rust can represent: no lone surrogates."""


def valid_text(text: str) -> str:
    """Joins surrogate pairs (JSON may spell an emoji as two) and replaces anything unencodable by U+FFFD."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return text
