"""The leaderboard of a search: every trial and baseline with its score and cost, as table, JSON and picture."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from hf_seq2seq import strict_json
from hf_seq2seq.drafts import open_draft
from hf_seq2seq.folders import fill_folder
from hf_seq2seq.tuning.following import Goal
from hf_seq2seq.tuning.spaces import describe_settings
from hf_seq2seq.tuning.study import COMPLETE, FAILED, RUNNING, SKIPPED, STOPPED, TrialRecord

WIDTH = 60
"""Characters of a reason that the table shows; the JSON file has all of it."""
UNSCORED = (FAILED, SKIPPED)
INTERRUPTED = "interrupted"
"""Of a trial that a search left in progress, and had no time to resume."""
TABLE, DATA, PICTURE = "leaderboard.md", "leaderboard.json", "leaderboard.png"


@dataclass(frozen=True)
class Entry:
    """A system on the leaderboard.

    Attributes:
        name: of its folder, or what a baseline is called.
        kind: its recipe, or "baseline".
        settings: what sets it apart.
        state: "complete", "stopped", "failed", "skipped" or "interrupted".
        score: on the validation rows; None where there is none.
        seconds: that it took.
        reason: why it stopped or failed.
        loss: on the validation rows, which decides between equal scores; None where there is none.
    """

    name: str
    kind: str
    settings: dict[str, Any] = field(default_factory=dict)
    state: str = "complete"
    score: float | None = None
    seconds: float = 0.0
    reason: str = ""
    loss: float | None = None

    @classmethod
    def of(cls, record: TrialRecord) -> "Entry":
        """A trial's entry."""
        detail = record.reason if record.state in UNSCORED else f"{record.share:.0%} of its steps"
        state = INTERRUPTED if record.state == RUNNING else record.state
        found = (record.settings, state, record.value, record.seconds, detail, record.loss)
        return cls(record.folder, record.recipe, *found)


def ordered(entries: Sequence[Entry], goal: Goal) -> list[Entry]:
    """Best first, of equal scores the one with the lower loss; what has no score comes last."""
    sign = -1 if goal.greater else 1
    losses = {id(entry): math.inf if entry.loss is None else entry.loss for entry in entries}
    return sorted(entries, key=lambda entry: (entry.score is None, sign * (entry.score or 0.0), losses[id(entry)]))


def table(entries: Sequence[Entry], goal: Goal) -> list[str]:
    """The lines of a Markdown table, best first."""
    rows = [["", f"validation {goal.metric}", "seconds", "state", "settings"]]
    rows += [
        [
            entry.name,
            "–" if entry.score is None else f"{entry.score:.4g}",
            f"{entry.seconds:.0f}",
            f"{entry.state}: {_short(entry.reason)}" if entry.state in UNSCORED else entry.state,
            describe_settings(entry.settings) if entry.kind != "baseline" else "baseline",
        ]
        for entry in ordered(entries, goal)
    ]
    cells = [[cell.replace("|", "\\|").replace("\n", " ") for cell in row] for row in rows]
    widths = [max(len(row[column]) for row in cells) for column in range(len(cells[0]))]
    lines = ["| " + " | ".join(c.ljust(w) for c, w in zip(row, widths, strict=True)) + " |" for row in cells]
    return [lines[0], "|" + "|".join("-" * (width + 2) for width in widths) + "|", *lines[1:]]


def _short(reason: str) -> str:
    return reason if len(reason) <= WIDTH else f"{reason[: WIDTH - 1]}…"


def write_leaderboard(
    folder: Path, entries: Sequence[Entry], goal: Goal, final: Mapping[str, Any], remarks: Sequence[str] = ()
) -> None:
    """Writes table and JSON, and when all is known the picture.

    Args:
        folder: of the search.
        entries: the systems.
        goal: what they are compared by.
        final: what is known of the system that was chosen: its name, settings and scores; empty before that.
        remarks: lines below the table.
    """
    best_first = ordered(entries, goal)
    found = {"metric": goal.metric, "greater_is_better": goal.greater, "systems": [asdict(e) for e in best_first]}
    with open_draft(folder / DATA) as file:
        file.write(strict_json.dumps(found | ({"final": dict(final)} if final else {}), indent=2) + "\n")
    with open_draft(folder / TABLE) as file:
        file.write("\n".join([*table(entries, goal), *(f"\n{remark}" for remark in remarks)]) + "\n")
    scored = [entry for entry in best_first if entry.score is not None]
    if scored and final:
        from hf_seq2seq.analysis.pictures import System, draw_leaderboard

        systems = [System(e.name, e.kind, e.seconds, e.score or 0.0, e.state == "complete") for e in scored]
        with fill_folder(folder) as draft:
            draw_leaderboard(systems, goal.metric, goal.greater, draft / PICTURE)


def line_of(record: TrialRecord, goal: Goal) -> str:
    """A trial in a line, when it has ended."""
    score = "no score" if record.value is None else f"{goal.metric} {record.value:.4g}"
    ended = {COMPLETE: "complete", STOPPED: f"stopped at {record.share:.0%}"}
    ended |= {state: f"{state}: {record.reason}" for state in UNSCORED}
    settings = describe_settings(record.settings)
    return f"{record.folder}  {score}  {record.seconds:.0f} s  {ended.get(record.state, record.state)}  {settings}"
