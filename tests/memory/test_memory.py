"""No small file exhausts the memory: every reader opens hostile ones under a limit of the system."""

from __future__ import annotations

import ast
import fcntl
import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import memberscan
from memberscan import audit, collect_references, plan_references
from memberscan.cohort import Cohort
from memberscan.federation import ckks
from memberscan.federation.settings import Settings
from memberscan.federation.simulated_run import federate
from memberscan.references.ensemble import read_scans
from memberscan.training import TrainingConfig, train

from . import of_arrays, of_federations, of_people, of_references, of_releases, of_runs
from .cases import CASES
from .limited import LARGEST, LIMIT

assert of_arrays and of_federations and of_people and of_references and of_releases and of_runs

pytestmark = pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="asks Linux for its memory")

OUT_OF_MEMORY = ("MemoryError", "allocate memory", "bad_alloc", "Unable to allocate")


@pytest.fixture(scope="module")
def outcomes(
    table: Cohort, volumes: Cohort, tmp_path_factory: pytest.TempPathFactory, testrun_uid: str
) -> Mapping[str, Mapping[str, Any]]:
    """What became of each case, by its name."""
    # All processes that run tests share what the first of them finds.
    kept = tmp_path_factory.getbasetemp().parent / f"outcomes-{testrun_uid}.json"
    with kept.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not kept.exists():
            kept.write_text(json.dumps(tried(table, volumes, tmp_path_factory)))
    found: Mapping[str, Mapping[str, Any]] = json.loads(kept.read_text())
    return found


def tried(
    table: Cohort, volumes: Cohort, tmp_path_factory: pytest.TempPathFactory
) -> Mapping[str, Mapping[str, Any]]:
    """Return what became of each case, by its name."""
    good = tmp_path_factory.mktemp("good")
    for cohort, name in ((table, "table"), (volumes, "volumes")):
        (good / name).mkdir()
        for file in cohort.path.iterdir():
            (good / name / file.name).write_bytes(file.read_bytes())
    config = TrainingConfig(epochs=1, device="cpu")
    train(Cohort.open(good / "table"), good / "run", model="mlp", options={"width": 4}, config=config, seed=0)
    audit(good / "run", good / "audit", attacks=["error"])
    asked = Settings("mlp", {"width": 4}, config, rounds=2)
    federate(table, good / "federated", settings=asked, learners=2, held_out=0.5, seed=0)
    (good / "federated" / "rounds").rename(good / "rounds")
    ckks.write_keys(good)
    make_references(good)
    place = os.pathsep.join([str(Path(__file__).parents[1]), str(Path(memberscan.__file__).parents[1])])
    ended = subprocess.run(
        [sys.executable, "-m", "memory.limited", str(good), str(tmp_path_factory.mktemp("hostile"))],
        # What is freed goes back at once, so that the next case cannot take it unnoticed.
        env={**os.environ, "PYTHONPATH": place, "MALLOC_MMAP_THRESHOLD_": "131072"},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    found = [json.loads(line) for line in ended.stdout.splitlines()]
    return {outcome["name"]: outcome for outcome in found}


def make_references(good: Path) -> None:
    """Write two references of the run, as a lab returns them."""
    plan_references(good / "run", good / "references", count=2)
    scans, _ = read_scans(good / "references")
    (good / "references" / "returned").mkdir()
    for k in (1, 2):
        noise = np.random.default_rng(k).normal(size=len(scans))
        rows = pd.DataFrame({"scan_id": scans.index, "prediction": scans["label"].to_numpy() + noise})
        rows.to_csv(good / "references" / "returned" / f"reference-00{k}.tsv", sep="\t", index=False)
    assert not collect_references(good / "references", []).missing


@pytest.mark.parametrize("name", CASES)
def test_a_hostile_file_is_refused_in_words_and_takes_no_memory(
    outcomes: Mapping[str, Mapping[str, Any]], name: str
) -> None:
    case, became = CASES[name], outcomes[name]
    assert became["status"] == 0, f"the process ended with status {became['status']}"
    assert became["size"] <= LARGEST, "the file is not small, so this shows nothing"
    kinds = became["kinds"]
    assert not kinds or "MemberscanError" in kinds, (became["chain"], became["place"])
    # Also where a typed error came of it: without the limit, the memory would have been taken.
    assert not [words for words in became["chain"] if any(sign in words for sign in OUT_OF_MEMORY)]
    assert became["megabytes"] < LIMIT >> 20
    assert case.either or bool(kinds) is not case.harmless, (became["chain"], became["place"])


# Which modules read

OF_LIBRARIES = {
    *("open_memmap", "memmap", "fromfile", "frombuffer", "read_csv", "safe_open", "ZipFile", "GzipFile"),
    *("ArrayProxy", "ckks_vector_from", "context_from", "read_bytes", "read_text", "pread", "load", "loads"),
}
OURS = {
    *("read_limited", "load_json", "parse_json", "load_npz", "parse_npy", "load_safetensors", "read_table"),
    *("parse_safetensors", "read_text_table", "genops"),
}
"""What returns contents that the caller makes sense of."""
ISOLATED = ("inspection.readers.", "inspection.cleaning.", "inspection.reading", "inspection.sources")
"""Modules that run in a process with limits of memory and time; tests/inspection gives them hostile files."""
OTHERS = {
    "attacks.identity": "makes a digest of the source of an attack",
    "auditing.scratch": "locks folders of its own",
    "auditing.stages": "loads an audit by auditing.result",
    "cohort.arrays": "calls a user's own loader",
    "cohort.bids": "reads headers by cohort.images",
    "cohort.build": "calls the loader of a source, which is cohort.images",
    "cli.audits": "loads an audit by auditing.result",
    "cli.logs": "opens a log to add to it",
    "cli.runs": "loads a model by runs",
    "federation.aggregators": "copies ciphertexts that were checked",
    "federation.sparsity_by_round": "loads a model by runs",
    "frontier.federated_tasks": "reads what its own tasks have written",
    "frontier.making": "reads its own finished frontier by received",
    "frontier.of_federations": "reads its own finished frontier by received",
    "frontier.points": "reads a table that the user names by cohort.text_table",
    "frontier.tasks": "reads what its own tasks have written",
    "training.teaching": "reads what its own training has written, by received",
    "doctor.cuda": "reads what its own process answers",
    "doctor.machine": "reads what the kernel says of the machine",
    "dossier.printing": "reads a page that it has just printed",
    "inspection.isolation": "reads what the kernel says of the process",
    "defences.answers": "reads a digest that it has just made",
    "reproduction.making": "reads its own finished reproduction by received",
    "reproduction.tasks": "loads an audit by auditing.result",
    "studies.defences": "reads a table that a researcher names for a study",
    "studies.federated_defences": "reads what the study has written, and loads a model by runs",
    "training.imports": "makes a digest of weights that were read",
    "studies.reference_recipes": "reads tables that a researcher names for a study",
    "studies.reference_twins": "reads what the study has written",
    "models.onnx_model": "computes a model that the user named; read_limited reads its file",
    "seeds": "reads a digest that it has just made",
    "signals.passes.activations_of_copies": "loads a model by runs",
    "signals.passes.copies": "loads a model by runs",
    "signals.passes.earlier_models": "loads a model by runs, and weights by targets.checkpoints",
    "signals.passes.final_model": "loads a model by runs",
    "targets.party": "loads a model by runs",
    "targets.trained_model": "loads a model by runs",
    "targets.trained_scans": "loads a model by runs",
    "user_code": "makes a digest of the source of a user's function",
}
"""Modules that call one of these, or open a file, and read nothing that others made."""


def called(module: Path) -> set[str]:
    """Return the functions that a module calls, as far as they read bytes."""
    names = set()
    for node in ast.walk(ast.parse(module.read_text())):
        if not isinstance(node, ast.Call):
            continue
        function = node.func
        name = function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")
        whose = getattr(getattr(function, "value", None), "id", "")
        modes = [a.value for a in node.args if isinstance(a, ast.Constant) and isinstance(a.value, str)]
        if name == "open" and (whose == "os" or "rb" in modes or "r" in modes):
            names.add("open")
        names |= {name} & (OF_LIBRARIES | OURS)
    return names


def test_every_module_that_reads_is_given_hostile_files() -> None:
    source = Path(memberscan.__file__).parent
    found = {
        ".".join(path.relative_to(source).with_suffix("").parts): functions
        for path in source.rglob("*.py")
        if (functions := called(path))
    }
    tried = {reader.removeprefix("memberscan.") for case in CASES.values() for reader in case.readers}
    untried = {
        module: functions
        for module, functions in found.items()
        if module not in tried | OTHERS.keys() and not module.startswith(ISOLATED)
    }
    assert not untried, "add hostile files for these modules"
    assert tried | OTHERS.keys() <= found.keys(), "these modules read nothing, or are gone"
