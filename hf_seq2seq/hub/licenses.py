"""The licenses that a card may name: the Hub rejects cards with any other value."""

from hf_seq2seq.errors import InputError, nearest

_NAMES = """
    apache-2.0 mit openrail bigscience-openrail-m creativeml-openrail-m bigscience-bloom-rail-1.0 bigcode-openrail-m
    afl-3.0 artistic-2.0 bsl-1.0 bsd bsd-2-clause bsd-3-clause bsd-3-clause-clear c-uda cc cc0-1.0 cc-by-2.0 cc-by-2.5
    cc-by-3.0 cc-by-4.0 cc-by-sa-3.0 cc-by-sa-4.0 cc-by-nc-2.0 cc-by-nc-3.0 cc-by-nc-4.0 cc-by-nd-4.0 cc-by-nc-nd-3.0
    cc-by-nc-nd-4.0 cc-by-nc-sa-2.0 cc-by-nc-sa-3.0 cc-by-nc-sa-4.0 cdla-sharing-1.0 cdla-permissive-1.0
    cdla-permissive-2.0 wtfpl ecl-2.0 epl-1.0 epl-2.0 etalab-2.0 eupl-1.1 eupl-1.2 agpl-3.0 gfdl gpl gpl-2.0 gpl-3.0
    lgpl lgpl-2.1 lgpl-3.0 isc h-research intel-research lppl-1.3c ms-pl mpl-2.0 odc-by odbl openmdw-1.0 openmdw-1.1
    openrail++ osl-3.0 postgresql ofl-1.1 ncsa unlicense zlib pddl lgpl-lr deepfloyd-if-license llama2 llama3 llama3.1
    llama3.2 llama3.3 llama4 gemma apple-ascl apple-amlr fair-noncommercial-research-license grok2-community unknown
    other
    """
LICENSES = frozenset(_NAMES.split())
"""https://huggingface.co/docs/hub/repositories-licenses, as of 2026."""


def check_license(name: str | None) -> None:
    """Rejects a license that the Hub does not accept.

    Raises:
        InputError: the license is unknown; names the nearest one.
    """
    if name is not None and name not in LICENSES:
        wanted = name.lower().replace(" ", "-")
        hint = f"; did you mean {wanted!r}?" if wanted in LICENSES else nearest(wanted, LICENSES)
        raise InputError(f"--license: {name!r} is not a license of the Hub{hint or '; for any other, use other'}")
