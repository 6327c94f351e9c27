"""Every preset parses and runs: on what it names, or on rows of the same columns and a tiny checkpoint in its place."""

import json
from collections.abc import Callable
from pathlib import Path
from pydoc_data.topics import topics
from typing import Any

import pytest
import yaml
from datasets import ClassLabel, Dataset, DatasetDict, Features, Value

from hf_seq2seq.api.recipe_files import load
from hf_seq2seq.data.evaluation_sets import kind_of
from hf_seq2seq.sections import build

CONFIGS = Path(__file__).parents[2] / "recipes" / "configs"
PRESETS = sorted([*CONFIGS.glob("*.yaml"), *(CONFIGS / "studies").glob("*.yaml")])
ONLINE = [path for path in PRESETS if "dataset_name" in yaml.safe_load(path.read_text())]
# What a preset does not name itself, for the text is no part of the package: the splits it gives.
TEXTS = {"tinyshakespeare": {"train", "validation"}, "inflection": {"train"}}
FORMS = "walk\twalked\tV;PST\ngo\twent\tV;PST\nhouse\thouses\tN;PL\nhouse\thouse\tN;SG\n"

NEWS = "The river rose after a week of rain. Two bridges are closed."
ANSWERS = {"text": ["after a week of rain", "after rain"], "answer_start": [15, 15]}
SAID = [{"role": "user", "content": "Is the bridge open?"}, {"role": "assistant", "content": "No, it is closed."}]
# A row of each data set, as the Hub has it.
ROWS: dict[str, dict[str, Any]] = {
    "wmt/wmt16": {"translation": {"de": "Die Brücke ist gesperrt.", "en": "The bridge is closed."}},
    "EdinburghNLP/xsum": {"document": NEWS, "summary": "Two bridges are closed after rain.", "id": "17"},
    "rajpurkar/squad": {
        "id": "1", "title": "River", "context": NEWS, "question": "When did the river rise?", "answers": ANSWERS,
    },
    "HuggingFaceH4/no_robots": {"prompt": "Is", "prompt_id": "1", "messages": SAID, "category": "Chat"},
    "nyu-mll/glue": {"sentence": "a charming film", "label": 1, "idx": 0},
    "Salesforce/wikitext": {"text": " = River = \n"},
}  # fmt: skip
FAMILIES = {"gpt": "gpt2"}


@pytest.mark.parametrize("path", [path for path in PRESETS if path not in ONLINE], ids=lambda path: path.stem)
def test_preset(path: Path, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    request.getfixturevalue("monkeypatch").chdir(path.parents[2])  # where its command is typed
    values = yaml.safe_load(path.read_text())
    splits = {"train", "validation", "test"}
    if path.stem in TEXTS:
        splits = TEXTS[path.stem]
        values["train_file"] = str(tmp_path / "text.txt")
        Path(values["train_file"]).write_text(FORMS if path.stem == "inflection" else "\n\n".join(topics.values()))
    recipe = load(values.pop("recipe"))
    task = recipe.prepare(build(recipe.Config, values | {"output_dir": str(tmp_path / "out")}))
    assert splits == set(map(kind_of, task.splits))
    assert task.splits["train"].truncated == (0, 0)


def data_set(name: str, folder: Path) -> str:
    """The same columns and splits as on the Hub; squad has no test split, no_robots no validation split."""
    rows = [ROWS[name]] * 8
    features = None
    if name == "nyu-mll/glue":
        features = Features(
            sentence=Value("string"), label=ClassLabel(names=["negative", "positive"]), idx=Value("int32")
        )
        rows = [{"sentence": f"{word} film", "label": n, "idx": 0} for n, word in enumerate(("dull", "good"))] * 4
    hidden = [row | {"label": -1} for row in rows] if features else rows  # the labels of GLUE's test rows are not told
    other = {"rajpurkar/squad": "validation", "HuggingFaceH4/no_robots": "test"}
    names = ["train", other[name]] if name in other else ["train", "validation", "test"]
    found = {split: Dataset.from_list(hidden if split == "test" else rows, features=features) for split in names}
    DatasetDict(found).save_to_disk(folder)
    return str(folder)


@pytest.mark.parametrize("path", ONLINE, ids=lambda path: path.stem)
def test_preset_of_the_hub(path: Path, tmp_path: Path, tiny_checkpoint: Callable[[str, list[str]], str]) -> None:
    values = yaml.safe_load(path.read_text())
    recipe, name = values.pop("recipe"), values["dataset_name"]
    texts = [json.dumps(ROWS[name], ensure_ascii=False), values.get("source_prefix", ""), "question: context:"]
    changes = {
        "dataset_name": data_set(name, tmp_path / "rows"),
        "model_name_or_path": tiny_checkpoint(FAMILIES.get(recipe, recipe), texts),
        "output_dir": str(tmp_path / "out"),
        "max_steps": 2,
        "use_cpu": True,
    }
    values.pop("dataset_config_name", None)
    if "validation_split_percentage" in values:
        changes["validation_split_percentage"] = 25
    module = load(recipe)
    module.main(build(module.Config, values | changes))
    results = json.loads((tmp_path / "out" / "all_results.json").read_text())
    chosen = values.get("metric_for_best_model", "loss")
    assert results[f"eval_{chosen}"] >= 0
    assert results["train_steps"] == 2
    assert results["train_samples"] > 0
