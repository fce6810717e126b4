"""Hostile runs, transcripts and audits: JSON of any kind in the place of ours, sizes and names that lie."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path

import torch

from memberscan.auditing import AuditResult
from memberscan.auditing.heading import Heading
from memberscan.auditing.merging import load_audits, merge
from memberscan.cohort import Cohort
from memberscan.models.monai_bundle import read_bundle
from memberscan.output_directory import claim, locked
from memberscan.received import load_json
from memberscan.report import terminal_table
from memberscan.runs import Run, Transcript
from memberscan.runs.canaries import Canaries
from memberscan.runs.foreign import ForeignTranscript
from memberscan.salts import read_salt
from memberscan.signals.passes.stored_rows import stored_rows
from memberscan.training import train

from . import bombs
from .bombs import HUGE
from .cases import add, edited, one, put, sparse, spoilt


def warm(good: Path) -> None:
    """Do once what loads modules and starts libraries, so that it does not count for the first case."""
    torch.optim.Adam(torch.nn.Linear(1, 1).parameters())
    Run.open(good / "run").load()
    terminal_table(load_audits([good / "audit"]))
    AuditResult.load(good / "audit").render(good / "audit")


# JSON, wherever it is read

DEEP, WIDE = "[" * 300_000, "[" + "[]," * 100_000 + "[]]"
JSONS: Mapping[str, str] = {
    "deep": DEEP,
    "deep objects": '{"a":' * 180_000,
    "wide": WIDE,
    "long number": "9" * 1_000_000,
    "long fraction": "0." + "9" * 1_000_000 + "e999999999",
    "long text": '"' + "x" * 1_000_000 + '"',
    "many keys": "{" + ",".join(f'"{k:x}":{k}' for k in range(30_000)) + "}",
}


def read_transcript(path: Path) -> None:
    """Read all that a transcript holds."""
    transcript = Transcript.open(path)
    assert transcript.fingerprint
    for number in range(len(transcript.rounds) + 1):
        transcript.global_model(number)


def read_run(path: Path) -> None:
    """Read a run, its model and its cohort."""
    run = Run.open(path)
    run.load()
    run.cohort().read(run.cohort().scans.index[:2].tolist())


def show(path: Path) -> None:
    """Show an audit in all ways there are."""
    AuditResult.load(path).render(path)
    audits = load_audits([path])
    terminal_table(audits)
    merge(audits, path.parent / "merged")


for kind, content in JSONS.items():
    add(f"json, {kind}", "received", one("x.json", content), load_json, either=True)
add("run.json", "runs.run", spoilt("run", "run.json", DEEP), read_run)
add("canaries.json", "runs.canaries", one("canaries.json", DEEP), Canaries.read)
for name in ("transcript.json", "0001/round.json"):
    add(name, "runs.transcript", spoilt("rounds", name, DEEP), read_transcript)
add(
    "config of a bundle",
    "models.monai_bundle",
    one("configs/train.json", DEEP),
    lambda p: read_bundle(p.parents[1]),
)
of_an_audit = "auditing.result auditing.merging"
add("request of an audit", "auditing.heading", one("request.json", DEEP), lambda p: Heading().since(p.parent))
add("audit.json, deep", of_an_audit, spoilt("audit", "audit.json", DEEP), show)
add("cohort.json, deep", "cohort.manifest", spoilt("table", "cohort.json", DEEP), Cohort.open)


def claimed(folder: Path) -> None:
    """Claim a folder as every command does."""
    with claim(folder, {"command": "x"}, done="x"):
        pass


def resumed(folder: Path) -> None:
    """Go on with an audit's signals, of which a ledger counts the rows."""
    row = torch.zeros(1, 3).numpy()
    scans = Cohort.open(folder.parent / "table")
    stored_rows(folder, {}, scans, scans.scans.index[:2].tolist(), 1, lambda *_: {"x": row}, "x")


def counted(ledger: object, rows: bytes) -> Callable[[Path, Path], Path]:
    """Return what makes an audit's signals, and a cohort beside them."""

    def prepare(good: Path, folder: Path) -> Path:
        shutil.copytree(good / "table", folder / "table", copy_function=os.link)
        put(folder / "signals" / "x.npy", rows)
        return put(folder / "signals" / "signals.json", ledger).parent

    return prepare


STORED = "signals.passes.stored_rows"
add("signals.json, deep", STORED, counted(DEEP, b""), resumed)
add("signals.json, many rows", STORED, counted({"request": {}, "rows": HUGE}, b""), resumed)
claims_two = {"request": {}, "rows": 2}
lying_rows = counted(claims_two, bombs.npy((HUGE, 3)))
add(
    "signals of a huge array",
    f"{STORED} signals.view rows",
    lying_rows,
    resumed,
    harmless=True,
)
add("request.json", "output_directory", one("out/request.json", DEEP), lambda path: claimed(path.parent))
add(
    "request of a training",
    "training.kept_seeds",
    one("out/request.json", DEEP),
    lambda path: train(Cohort.open(path.parent), path.parent, model="mlp"),
)


def held(path: Path) -> None:
    """Find a lock that holds a long text, and take it."""
    with locked(path.parent):
        pass


add("lock", "files", one("out/.lock", b"x" * 1_000_000), held, harmless=True)

# Runs and transcripts

OPTIONS: Mapping[str, dict[str, object]] = {
    "most parameters": {"width": 9_000_000},
    "too many": {"width": 10**9},
    "a number beyond": {"width": (1 << 63) - 1},
    "a fraction": {"width": 1e300},
    "deep": {"width": json.loads("[" * 60 + "]" * 60)},
}
for kind, options in OPTIONS.items():
    add(
        f"model of a run, {kind}",
        "runs.run",
        edited("run", "run.json", lambda c, options=options: c["model"].update(options=options)),
        read_run,
    )
for shape in ([HUGE], [1 << 40, 1 << 40, 1 << 40], [9, 10, 1 << 62], [7] * 100_000):
    add(
        f"shape of a run {str(shape)[:40]}",
        "runs.run",
        edited("run", "run.json", lambda c, shape=shape: c["model"].update(shape=shape)),
        read_run,
    )
add("salt of a run", "salts", lambda good, folder: sparse(folder / "roles.salt"), read_salt)
add(
    "a round of a high number",
    "runs.transcript",
    lambda good, folder: spoilt("rounds", "999999999/round.json", "{}")(good, folder),
    read_transcript,
)
add(
    "a learner of a long name",
    "runs.transcript",
    edited("rounds", "transcript.json", lambda c: c.update(learners=["x" * 900_000])),
    read_transcript,
)
add(
    "many learners",
    "runs.transcript",
    edited("rounds", "transcript.json", lambda c: c.update(learners=[f"l{k}" for k in range(90_000)])),
    read_transcript,
    either=True,
)


def foreign(name: str, data: bytes) -> Callable[[Path, Path], Path]:
    """Return what makes a folder of state dicts."""

    def prepare(good: Path, folder: Path) -> Path:
        put(folder / "theirs" / "0" / "global.npz", bombs.zipped({"w.npy": bombs.npy((2,), values=bytes(8))}))
        return put(folder / "theirs" / name, data).parent.parent

    return prepare


def read_foreign(path: Path) -> None:
    """Read all models of a folder of state dicts."""
    transcript = ForeignTranscript.open(path)
    assert transcript.fingerprint
    for number, models in enumerate(transcript.rounds):
        for name in models:
            transcript.model(number, name, {"w": torch.zeros(2)})


add("a folder of a huge number", "runs.foreign", foreign(f"{HUGE}/global.npz", b""), read_foreign)
add("a folder of 200 digits", "runs.foreign", foreign("9" * 200 + "/global.npz", b""), read_foreign)
