"""Defaults that look at the data: what a flag leaves open is derived from the training rows by the rules below.

A given flag always wins, the same rows give the same values, and each value has the reason that a run and `preview`
print. The rules follow the papers that they name; what no paper settles was measured by `benchmarks/defaults.py`.

`choosing` sets and tells what is chosen; `pairs`, `conversations`, `raw_text` and `labels` have the rules of each kind
of rows, `schedules` those of lengths, batches and steps, and `fine_tuning` those of pretrained models.
"""
