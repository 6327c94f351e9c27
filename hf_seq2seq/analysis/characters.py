"""Characters that neither HTML nor XML can hold, which texts of rows may have."""

import re

FORBIDDEN = re.compile("[\\x00-\\x08\\x0b\\x0c\\x0e-\\x1f\\ud800-\\udfff\\ufffe\\uffff]")
"""XML 1.0, section 2.2, has no others."""


def allowed(markup: str) -> str:
    """A page or picture with U+FFFD for each forbidden character: one would make a browser refuse a whole picture."""
    return FORBIDDEN.sub("\ufffd", markup)
