"""What every test starts from: no network, an own cache, one thread, fixed seeds."""

import atexit
import gc
import importlib.util
import os
import random
import shutil
import signal
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

# Set before anything imports transformers or datasets, which read these once. Started processes inherit them.
_CACHE = tempfile.mkdtemp(prefix="hf-seq2seq-tests-")
atexit.register(shutil.rmtree, _CACHE, ignore_errors=True)
os.environ |= {
    "HF_HOME": _CACHE,
    "HF_HUB_OFFLINE": "1",
    "HF_DATASETS_DISABLE_PROGRESS_BARS": "1",
    "MPLBACKEND": "Agg",
    "OMP_NUM_THREADS": "1",
    "TOKENIZERS_PARALLELISM": "false",
}

import numpy as np  # noqa: E402
import pytest  # noqa: E402
import torch  # noqa: E402

if TYPE_CHECKING:
    from transformers import PreTrainedModel

torch.set_num_threads(1)
os.fsync = lambda handle: None  # as `forking.spare_the_disk`
# A suite started in the background or by nohup ignores these, and so would every process that a test starts.
signal.signal(signal.SIGINT, signal.default_int_handler)
signal.signal(signal.SIGHUP, signal.SIG_DFL)

REPOSITORY = Path(__file__).parent.parent


_IMPORTED = [0]
"""Modules when the collector of garbage was last spared what they hold."""


def pytest_collection_finish() -> None:
    """Spares the collector of garbage the hundreds of thousands of objects that imports and collection leave."""
    _IMPORTED[0] = len(sys.modules)
    gc.collect()
    gc.freeze()


def pytest_runtest_logfinish() -> None:
    """Spares it also what tests import: transformers alone would cost every collection a quarter of a second."""
    if len(sys.modules) > _IMPORTED[0] + 200:
        pytest_collection_finish()


@pytest.fixture(autouse=True)
def seed() -> int:
    """Fixes every global generator before each test, so that tests pass alone and in any order."""
    random.seed(0)
    np.random.seed(0)
    torch.default_generator.manual_seed(0)  # torch.manual_seed formats tracebacks where there is no device to seed
    return 0


@pytest.fixture(scope="session")
def repository() -> Path:
    """The folder of pyproject.toml."""
    return REPOSITORY


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """A folder of real data sets next to the repository or where HF_SEQ2SEQ_DATA says."""
    folder = Path(os.environ.get("HF_SEQ2SEQ_DATA", REPOSITORY.parent / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(f"no real data at {folder}: set HF_SEQ2SEQ_DATA")
    return folder


@pytest.fixture
def leaving_nothing() -> Callable[[], Any]:
    """A context that fails if tensors are left in cycles of references: they live on until Python looks for such."""

    @contextmanager
    def within() -> Iterator[None]:
        gc.collect()
        gc.set_debug(gc.DEBUG_SAVEALL)
        try:
            yield
            gc.collect()
            left = [tuple(item.shape) for item in gc.garbage if isinstance(item, torch.Tensor)]
        finally:
            gc.set_debug(0)
            gc.garbage.clear()
        assert not left

    return within


def _tiny_model(family: str, size: int, ids: dict[str, int]) -> "PreTrainedModel":
    """Random weights, no dropout, and 1,024 positions."""
    import transformers as hf

    vocabulary = {"vocab_size": size, **ids}
    if family == "t5":
        sizes = {"d_model": 64, "d_kv": 32, "d_ff": 64, "num_layers": 1, "num_heads": 2, "dropout_rate": 0.0}
        start = {"decoder_start_token_id": ids["pad_token_id"]}
        return hf.T5ForConditionalGeneration(hf.T5Config(**sizes, **vocabulary, **start))
    if family in ("bart", "pegasus"):
        sides = {"layers": 1, "attention_heads": 2, "ffn_dim": 64}
        sizes = {f"{side}_{name}": value for side in ("encoder", "decoder") for name, value in sides.items()}
        start = {"d_model": 64, "dropout": 0.0, "decoder_start_token_id": ids["bos_token_id"]}
        config, model = {
            "bart": (hf.BartConfig, hf.BartForConditionalGeneration),
            "pegasus": (hf.PegasusConfig, hf.PegasusForConditionalGeneration),
        }[family]
        return model(config(**sizes, **vocabulary, **start, max_position_embeddings=1024))
    sizes = {"hidden_size": 64, "num_hidden_layers": 1, "num_attention_heads": 2, "max_position_embeddings": 1024}
    if family == "gpt2":
        drops = dict.fromkeys(("resid_pdrop", "embd_pdrop", "attn_pdrop"), 0.0)
        return hf.GPT2LMHeadModel(hf.GPT2Config(**sizes, **vocabulary, **drops))
    if family == "llama":
        return hf.LlamaForCausalLM(hf.LlamaConfig(**sizes, **vocabulary, intermediate_size=64))
    return hf.BertModel(hf.BertConfig(**sizes, vocab_size=size, intermediate_size=64))


@pytest.fixture
def tiny_checkpoint(tmp_path: Path) -> Callable[[str, list[str]], str]:
    """Saves a tiny model of a family, with a tokenizer of the texts' characters, and names its folder."""

    def save(family: str, texts: list[str]) -> str:
        from hf_seq2seq.configs import NewTokenizer
        from hf_seq2seq.data.tokenizers.special_tokens import BERT, GPT, SEQ2SEQ
        from hf_seq2seq.data.tokenizers.vocabulary import train_tokenizers

        folder = tmp_path / f"tiny-{family}"
        specials = {"gpt2": GPT, "llama": GPT, "bert_classifier": BERT}.get(family, SEQ2SEQ)
        options = NewTokenizer(tokenizer_type="char", max_source_length=1024)
        tokenizer = train_tokenizers(texts, [], options, specials=specials).source
        found = {f"{role}_token_id": getattr(tokenizer, f"{role}_token_id") for role in ("pad", "eos", "bos")}
        ids = {role: value for role, value in found.items() if value is not None}
        _tiny_model(family, len(tokenizer), ids).save_pretrained(folder)
        tokenizer.save_pretrained(folder)
        return str(folder)

    return save


@pytest.fixture
def comet_checkpoint(tmp_path: Path) -> Callable[..., Path]:
    """Makes a folder of the form of a published COMET checkpoint, of random weights, and names it."""
    pieces = [("<s>", 0.0), ("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0), ("\u2581", -2.0)]
    pieces += [(chr(code), -3.0) for code in range(ord("a"), ord("z") + 1)] + [("\u2581the", -4.0), ("<mask>", 0.0)]

    def make(kind: str, **settings: Any) -> Path:
        import yaml
        from safetensors.torch import save_file
        from transformers import XLMRobertaConfig, XLMRobertaModel, XLMRobertaTokenizer

        from hf_seq2seq.metrics.comet_model import CometModel, CometSettings

        folder = tmp_path / f"{kind}-{len(list(tmp_path.iterdir()))}"
        sizes = {"hidden_size": 12, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 16}
        config = XLMRobertaConfig(**sizes, vocab_size=len(pieces), max_position_embeddings=80)
        config.save_pretrained(folder)
        XLMRobertaTokenizer(vocab=pieces).save_pretrained(folder)
        chosen = {"class_identifier": kind, "hidden_sizes": [7, 5], "layer_norm": False, "batch_size": 4} | settings
        (folder / "hparams.yaml").write_text(yaml.safe_dump(chosen))
        (folder / "README.md").write_text("---\nlicense: cc-by-nc-sa-4.0\n---\n# A metric\n")
        model = CometModel(CometSettings.of(chosen, "here"), XLMRobertaModel(config, add_pooling_layer=False))
        for parameter in model.parameters():
            torch.nn.init.normal_(parameter, std=1.0)
        save_file(model.state_dict(), folder / "model.safetensors")
        return folder

    return make


def _module(name: str) -> Any:
    """A sibling module."""
    if name in sys.modules:
        return sys.modules[name]
    spec = importlib.util.spec_from_file_location(name, REPOSITORY / "tests" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = sys.modules[spec.name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def tiny_family(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], str]:
    """The folder of a checkpoint of `tiny_checkpoints.py`; one is written once."""
    made: dict[str, str] = {}

    def find(name: str) -> str:
        tiny = _module("tiny_checkpoints")
        if name in tiny.NEED_SENTENCEPIECE:
            pytest.importorskip("sentencepiece", reason="needs the extra [sentencepiece]")
        if name not in made:
            with torch.random.fork_rng():
                made[name] = tiny.save(name, tmp_path_factory.mktemp(name) / name)
        return made[name]

    return find


@pytest.fixture(scope="session")
def hub_server() -> Iterator[Any]:
    """The server of `loopback_hub`, at the same address for all tests."""
    server = _module("loopback_hub").start_server()
    yield server
    server.shutdown()
    server.server_close()


@pytest.fixture
def loopback_hub(hub_server: Any) -> Any:
    """A Hub of the test's own on the loopback interface, as `loopback_hub.py` describes it."""
    return _module("loopback_hub").LoopbackHub(hub_server)


@pytest.fixture(scope="session")
def hub_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The cache of programs that take `hub_server` for the Hub: a link, which a test directs to a folder of its own."""
    return tmp_path_factory.mktemp("hub") / "home"


@pytest.fixture(scope="session")
def hub_python(hub_server: Any, hub_home: Path) -> Iterator[str]:
    """A `forked_python` whose libraries take `hub_server` for the Hub and `hub_home` for their cache."""
    environment = _module("loopback_hub").environment_of(hub_server) | {"HF_HOME": str(hub_home)}
    with _module("forking").forked_python(environment) as command:
        yield command


@pytest.fixture(scope="session")
def torch_processes() -> Iterator[Any]:
    """New processes that have torch imported, as `forking.py` describes them; for an environment of the test's own."""
    forking = _module("forking")
    with forking.ForkServer(forking.TORCH) as server:
        yield server


@pytest.fixture(scope="session")
def transformers_processes() -> Iterator[Any]:
    """New processes that have torch and transformers imported, and nothing of this package."""
    forking = _module("forking")
    with forking.ForkServer(forking.TRANSFORMERS) as server:
        yield server


@pytest.fixture(scope="session")
def forked_python() -> Iterator[str]:
    """A command that stands for `sys.executable`, with this package imported, as `forking.py` describes it."""
    with _module("forking").forked_python() as command:
        yield command


@pytest.fixture(scope="module")
def forked(forked_python: str) -> Iterator[None]:
    """Lets `sys.executable` be a `forked_python`, for a module's own processes and those that the package starts."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "executable", forked_python)
        yield


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """A headless Chromium; tests that need one skip where there is none."""
    playwright = pytest.importorskip("playwright.sync_api", reason="needs the package playwright")
    names = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
    with playwright.sync_playwright() as started:
        own = started.chromium.executable_path
        found = own if Path(own).exists() else next(filter(None, map(shutil.which, names)), None)
        if found is None:
            pytest.skip(f"no browser: none of Playwright's own, {', '.join(names)}")
        running = started.chromium.launch(executable_path=found, args=["--no-sandbox"])
        yield running
        running.close()
