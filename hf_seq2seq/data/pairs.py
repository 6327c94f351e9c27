"""Pairs of source and target text: which columns they stand in, and every cell checked."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
from datasets import Dataset

from hf_seq2seq.configs import PairData, flag
from hf_seq2seq.data.cells import cells_of, check_texts, column_of, refuse_cell, row_sample, shown
from hf_seq2seq.data.columns import (
    by_lower_case,
    check_header,
    named_column,
    text_columns,
    without_numbers,
)
from hf_seq2seq.data.conventions import PAIRS
from hf_seq2seq.data.sources import split_place
from hf_seq2seq.errors import InputError
