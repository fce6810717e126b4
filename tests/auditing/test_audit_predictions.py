"""The audit of a file of predictions, from the file to the verdict."""

from __future__ import annotations

import json
import stat
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from memberscan import AuditResult, ThreatModel, audit
from memberscan.attacks import REGISTRY, default_attacks
from memberscan.attacks.availability import needed_access
from memberscan.errors import BadInputError, DataLeakageError, OutputConflictError, TooFewSubjectsError
from memberscan.evidence.gap import auc_of_ratio
from memberscan.files import read_table
from memberscan.threat import Access

from .conftest import MakePredictions, expected_attacks, predictions_table, require_valid

QUICK = ("error", "error:zero-knowledge")


def test_a_leak_is_found_and_told(predictions: MakePredictions, tmp_path: Path):
    source = predictions(ratio=3.0, subjects=120)
    result = audit(source, tmp_path / "audit")
    content = dict(result.content)
    require_valid(content)
    assert result.verdict == "leaks"
    runnable, hindered = expected_attacks(source, ThreatModel())
    assert [f["attack"] for f in content["findings"]] == runnable
    assert {"error", "prediction+label", "error:zero-knowledge"} <= set(runnable)
    tried = [REGISTRY[name] for name in default_attacks(ThreatModel())]
    weights = {a.name for a in tried if needed_access(a, ThreatModel()) is Access.WEIGHTS}
    reasons = {entry["attack"]: entry["reason"] for entry in content["not_run"]}
    assert list(reasons) == hindered and weights and weights <= set(hindered)
    assert all("predictions file shows outputs only" in reasons[name] for name in weights)
    target = content["target"]
    assert (target["members"], target["nonmembers"], target["scans"]) == (60, 60, 120)
    assert (target["kind"], target["randomised"], target["parameters"]) == ("predictions", False, None)
    assert content["threat"]["known_per_side"] == 30
    assert content["checks"]["null"]["permutations"] >= 99
    low, high = (
        result.findings.set_index("attack").loc["error:zero-knowledge", f"auc_{e}"] for e in ("low", "high")
    )
    assert low <= auc_of_ratio(np.array(3.0)) <= high


def test_target_errors_are_those_of_the_file(predictions: MakePredictions):
    path = predictions(ratio=2.0)
    table = pd.read_csv(path, sep="\t")
    r = table["age"] - table["prediction"]
    target = audit(path, attacks=["error"]).content["target"]
    for side, name in ((1, "members"), (0, "nonmembers")):
        mine = r[table["member"] == side]
        error = max(mine.abs().std() / np.sqrt(len(mine)), 2.5 * mine.abs().max() / len(mine))
        assert target[f"mae_{name}"] == pytest.approx(mine.abs().mean(), abs=error / 2)
        assert target[f"rmse_{name}"] == pytest.approx(np.sqrt((mine**2).mean()), abs=error)


def test_what_is_saved_is_what_was_found(predictions: MakePredictions, tmp_path: Path):
    result = audit(predictions(), tmp_path / "audit", attacks=QUICK, seed=3)
    loaded = AuditResult.load(tmp_path / "audit")
    assert (
        json.loads((tmp_path / "audit" / "audit.json").read_text())
        == dict(result.content)
        == dict(loaded.content)
    )
    pd.testing.assert_frame_equal(loaded.scores, result.scores)
    assert stat.S_IMODE((tmp_path / "audit" / "scores.tsv").stat().st_mode) == 0o600
    without = audit(predictions(), attacks=QUICK, seed=3)
    # Only what is kept has a salt, and so a digest of the file.
    digest = result.content["provenance"]["predictions"]
    assert without.content["provenance"]["predictions"] is None
    assert without.content["provenance"] | {"predictions": digest} == result.content["provenance"]
    assert all(without.content[key] == result.content[key] for key in result.content if key != "provenance")
    pd.testing.assert_frame_equal(without.scores, result.scores)


def test_leaked_0_leaves_the_zero_knowledge_attacks(predictions: MakePredictions):
    content = audit(predictions(ratio=3.0), threat=ThreatModel(leaked=0)).content
    require_valid(dict(content))
    assert [f["attack"] for f in content["findings"]] == ["error:zero-knowledge"]
    reasons = {entry["attack"]: entry["reason"] for entry in content["not_run"]}
    assert "--leaked 0.5" in reasons["error"]
    assert content["threat"]["known_per_side"] == 0
    assert content["findings"][0]["scored"] == {"members": 40, "nonmembers": 40}


@pytest.mark.parametrize("leaked", [0.04, 0.9])
def test_an_attacker_may_know_very_few_or_nearly_all(leaked, predictions: MakePredictions):
    content = audit(predictions(ratio=3.0), threat=ThreatModel(leaked=leaked, repeats=1)).content
    require_valid(dict(content))
    assert content["threat"]["known_per_side"] == int(leaked * 40)
    # Who is known in one draw is scored in another.
    assert content["findings"][0]["scored"] == {"members": 40, "nonmembers": 40}


def test_repeats_change_estimates_but_never_narrow_intervals(predictions: MakePredictions):
    path = predictions(ratio=1.5)
    widths = []
    for repeats in (1, 3, 30):
        finding = audit(path, threat=ThreatModel(repeats=repeats), attacks=["error"]).content["findings"][0]
        widths.append(finding["auc"]["high"] - finding["auc"]["low"])
    np.testing.assert_allclose(widths, widths[0], rtol=0.2)


def test_weights_cannot_be_assumed_of_a_file(predictions: MakePredictions):
    """What no attack could use must not stand in the report as what the attacker had."""
    content = audit(predictions(), threat=ThreatModel(Access.WEIGHTS, repeats=1)).content
    assert content["threat"]["access"] == "outputs"
    assert {f["access"] for f in content["findings"]} == {"outputs"}


def test_only_attacks_that_cannot_run_are_refused_with_the_reasons(predictions: MakePredictions):
    with pytest.raises(BadInputError, match=r"none of the attacks can be run: gradient:conv1 .*outputs only"):
        audit(predictions(), attacks=["gradient:conv1"])


def test_an_attack_asked_for_twice_is_refused(predictions: MakePredictions):
    with pytest.raises(BadInputError, match="'error' is given twice"):
        audit(predictions(), attacks=["error", REGISTRY["error"]])


def test_the_order_of_rows_changes_nothing(predictions: MakePredictions, tmp_path: Path):
    path = predictions(scans=3, ratio=2.0)
    table = pd.read_csv(path, sep="\t", dtype=str)
    table.sample(frac=1, random_state=0).to_csv(tmp_path / "other.csv", index=False)
    one, other = (audit(p, threat=ThreatModel(repeats=2)) for p in (path, tmp_path / "other.csv"))
    pd.testing.assert_frame_equal(one.scores, other.scores, check_exact=True)
    contents = [{key: value for key, value in r.content.items() if key != "provenance"} for r in (one, other)]
    assert contents[0] == contents[1]


def test_several_scans_count_as_one_subject(predictions: MakePredictions):
    result = audit(predictions(scans=3, ratio=2.0), attacks=QUICK)
    content = dict(result.content)
    require_valid(content)
    assert content["target"]["scans"] == 240
    assert (content["target"]["members"], content["target"]["nonmembers"]) == (40, 40)
    assert content["findings"][-1]["scored"] == {"members": 40, "nonmembers": 40}
    assert len(result.scores) == 80


def test_sex_may_be_a_number(tmp_path: Path):
    table = predictions_table(np.random.default_rng(7), 80)
    table["sex"] = table["sex"].map({"F": 2, "M": 1}).where(table.index > 3)
    table.to_csv(tmp_path / "p.tsv", sep="\t", index=False)
    groups = audit(tmp_path / "p.tsv", attacks=["error"]).content["exposure"]["groups"]
    assert [g["group"] for g in groups if g["by"] == "sex"] == ["1", "2"]
    # Four have no sex. Said of both groups, the numbers would say how many of the four are members.
    said = [g["members"] + g["nonmembers"] for g in groups if g["by"] == "sex" and g["members"] is not None]
    assert len(said) == 1 and 20 <= said[0] <= 60


def test_a_difference_in_scan_count_is_seen_by_the_blind_check(tmp_path: Path):
    table = predictions_table(np.random.default_rng(0), 120, scans=3)
    lost = (table["member"] == 0) & (table.groupby("subject_id").cumcount() > 0) & (table.index % 5 > 0)
    table[~lost].to_csv(tmp_path / "p.csv", index=False)
    blind = audit(tmp_path / "p.csv", attacks=["error"]).content["checks"]["blind"]
    assert blind["tripped"] and blind["worst"] == "scan count"


@pytest.mark.parametrize(
    "name", ["scan count", "scans", "age (as given)", "Sex ", "a\u00e9/b", "member_since"]
)
def test_covariates_may_have_any_name(name, tmp_path: Path):
    table = predictions_table(np.random.default_rng(1), 60)
    table[name] = np.random.default_rng(2).normal(size=60)
    table.to_csv(tmp_path / "p.tsv", sep="\t", index=False)
    content = audit(tmp_path / "p.tsv", attacks=["error"]).content
    require_valid(dict(content))
    assert {"age", "scan count", "icv"} >= {c["name"] for c in content["checks"]["blind"]["covariates"]} - {
        "sex",
        name.strip(),
        f"{name} (as given)",
    }


def test_a_text_column_of_many_levels_is_named_and_ignored(tmp_path: Path):
    table = predictions_table(np.random.default_rng(2), 60)
    table["postcode"] = [f"AB{n}" for n in range(60)]
    table.to_csv(tmp_path / "p.tsv", sep="\t", index=False)
    blind = audit(tmp_path / "p.tsv", attacks=["error"]).content["checks"]["blind"]
    assert "postcode" in blind["ignored"]
    assert "postcode" not in {c["name"] for c in blind["covariates"]}


def test_missing_covariates_are_borne(tmp_path: Path):
    table = predictions_table(np.random.default_rng(3), 60)
    table.loc[::3, "sex"] = "n/a"
    table.loc[::4, "icv"] = np.nan
    table["empty"] = "n/a"
    table.to_csv(tmp_path / "p.tsv", sep="\t", index=False)
    content = dict(audit(tmp_path / "p.tsv", threat=ThreatModel(repeats=1)).content)
    require_valid(content)
    assert {g["group"] for g in content["exposure"]["groups"] if g["by"] == "sex"} == {"F", "M"}


@pytest.mark.parametrize(
    ("subjects", "older", "label"), [(300, 1.2, "no leak shown"), (1200, 3.2, "confounded")]
)
def test_predictions_whose_sides_differ_name_the_culprit_and_a_subset_to_audit_again(
    subjects: int, older: float, label: str, predictions: MakePredictions, tmp_path: Path
):
    path = predictions(subjects=subjects, older=older)
    result = audit(path, tmp_path / "audit", attacks=QUICK)
    require_valid(dict(result.content))
    blind = result.content["checks"]["blind"]
    assert result.verdict == label
    assert (blind["overlap"]["extent"] == "failed") == (label == "confounded")
    assert blind["gates"] and blind["worst"] == "age"
    assert "age" in result.content["verdict"]["sentence"]
    assert all(f["within_strata"] for f in result.content["findings"])
    matched = tmp_path / "audit" / "matched.tsv"
    assert stat.S_IMODE(matched.stat().st_mode) == 0o600
    pairs = blind["matched"]["members"]
    assert read_table(matched)["member"].value_counts().to_dict() == {1: pairs, 0: pairs}
    again = audit(matched, tmp_path / "again", attacks=QUICK)
    assert (again.content["target"]["members"], again.content["target"]["nonmembers"]) == (pairs, pairs)
    assert again.verdict != "confounded"
    assert abs(again.content["checks"]["blind"]["auc"] - 0.5) < 0.1


def test_a_leak_shows_through_confounding(predictions: MakePredictions):
    result = audit(predictions(subjects=600, older=1.0, ratio=3.0), attacks=["error:zero-knowledge"])
    assert result.content["checks"]["blind"]["gates"]
    assert result.verdict == "leaks"


def test_fewer_than_ten_on_a_side_is_too_few(tmp_path: Path):
    table = predictions_table(np.random.default_rng(4), 40)
    table.drop(table.index[table["member"] == 1][9:]).to_csv(tmp_path / "p.csv", index=False)
    with pytest.raises(TooFewSubjectsError, match=r"9 members and 20 non-members .*at least 10"):
        audit(tmp_path / "p.csv", tmp_path / "audit")
    assert not (tmp_path / "audit").exists()


def test_ten_a_side_are_enough(predictions: MakePredictions):
    content = dict(audit(predictions(subjects=20)).content)
    require_valid(content)
    assert content["verdict"]["label"] == "inconclusive"


def test_a_large_file_takes_the_closed_form(predictions: MakePredictions):
    content = dict(audit(predictions(subjects=1200, ratio=1.3)).content)
    require_valid(content)
    assert content["checks"]["null"]["method"] == "closed form"
    assert content["checks"]["null"]["permutations"] is None


def test_a_tenth_of_a_million_predictions_take_seconds(tmp_path: Path):
    """A million take ten times as long, or less than 20 s on most machines."""
    table = predictions_table(np.random.default_rng(6), 100_000, ratio=1.1)
    table.to_csv(tmp_path / "p.tsv", sep="\t", index=False)
    start = time.process_time()
    result = audit(tmp_path / "p.tsv")
    # Of the processor, with imports, and beside other work; about 3 s where it is free.
    assert time.process_time() - start < 10
    assert result.verdict == "leaks" and result.content["target"]["members"] == 50_000


def test_members_without_any_error_are_a_leak_and_no_crash(tmp_path: Path):
    table = predictions_table(np.random.default_rng(5), 80)
    table.loc[table["member"] == 1, "prediction"] = table["age"]
    table.to_csv(tmp_path / "p.tsv", sep="\t", index=False)
    result = audit(tmp_path / "p.tsv", tmp_path / "audit", threat=ThreatModel(repeats=1))
    require_valid(dict(result.content))
    assert result.content["checks"]["gap"]["h"] is None
    assert result.content["checks"]["gap"]["auc"]["value"] == 1
    assert result.verdict == "leaks"
    assert "without any error" in (tmp_path / "audit" / "audit.html").read_text()


def test_everybody_predicted_the_same_is_no_crash(tmp_path: Path):
    table = predictions_table(np.random.default_rng(6), 60).assign(prediction=62.0)
    table.to_csv(tmp_path / "p.tsv", sep="\t", index=False)
    content = dict(audit(tmp_path / "p.tsv", threat=ThreatModel(repeats=1)).content)
    require_valid(content)
    assert content["verdict"]["label"] != "leaks"


def test_a_seed_must_not_be_negative(predictions: MakePredictions):
    with pytest.raises(BadInputError, match="seed is -1"):
        audit(predictions(), seed=-1)


def test_another_configuration_is_refused(predictions: MakePredictions, tmp_path: Path):
    path = predictions()
    audit(path, tmp_path / "audit", attacks=["error"])
    for other in ({"seed": 1}, {"threat": ThreatModel(leaked=0.4)}, {"attacks": ()}, {"pseudonyms": True}):
        with pytest.raises(OutputConflictError, match="another configuration"):
            audit(path, tmp_path / "audit", **({"attacks": ["error"]} | other))
    with pytest.raises(OutputConflictError, match="predictions"):
        audit(predictions("other.tsv", seed=1), tmp_path / "audit", attacks=["error"])


def test_a_directory_of_somebody_else_is_left_alone(predictions: MakePredictions, tmp_path: Path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.tex").write_text("x")
    with pytest.raises(OutputConflictError, match="not a memberscan output"):
        audit(predictions(), tmp_path / "mine")
    assert [p.name for p in (tmp_path / "mine").iterdir()] == ["thesis.tex"]


def leaky(tmp_path: Path, **columns: Any) -> Path:
    """Write predictions that leak, sorted by membership, with these columns added."""
    table = predictions_table(np.random.default_rng(7), 300, ratio=2.5)
    table = table.sort_values("member", kind="stable", ignore_index=True)
    columns = {name: value(table) if callable(value) else value for name, value in columns.items()}
    table.assign(**columns).to_csv(tmp_path / "p.csv", index=False)
    return tmp_path / "p.csv"


@pytest.mark.parametrize(
    ("name", "column"),
    [
        ("Unnamed: 0", range(300)),
        ("rownames", range(1, 301)),
        ("gap", lambda t: t["prediction"] - t["age"]),
        ("abs_error", lambda t: (t["prediction"] - t["age"]).abs().round(1)),
        ("split", lambda t: t["member"].map({1: "train", 0: "test"})),
        ("trained_on", lambda t: 1 - t["member"]),
    ],
)
def test_a_column_that_is_no_covariate_does_not_hide_a_leak(name: str, column: object, tmp_path: Path):
    result = audit(leaky(tmp_path, **{name: column}), tmp_path / "audit", attacks=QUICK)
    require_valid(dict(result.content))
    assert result.verdict == "leaks"
    blind = result.content["checks"]["blind"]
    assert name in blind["ignored"]
    assert name not in {c["name"] for c in blind["covariates"]}
    plain = audit(leaky(tmp_path), attacks=QUICK).content
    assert plain["checks"]["blind"]["auc"] == blind["auc"]
    assert plain["verdict"] == result.content["verdict"]


def test_a_confounder_with_one_missing_cell_is_still_one(tmp_path: Path):
    table = predictions_table(np.random.default_rng(8), 300)
    table["volume"] = (1500 + 200 * table["member"] + table["icv"] - 1500).round(1).astype(str)
    for spelled in ("1500.0", "#NULL!", "-"):
        table.loc[5, "volume"] = spelled
        table.to_csv(tmp_path / "p.csv", index=False)
        result = audit(tmp_path / "p.csv", attacks=QUICK)
        assert result.content["checks"]["blind"]["worst"] == "volume"
        assert result.content["checks"]["blind"]["gates"]


def test_two_sites_stay_a_confounder_and_no_subset_below_ten_is_advised(tmp_path: Path):
    result = audit(leaky(tmp_path, site=lambda t: t["member"].map({1: "A", 0: "B"})), tmp_path / "audit")
    require_valid(dict(result.content))
    assert result.verdict == "confounded"
    assert result.content["checks"]["blind"]["worst"] == "site"
    assert result.content["checks"]["blind"]["matched"] is None
    assert "subset" not in result.content["verdict"]["sentence"]
    assert "Fewer than 10 people" in result.content["verdict"]["sentence"]
    assert not (tmp_path / "audit" / "matched.tsv").exists()


def test_a_copy_that_no_word_decides_is_refused_before_anything_is_written(tmp_path: Path):
    with pytest.raises(BadInputError, match="column 'group' equals membership"):
        audit(leaky(tmp_path, group=lambda t: t["member"] + 1), tmp_path / "audit")
    assert not (tmp_path / "audit").exists()


def test_everybody_again_under_a_variant_of_the_id_is_no_all_clear(tmp_path: Path):
    table = predictions_table(np.random.default_rng(9), 300)
    table["subject_id"] = [f"s{n:04d}" for n in range(300)]
    for variant in ("{} ", "S{}"):
        again = table.assign(
            subject_id=[variant.format(s if " " in variant else s[1:]) for s in table["subject_id"]],
            member=1 - table["member"],
        )
        both = pd.concat([table, again], ignore_index=True)
        both.assign(scan_id=range(600)).to_csv(tmp_path / "p.csv", index=False)
        with pytest.raises(DataLeakageError, match="one side"):
            audit(tmp_path / "p.csv")
