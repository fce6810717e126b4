"""The frontier as a whole: what it writes, failing points, interruptions, and that nothing stale is used."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import pytest

from memberscan.errors import BadInputError, DiskFullError, OutputConflictError, UnknownAttackError
from memberscan.frontier import FrontierContent, making, tasks
from memberscan.frontier.making import DONE, PAGE, TABLE
from memberscan.frontier.people import SeedsOfModels, strongest_elsewhere
from memberscan.frontier.points import Point
from memberscan.frontier.tasks import read_people
from memberscan.report.disclosure import few
from memberscan.runs import Roles

from .conftest import Make

OUTPUTS = (DONE, TABLE, PAGE)


@pytest.fixture
def points(tmp_path: Path) -> str:
    """A table of three points, one of which fails."""
    lines = ["name\tdefence\tsettings", "short\t\tepochs=1", "noisy\tnoise:scale=3\t", "bad\tbroken\t"]
    (tmp_path / "points.tsv").write_text("\n".join(lines) + "\n")
    return str(tmp_path / "points.tsv")


class Whole(NamedTuple):
    """A frontier that nothing interrupted."""

    path: Path
    found: FrontierContent


@pytest.fixture(scope="module")
def _kept() -> list[Whole]:
    return []


@pytest.fixture
def whole(make: Make, points: str, _kept: list[Whole], tmp_path_factory: pytest.TempPathFactory) -> Whole:
    """A finished frontier, made once; nobody may write into it."""
    if not _kept:
        out = tmp_path_factory.mktemp("whole") / "out"
        _kept.append(Whole(out, make(out, points)))
    return _kept[0]


def contents(path: Path) -> dict[str, bytes]:
    return {name: (path / name).read_bytes() for name in OUTPUTS}


def test_every_point_is_measured_on_the_same_people_and_a_failed_one_says_why(
    whole: Whole,
) -> None:
    out, found = whole
    by_name = {point.name: point for point in found.points}
    assert list(by_name) == ["undefended", "short", "noisy", "bad"]
    bad = by_name.pop("bad")
    assert bad.failed == "RuntimeError: division by zero at scan (a person) (seed 1 of 2)"
    assert bad.error is bad.everybody is bad.change is None and not bad.on_frontier
    for number in (1, 2):
        roles = {Roles.read(path).fingerprint for path in out.glob(f"points/*/seed-{number}/run/roles.tsv")}
        assert len(roles) == 1
        asked = [
            json.loads(path.read_text()) for path in out.glob(f"points/*/seed-{number}/run/request.json")
        ]
        assert {each["seed"] for each in asked} == {number} and len(asked) == 4
    for point in by_name.values():
        assert point.error and point.everybody and point.failed is None
        assert point.error.low <= point.error.value <= point.error.high
        assert len(point.everybody.attacks) == 2 and sum(point.verdicts.values()) == 2
        assert [rate.value for rate in point.everybody.rates] == [None, None]
        assert "four or more are needed" in str(point.most_exposed_reason)
    assert by_name["noisy"].guarantee and "27 people" in by_name["noisy"].guarantee.statement
    assert any(point.on_frontier for point in by_name.values())
    assert by_name["undefended"].change is None and by_name["short"].change is not None
    assert (found.members, found.nonmembers, found.validation) == (27, 30, 3)


def test_what_is_written_agrees_and_only_the_owner_reads_of_people(
    whole: Whole,
) -> None:
    out, found = whole
    assert FrontierContent.model_validate(json.loads((out / DONE).read_text())) == found
    table = pd.read_csv(out / TABLE)
    assert table["point"].tolist() == [point.name for point in found.points]
    assert table["auc"].dropna().tolist() == [p.everybody.auc.value for p in found.points if p.everybody]
    assert (out / "points").stat().st_mode & 0o077 == 0
    assert (out / "request.json").stat().st_mode & 0o077 == 0
    people = next(out.glob("points/*/seed-1/people.tsv"))
    assert people.stat().st_mode & 0o077 == 0
    for name in OUTPUTS:
        text = (out / name).read_text()
        assert str(out.parent) not in text
        assert not any(subject in text for subject in read_people(people.parent).index)


def test_errors_and_attacks_of_one_seed_are_those_of_its_audit(
    make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"
    monkeypatch.setattr(making, "read_points", lambda *_: [Point("undefended")])
    found = make(out, seeds=1)
    plain = found.points[0]
    seed = out / "points" / "point-001" / "seed-1"
    audit = json.loads((seed / "audit" / "audit.json").read_text())
    assert plain.everybody is not None and plain.error is not None
    assert plain.everybody.attacks == (audit["verdict"]["basis"]["attack"],)
    mine = next(f for f in audit["findings"] if f["attack"] == plain.everybody.attacks[0])
    assert plain.everybody.auc.value == pytest.approx(mine["auc"]["value"], abs=0.03)
    assert plain.error.value == pytest.approx(audit["target"]["mae_nonmembers"], abs=0.51)
    people = read_people(seed)
    assert people["error"][people["member"] == 0].mean() == pytest.approx(plain.error.value, abs=0.51)


def test_interrupted_at_every_stage_it_ends_in_the_same_bytes(
    make: Make, points: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, whole: Whole
) -> None:
    out = tmp_path / "out"
    stages = [(tasks, name) for name in ("train", "train_references", "audit", "people_table", "write_table")]
    for module, stage in [*stages, (making, "collect"), (making, "render"), (making, "write_json")]:
        with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
            patch.setattr(module, stage, interrupting(getattr(module, stage)))
            make(out, points)
        assert not (out / DONE).exists()
    make(out, points)
    assert contents(out) == contents(whole.path)
    # What a task was killed before it removed is removed by the next one.
    assert not list(out.glob("points/*/*/audit/signals"))


def interrupting(real: Callable[..., Any]) -> Callable[..., Any]:
    """Return a function that is interrupted after its work, as if the process were killed there."""

    def run(*arguments: Any, **named: Any) -> Any:
        if real.__name__ != "write_json":
            real(*arguments, **named)
        raise KeyboardInterrupt

    return run


def test_a_full_disk_is_no_fault_of_a_point(
    make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tasks, "train", lambda *_, **__: (_ for _ in ()).throw(DiskFullError("full")))
    with pytest.raises(DiskFullError):
        make(tmp_path / "out")


def test_another_request_is_refused_and_more_seeds_are_added(
    make: Make, points: str, tmp_path: Path, whole: Whole
) -> None:
    out = tmp_path / "out"
    make(out, points, seeds=1)
    for changes in ({"references": 4}, {"seed": 6}, {"attacks": ("stacking",)}, {"options": {"width": 5}}):
        with pytest.raises(OutputConflictError, match="another configuration"):
            make(out, points, seeds=1, **changes)
    Path(points).write_text(Path(points).read_text().replace("epochs=1", "epochs=2"))
    with pytest.raises(OutputConflictError, match="points"):
        make(out, points, seeds=1)
    Path(points).write_text(Path(points).read_text().replace("epochs=2", "epochs=1"))
    make(out, points, seeds=2)
    assert contents(out) == contents(whole.path)


def test_without_a_seed_the_draws_are_secret_and_kept(
    make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"
    monkeypatch.setattr(making, "read_points", lambda *_: [Point("undefended")])
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(tasks, "train", interrupting(tasks.train))
        make(out, seeds=1, seed=None)
    root = json.loads((out / "request.json").read_text())["root_seed"]
    assert root > 1 << 32
    make(out, seeds=1, seed=None)
    assert str(root) not in (out / DONE).read_text()
    assert json.loads((out / "request.json").read_text())["root_seed"] == root


@pytest.mark.parametrize(
    ("changes", "error", "says"),
    [
        ({"seeds": 0}, BadInputError, "seeds is 0; give at least 1"),
        ({"references": 3}, BadInputError, "references is 3; give an even number"),
        ({"attacks": ("guess",)}, UnknownAttackError, "'guess' is unknown"),
        ({"access": "updates"}, BadInputError, "outsider"),
        ({"validation": 0.9}, BadInputError, "ten|10"),
        ({"config": making.TrainingConfig(device="cpu", defence=None, keep="best"), "validation": 0.0},
         BadInputError, "add --validation"),
    ],
)  # fmt: skip
def test_bad_input_is_refused_before_anything_is_trained(
    make: Make, tmp_path: Path, changes: dict[str, Any], error: type[Exception], says: str
) -> None:
    with pytest.raises(error, match=says):
        make(tmp_path / "out", "noise", **changes)
    assert not (tmp_path / "out").exists()


def test_the_attack_of_a_seed_is_chosen_by_the_others() -> None:
    aucs = {"a": np.array([0.9, 0.5, 0.5]), "b": np.array([0.6, 0.6, 0.55])}
    assert strongest_elsewhere(aucs) == ("b", "a", "a")
    naive = [max(aucs, key=lambda n: sum(aucs[n][j] for j in range(3) if j != k)) for k in range(3)]
    assert list(strongest_elsewhere(aucs)) == naive


def test_the_most_exposed_are_chosen_by_references_and_only_among_those_compared() -> None:
    rng, subjects = np.random.default_rng(0), [f"s{k:03d}" for k in range(200)]
    tables = []
    for _ in range(2):
        people = pd.DataFrame({"error": rng.random(190), "label": 60.0, "member": np.arange(190) % 2})
        people["attack"] = people["member"] + rng.normal(size=190)
        people["exposure_auc"] = np.where(np.arange(190) < 10, np.nan, rng.random(190))
        tables.append(people.set_axis(rng.permutation(subjects)[:190]))
    found = SeedsOfModels.of(tables, subjects, "attack")
    for chosen, table in zip(found.exposed, tables, strict=True):
        naive = table["exposure_auc"].dropna().sort_values(ascending=False).index[:18]
        assert {subjects[k] for k in np.flatnonzero(chosen)} == set(naive)
    everybody, unresolved = found.everybody().rates
    assert everybody is not None and everybody[1] <= everybody[0] <= everybody[2]
    assert unresolved is None
    tenth = found.most_exposed(5)
    sides = [int((found.exposed & side).sum()) for side in (found.member, ~found.member)]
    assert not isinstance(tenth, str) and tenth.auc.counts == tuple(sides)
    assert found.most_exposed(15) == few(15)


def test_a_damaged_result_is_refused_in_words(whole: Whole, make: Make, points: str, tmp_path: Path) -> None:
    shutil.copytree(whole.path, tmp_path / "out", ignore=shutil.ignore_patterns("points"))
    content = json.loads((tmp_path / "out" / DONE).read_text())
    (tmp_path / "out" / DONE).write_text(json.dumps(content | {"points": [{"name": 3}]}))
    with pytest.raises(BadInputError, match=r"frontier\.json is damaged"):
        make(tmp_path / "out", points)
