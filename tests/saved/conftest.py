"""The small models that decoding is tested with are also those that are saved and loaded here."""

import importlib.util
from pathlib import Path

_spec = importlib.util.spec_from_file_location("small_models", Path(__file__).parents[1] / "decoding" / "conftest.py")
assert _spec is not None
assert _spec.loader is not None
_models = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(_models)
make_model, saved_model = _models.make_model, _models.saved_model
texts, tokenizers = _models.texts, _models.tokenizers
