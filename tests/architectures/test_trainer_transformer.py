"""transformers' own Trainer must not scale the loss by the accumulation a second time."""

import pytest
import torch
from transformers import Trainer, TrainingArguments


@pytest.mark.parametrize("accumulation", [2, 4])
def test_accumulation_changes_no_weight(build_transformer, tmp_path, accumulation):
    rows = [
        {"input_ids": [4, 5, 6], "attention_mask": [1, 1, 1], "labels": [7, 8, 9, 1][:length] + [-100] * (4 - length)}
        for length in (4, 1, 2, 3, 1, 1, 4, 2)
    ]
    trained = []
    for size, steps in ((8, 1), (8 // accumulation, accumulation)):
        torch.manual_seed(0)
        model = build_transformer(widen=1.0, dropout=0.0)
        arguments = TrainingArguments(
            output_dir=str(tmp_path), per_device_train_batch_size=size, gradient_accumulation_steps=steps, max_steps=2,
            optim="sgd", learning_rate=0.5, use_cpu=True, save_strategy="no", report_to="none", disable_tqdm=True,
            logging_steps=1,
        )  # fmt: skip
        trainer = Trainer(model=model, args=arguments, train_dataset=rows)
        trainer.train()
        losses = [line["loss"] for line in trainer.state.log_history if "loss" in line]
        trained.append((losses, model.state_dict()))
    assert trained[1][0] == pytest.approx(trained[0][0], rel=1e-4)
    for name, weight in trained[0][1].items():
        torch.testing.assert_close(trained[1][1][name], weight, msg=name)
