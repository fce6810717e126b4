"""Files made to harm whoever audits them: no code runs, nothing is written elsewhere, errors are typed."""

from __future__ import annotations

import copy
import json
import os
import shutil
import sys
import unicodedata
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from rich.console import Console

from memberscan import audit
from memberscan.auditing import AuditResult
from memberscan.auditing.merging import load_audits, merge
from memberscan.cli import main
from memberscan.cohort import Cohort
from memberscan.errors import (
    AuditFileError,
    BadInputError,
    MemberscanError,
    TranscriptError,
    UntrustedCodeError,
)
from memberscan.federation.settings import Settings
from memberscan.federation.simulated_run import federate
from memberscan.files import write_json
from memberscan.received import load_json
from memberscan.report import terminal_table
from memberscan.runs import Run, Transcript
from memberscan.threat import Attacker, ThreatModel
from memberscan.training import TrainingConfig, import_run

TRACE = "trace of code that ran"
PAYLOAD = f"open({TRACE!r}, 'w').close()\n\n\ndef make():\n    raise SystemExit('taken over')\n"
FUZZ = settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))


@pytest.fixture(scope="module")
def federated(tmp_path_factory: pytest.TempPathFactory) -> Run:
    folder = tmp_path_factory.mktemp("federated")
    cohort = Cohort.phantom(folder / "cohort", subjects=44, spacing=12, workers=1)
    training = TrainingConfig(epochs=1, device="cpu")
    asked = Settings("cnn3d", {"width": 4}, training, rounds=2)
    return federate(cohort, folder / "run", settings=asked, learners=2, held_out=0.5, seed=0)


@pytest.fixture(scope="module")
def audited(run: Run, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("audited") / "audit"
    audit(run.path, path, attacks=["error", "prediction+label"])
    return path


@pytest.fixture(scope="module")
def served(federated: Run, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("served") / "audit"
    threat = ThreatModel(attacker=Attacker.SERVER, leaked=0)
    audit(federated.path, path, threat=threat, smallest_cell=5)
    return path


@pytest.fixture
def payload(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A module that leaves a trace when it is imported, where the command is called, and within a run."""
    monkeypatch.chdir(tmp_path)
    for place in (tmp_path / "theirs", tmp_path / "run" / "theirs"):
        place.mkdir(parents=True)
        (place / "payload.py").write_text(PAYLOAD)
    return tmp_path


def copied(run: Run, path: Path) -> Path:
    shutil.copytree(run.path, path, dirs_exist_ok=True)
    return path


def rewrite(path: Path, change: Callable[[Any], object]) -> None:
    content = load_json(path)
    change(content)
    path.write_text(json.dumps(content))


def nothing_ran(path: Path) -> None:
    assert not list(path.rglob(TRACE))
    assert "theirs.payload" not in sys.modules
    assert str(path) not in sys.path


# Code


@pytest.mark.parametrize(
    "name", ["theirs.payload:make", "run.theirs.payload:make", "os:abort", "builtins:exit", ":", "a:b:c"]
)
def test_a_run_cannot_name_code_to_run(run: Run, payload: Path, name: str) -> None:
    received = copied(run, payload / "run")
    rewrite(received / "run.json", lambda c: c["model"].update(name=name))
    for model in (None, "cnn3d", "lab.nets:age"):
        with pytest.raises(UntrustedCodeError):
            audit(received, payload / "audit", cohort=run.cohort_path, model=model)
    nothing_ran(payload)
    assert not (payload / "audit").exists()


def test_a_module_beside_the_user_stands_in_for_nothing(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A received folder may hold its own "torch"; the user's factory may live in the same folder.
    monkeypatch.chdir(tmp_path)
    (tmp_path / "wave.py").write_text(PAYLOAD)
    (tmp_path / "own_nets.py").write_text(
        "import wave\nfrom memberscan.models import CNN3D\n\n\n"
        "def age():\n    return CNN3D((9, 10, 11), width=4)\n"
    )
    monkeypatch.delitem(sys.modules, "wave", raising=False)
    monkeypatch.setattr(sys, "path", list(sys.path))
    import_run(
        tmp_path / "mine",
        cohort=run.cohort_path,
        model="own_nets:age",
        roles=run.path / "roles.tsv",
        weights=run.path / "weights.safetensors",
    )
    assert not list(tmp_path.rglob(TRACE))


def test_a_transcript_cannot_name_code_to_run(federated: Run, payload: Path) -> None:
    received = copied(federated, payload / "run")
    rewrite(
        received / "rounds" / "transcript.json", lambda c: c["settings"].update(model="theirs.payload:make")
    )
    threat = ThreatModel(attacker=Attacker.ACTIVE_SERVER, leaked=0)
    with pytest.raises(MemberscanError, match="not a built-in model"):
        audit(received, payload / "audit", cohort=federated.cohort_path, threat=threat)
    nothing_ran(payload)


def test_networks_of_any_size_are_not_built(run: Run, tmp_path: Path) -> None:
    received = copied(run, tmp_path / "run")
    for options in (
        {"width": 10**6},
        {"width": 10**18},
        {"width": "4"},
        {"width": 4.5},
        {"width": 4, "more": 1},
    ):
        rewrite(received / "run.json", lambda c, options=options: c["model"].update(options=options))
        with pytest.raises(MemberscanError):
            Run.open(received).load()


# Names that become paths


@pytest.mark.parametrize(
    "name", ["../../outside", "/tmp/outside", "a/b", "..", "learner-9", "", "x" * 300, "global\0"]
)
@pytest.mark.parametrize("where", ["digests", "took_part"])
def test_names_in_a_transcript_cannot_lead_out_of_it(
    federated: Run, tmp_path: Path, name: str, where: str
) -> None:
    received = copied(federated, tmp_path / "in" / "run")
    value: object = "00" if where == "digests" else {"samples": 1}
    rewrite(received / "rounds" / "0001" / "round.json", lambda c: c[where].update({name: value}))
    (tmp_path / "in" / "outside.safetensors").write_bytes(b"somebody's")
    with pytest.raises(TranscriptError):
        Transcript.open(received / "rounds").copy(tmp_path / "copy")
    with pytest.raises(TranscriptError):
        import_run(
            tmp_path / "mine",
            cohort=federated.cohort_path,
            model="cnn3d",
            roles=received / "roles.tsv",
            transcript=received / "rounds",
        )
    assert not list(tmp_path.glob("outside*"))
    assert not (tmp_path / "mine").exists()


@pytest.mark.parametrize("name", ["../../outside", "/tmp/x", "a/b", "all", "global"])
def test_learners_of_a_transcript_cannot_be_called_by_paths(
    federated: Run, tmp_path: Path, name: str
) -> None:
    received = copied(federated, tmp_path / "run")
    rewrite(received / "rounds" / "transcript.json", lambda c: c.update(learners=[name]))
    with pytest.raises(TranscriptError, match="which is not allowed"):
        Transcript.open(received / "rounds")


def test_a_round_of_a_huge_number_takes_no_memory(federated: Run, tmp_path: Path) -> None:
    received = copied(federated, tmp_path / "run")
    (received / "rounds" / "999999999").mkdir()
    with pytest.raises(TranscriptError, match="lacks round 3"):
        Transcript.open(received / "rounds")


# Any JSON in the place of ours

numbers = (
    st.integers(-(10**19), 10**19) | st.floats() | st.sampled_from([0, -1, 1e308, -1e308, 5e-324, 10**15])
)
texts = st.text(max_size=30) | st.sampled_from(
    [
        r"$\frac{$",
        "$$",
        "\x1b]52;c;AAAA\x07",
        "../../x",
        "=1+1",
        "\ud800",
        "nan",
        "</script><script>",
        "é" * 5000,
        "%s{0}",
    ]
)
json_values = st.recursive(
    st.none() | st.booleans() | numbers | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=5,
)


def leaves(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Return the places of all values within JSON, the root last."""
    inner: list[tuple[Any, ...]] = []
    if isinstance(value, dict):
        inner = [p for key, v in value.items() for p in leaves(v, (*path, key))]
    elif isinstance(value, list):
        inner = [p for key, v in enumerate(value) for p in leaves(v, (*path, key))]
    return [*inner, path]


def damaged(content: Any, data: st.DataObject) -> Any:
    """Return JSON with one to three of its values replaced by any others, or taken out."""
    content = copy.deepcopy(content)
    for _ in range(data.draw(st.integers(1, 3))):
        place = data.draw(st.sampled_from(leaves(content)))
        value = data.draw(json_values)
        if not place:
            return value
        holder = content
        for key in place[:-1]:
            holder = holder[key]
        if data.draw(st.booleans()) or not isinstance(holder, dict):
            holder[place[-1]] = value
        else:
            del holder[place[-1]]
    return content


def put(path: Path, content: Any) -> None:
    path.write_text(json.dumps(content), encoding="utf-8", errors="surrogatepass")


@FUZZ
@given(st.data())
def test_any_run_json_is_read_or_refused(
    run: Run, tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    received = copied(run, tmp_path_factory.mktemp("fuzz") / "run")
    put(received / "run.json", damaged(load_json(run.path / "run.json"), data))
    try:
        opened = Run.open(received)
        opened.load()
        opened.cohort()
    except MemberscanError:
        return


@FUZZ
@given(st.data(), st.sampled_from(["transcript.json", "0000/round.json", "0002/round.json"]))
def test_any_transcript_is_read_or_refused(
    federated: Run, tmp_path_factory: pytest.TempPathFactory, data: st.DataObject, name: str
) -> None:
    received = copied(federated, tmp_path_factory.mktemp("fuzz") / "run") / "rounds"
    put(received / name, damaged(load_json(received / name), data))
    try:
        opened = Transcript.open(received)
        opened.copy(received.parent / "copy")
        for number in range(3):
            opened.global_model(number)
        for name in opened.learners:
            opened.learner_model(1, name)
        assert opened.fingerprint
    except MemberscanError:
        return


@FUZZ
@given(st.data(), st.booleans())
def test_any_audit_is_shown_or_refused(
    audited: Path,
    served: Path,
    tmp_path_factory: pytest.TempPathFactory,
    data: st.DataObject,
    of_a_server: bool,
) -> None:
    folder = tmp_path_factory.mktemp("fuzz") / "audit"
    folder.mkdir()
    content = load_json((served if of_a_server else audited) / "audit.json")
    put(folder / "audit.json", damaged(content, data))
    try:
        AuditResult.load(folder).render(folder)
        audits = load_audits([folder, audited])
        terminal_table(audits)
        merge(audits, folder.parent / "merged")
    except MemberscanError:
        return
    for page in folder.parent.rglob("*.html"):
        text = page.read_text()
        assert "\x1b" not in text
        assert "<script>" not in text


def test_an_audit_whose_values_do_not_agree_is_refused(served: Path, tmp_path: Path) -> None:
    content = load_json(served / "audit.json")
    rates = [rate for finding in content["findings"] for rate in finding["tpr"]]
    (rate,) = [rate for rate in rates if rate["value"] is None][:1]
    rate["value"] = 1
    put(tmp_path / "audit.json", content)
    with pytest.raises(AuditFileError, match="its values do not agree"):
        AuditResult.load(tmp_path).render(tmp_path)


def test_names_like_formulas_and_escape_sequences_end_nothing(
    audited: Path, tmp_path: Path, capsys: Any
) -> None:
    content = load_json(audited / "audit.json")
    hostile = "$\\frac{$ \x1b]52;c;AAAA\x07 \u202e"
    for finding in content["findings"]:
        finding["attack"] += hostile
        finding["title"] += hostile
    ranking = content["verdict"]["basis"]["ranking"]
    content["verdict"]["basis"]["ranking"] = [attack + hostile for attack in ranking]
    content["provenance"]["source"] = hostile
    put(tmp_path / "audit.json", content)
    result = AuditResult.load(tmp_path)
    page = result.render(tmp_path).read_text()
    assert "\\frac{" in page
    Console(force_terminal=True).print(terminal_table({"a": dict(result.content)}))
    assert "]52;c" in (shown := capsys.readouterr().out)
    assert "\x1b]52" not in shown
    assert "\x07" not in shown
    assert "\x1b]" not in page


@pytest.mark.parametrize("name", [b"a\x1b]52;c;AAAA\x07", "x\u202ey".encode(), b"audit\xff", b"a\x9bb"])
def test_names_of_folders_reach_neither_the_terminal_nor_an_error_raw(
    audited: Path, tmp_path: Path, capsysbinary: Any, monkeypatch: pytest.MonkeyPatch, name: bytes
) -> None:
    folder, twin = (tmp_path / os.fsdecode(name + end) for end in (b"", b"\xfe"))
    for copy_ in (folder, twin):
        shutil.copytree(audited, copy_)
    merged = ["report", "--merge", str(folder), str(twin), "--out", str(tmp_path / "merged")]
    for arguments in (
        ["report", str(folder)],
        ["report", "--json", str(folder)],
        merged,
        [*merged, "--json"],
    ):
        monkeypatch.setattr(sys, "argv", ["memberscan", *arguments])
        with pytest.raises(SystemExit) as ended:
            main()
        assert ended.value.code in (0, None)
    shown = "".join(capsysbinary.readouterr()[0].decode()).replace("\n", "")
    assert not {unicodedata.category(c) for c in shown} & {"Cc", "Cf", "Cs"}
    assert len(load_json(tmp_path / "merged" / "consortium.json")["audits"]) == 2


def test_a_name_that_no_file_of_text_holds_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(BadInputError, match="not UTF-8; give that file or folder another name"):
        write_json(tmp_path / "x.json", {"path": os.fsdecode(b"cohort\xff")})
    assert not list(tmp_path.iterdir())


def test_weights_that_were_exchanged_are_refused(run: Run, tmp_path: Path) -> None:
    received = copied(run, tmp_path / "run")
    (received / "weights.safetensors").write_bytes(b"\xff" * 100)
    with pytest.raises(MemberscanError):
        Run.open(received).load()
    digest = Run.open(received).weights_fingerprint
    rewrite(received / "run.json", lambda c: c.update(weights=digest))
    with pytest.raises(BadInputError):
        Run.open(received).load()
    assert torch.get_default_dtype() == torch.float32
