from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from memberscan.cohort import Cohort
from memberscan.cohort.bids import ScanFile, choose_scans, find_images, parse_entities
from memberscan.errors import AmbiguousScansError, BadInputError, CohortError, ParticipantsError, StaleError

from .conftest import BidsMaker, people, small_image

SPACING = 16.0


def t1w(*names: str) -> list[ScanFile]:
    return [ScanFile(Path(name), parse_entities(name)) for name in names]


def test_entities() -> None:
    assert parse_entities("sub-01_ses-2_acq-mprage_run-1_T1w.nii.gz") == {
        "sub": "01", "ses": "2", "acq": "mprage", "run": "1",
    }  # fmt: skip
    assert parse_entities("sub-01_odd_space-_T1w.nii") == {"sub": "01"}


def test_scan_ids_keep_acquisitions_apart_and_leave_versions_out() -> None:
    scan, plain = t1w("sub-01_ses-2_run-1_space-MNI_res-2_desc-brain_T1w.nii.gz", "sub-01_T1w.nii")
    assert (scan.scan_id, scan.subject_id, scan.session) == ("sub-01_ses-2_run-1", "sub-01", "ses-2")
    assert (plain.scan_id, plain.session) == ("sub-01", "")


def test_runs_and_acquisitions_are_repeat_scans() -> None:
    scans = t1w("sub-1_run-1_T1w.nii", "sub-1_run-2_T1w.nii", "sub-1_acq-fast_T1w.nii", "sub-1_ses-2_T1w.nii")
    assert choose_scans(scans, {}) == scans


@pytest.mark.parametrize("entity", ["desc", "space", "res", "rec", "label", "den", "ce", "echo", "part"])
def test_versions_of_one_scan_are_no_repeat_scans(entity: str) -> None:
    scans = t1w(f"sub-1_{entity}-a_T1w.nii", f"sub-1_{entity}-b_T1w.nii", "sub-2_T1w.nii")
    with pytest.raises(
        AmbiguousScansError, match=rf"1 scan .* --select {entity}=a or --select {entity}=b"
    ) as caught:
        choose_scans(scans, {})
    assert caught.value.exit_code == 2
    assert choose_scans(scans, {entity: "b"}) == [scans[1]]


def test_a_file_without_an_entity_can_be_asked_for() -> None:
    scans = t1w("sub-1_T1w.nii", "sub-1_desc-brain_T1w.nii")
    with pytest.raises(AmbiguousScansError, match="--select desc= or --select desc=brain"):
        choose_scans(scans, {})
    assert choose_scans(scans, {"desc": ""}) == [scans[0]]


def test_all_entities_that_differ_are_named_and_selected_together() -> None:
    scans = t1w(
        "sub-1_space-a_desc-x_T1w.nii", "sub-1_space-b_desc-y_T1w.nii", "sub-1_space-b_desc-x_T1w.nii"
    )
    with pytest.raises(AmbiguousScansError, match=r"space=a or .*; --select desc=x"):
        choose_scans(scans, {})
    assert choose_scans(scans, {"space": "b", "desc": "y"}) == [scans[1]]


def test_two_endings_of_one_name() -> None:
    with pytest.raises(AmbiguousScansError, match="delete all but one"):
        choose_scans(t1w("sub-1_T1w.nii", "sub-1_T1w.nii.gz"), {})


def test_a_selection_that_matches_nothing_says_what_there_is() -> None:
    with pytest.raises(CohortError, match=r"desc=braim; they have desc: \(none\), brain"):
        choose_scans(t1w("sub-1_desc-brain_T1w.nii", "sub-2_T1w.nii"), {"desc": "braim"})
    with pytest.raises(BadInputError, match="is not a BIDS entity"):
        choose_scans(t1w("sub-1_T1w.nii"), {"desc-brain": ""})


def test_missing_and_empty_datasets(tmp_path: Path) -> None:
    with pytest.raises(CohortError, match="not a directory"):
        find_images(tmp_path / "nowhere")
    with pytest.raises(CohortError, match="no T1w image"):
        find_images(tmp_path)
    with pytest.raises(CohortError):
        Cohort.from_bids(tmp_path, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_dataset_with_sessions_covariates_and_bad_files(bids: BidsMaker, tmp_path: Path) -> None:
    root = bids(
        {
            "sub-01_ses-1_T1w.nii.gz": small_image(1),
            "sub-01_ses-2_T1w.nii.gz": small_image(2),
            "sub-02_ses-1_T1w.nii": small_image(3),
            "sub-03_ses-1_T1w.nii.gz": b"\x1f\x8b torn",
            "sub-04_ses-1_T1w.nii.gz": small_image(4),
            "sub-05_ses-1_T1w.nii.gz": small_image(5),
        },
        {
            "participants.tsv": "participant_id\tAge\tsex\tcomment\tsession\tweight\n"
            "01\t60\tF\ta\tx\t70\nsub-02\t89+\tM\tb\tx\tn/a\nsub-03\t50\tM\tc\tx\t80\nsub-04\tn/a\tM\td\tx\t75\n"
            + "".join(f"sub-x{n}\t50\tF\tcomment {n}\tx\t1\n" for n in range(20))
        },
    )
    (root / "sub-01" / "sub-01_sessions.tsv").write_text("session_id\tage\nses-1\t61,5\n2\t63.5\n")
    (root / "sub-06" / "anat").mkdir(parents=True)
    (root / "sub-06" / "anat" / "sub-06_T1w.nii.gz").symlink_to("../nowhere")
    cohort = Cohort.from_bids(root, tmp_path / "c", spacing=SPACING)
    assert cohort.scans["age"].to_dict() == {"sub-01_ses-1": 61.5, "sub-01_ses-2": 63.5, "sub-02_ses-1": 89.0}
    assert cohort.scans["age_note"].tolist() == ["", "", "written 89+"]
    assert cohort.scans["session"].tolist() == ["ses-1", "ses-2", "ses-1"]
    assert cohort.subjects == ["sub-01", "sub-02"]
    assert cohort.scans["sex"].tolist() == ["F", "F", "M"]
    assert cohort.scans["weight"].iloc[0] == 70
    assert np.isnan(cohort.scans["weight"].iloc[2])
    assert cohort.covariates[:2] == ("sex", "weight")
    assert cohort.ignored == ("session", "comment")
    reasons = cohort.excluded.set_index("scan_id")["reason"]
    assert reasons["sub-03_ses-1"].startswith("unreadable (")
    assert reasons["sub-04_ses-1"] == "no age (written 'n/a')"
    assert reasons["sub-05_ses-1"] == "no age"
    assert reasons["sub-06"].startswith("no age")
    assert not cohort.synthetic
    assert cohort.source == "BIDS dataset bids"


def test_a_link_to_nowhere_is_unreadable(bids: BidsMaker, tmp_path: Path) -> None:
    root = bids({"sub-1_T1w.nii": small_image(1)}, {"participants.tsv": people({"sub-1": 40, "sub-2": 50})})
    (root / "sub-2" / "anat").mkdir(parents=True)
    (root / "sub-2" / "anat" / "sub-2_T1w.nii.gz").symlink_to("../nowhere")
    cohort = Cohort.from_bids(root, tmp_path / "c", spacing=SPACING)
    assert cohort.excluded["reason"].str.startswith("unreadable").tolist() == [True]


def test_ages_in_months(bids: BidsMaker, tmp_path: Path) -> None:
    root = bids(
        {"sub-1_T1w.nii": small_image(1)},
        {"participants.tsv": people({"sub-1": 126})},
        {"participants.json": {"Age": {"Units": "Months"}}},
    )
    assert Cohort.from_bids(root, tmp_path / "c", spacing=SPACING).scans["age"].tolist() == [10.5]


def test_a_replaced_file_is_noticed(bids: BidsMaker, tmp_path: Path) -> None:
    tables = {"participants.tsv": people({"sub-1": 40, "sub-2": 50})}
    root = bids({f"sub-{n}_T1w.nii": small_image(n) for n in (1, 2)}, tables)
    Cohort.from_bids(root, tmp_path / "c", spacing=SPACING)
    Cohort.from_bids(root, tmp_path / "c", spacing=SPACING)
    bids({"sub-2_T1w.nii": small_image(7)})
    with pytest.raises(StaleError):
        Cohort.from_bids(root, tmp_path / "c", spacing=SPACING)


def test_a_bad_table_leaves_no_directory_behind(bids: BidsMaker, tmp_path: Path) -> None:
    root = bids({"sub-1_T1w.nii": small_image(1)}, {"participants.tsv": "participant_id\tsex\nsub-1\tF\n"})
    with pytest.raises(ParticipantsError, match='no column "age", only participant_id and sex'):
        Cohort.from_bids(root, tmp_path / "c")
    assert not (tmp_path / "c").exists()


def test_later_sessions_do_not_get_the_age_at_the_first(bids: BidsMaker, tmp_path: Path) -> None:
    root = bids(
        {
            **{f"sub-1_ses-{n}_T1w.nii": small_image(n) for n in (2, 9, 10)},
            "sub-2_ses-baseline_T1w.nii": small_image(11),
            "sub-2_ses-2years_T1w.nii": small_image(12),
            "sub-3_ses-10_T1w.nii": small_image(13),
            "sub-4_ses-1_run-1_T1w.nii": small_image(14),
            "sub-4_ses-1_run-2_T1w.nii": small_image(15),
        },
        {"participants.tsv": people({"sub-1": 60, "sub-2": 50, "sub-3": 40, "sub-4": 30})},
    )
    (root / "sub-4" / "ses-0").mkdir()  # a session without a T1w is a session
    cohort = Cohort.from_bids(root, tmp_path / "c", spacing=SPACING)
    assert cohort.scans["age"].to_dict() == {"sub-1_ses-2": 60, "sub-2_ses-baseline": 50, "sub-3_ses-10": 40}
    reasons = cohort.excluded.set_index("scan_id")["reason"]
    assert reasons["sub-1_ses-10"] == (
        "no age at ses-10 (participants.tsv gives one, at ses-2; "
        "give that at each session in sub-1_sessions.tsv)"
    )
    assert len(reasons) == 5


def test_later_sessions_with_an_age_of_their_own_are_kept(bids: BidsMaker, tmp_path: Path) -> None:
    images = {f"sub-1_ses-{n}_T1w.nii": small_image(n) for n in (1, 2)}
    root = bids(images, {"participants.tsv": people({"sub-1": 60})})
    (root / "sub-1" / "sub-1_sessions.tsv").write_text("session_id\tage\n02\t62\n")
    (root / "sub-1" / "ses-2").rename(root / "sub-1" / "ses-02")
    file = root / "sub-1" / "ses-02" / "anat" / "sub-1_ses-2_T1w.nii"
    file.rename(file.with_name("sub-1_ses-02_T1w.nii"))
    cohort = Cohort.from_bids(root, tmp_path / "c", spacing=SPACING)
    assert cohort.scans["age"].tolist() == [62, 60]


def test_rows_for_each_session_describe_their_scans(bids: BidsMaker, tmp_path: Path) -> None:
    root = bids(
        {f"sub-001_ses-{n}_T1w.nii": small_image(n) for n in (1, 2, 3)},
        {
            "participants.tsv": "participant_id\tsession_id\tage\tscanner\tmmse\n"
            "1\tses-1\t60\told\t29\n1\tses-2\t63\tnew\t25\n2\tses-1\t50\told\t30\n"
        },
    )
    cohort = Cohort.from_bids(root, tmp_path / "c", spacing=SPACING)
    assert cohort.scans["age"].to_dict() == {"sub-001_ses-1": 60, "sub-001_ses-2": 63}
    assert cohort.scans["scanner"].tolist() == ["old", "new"]
    assert cohort.scans["mmse"].tolist() == [29, 25]
    assert cohort.excluded["reason"].tolist() == [
        "no age at ses-3 (participants.tsv has a row for each session)"
    ]


def test_ids_written_otherwise_in_the_table_keep_their_ages_and_covariates(
    bids: BidsMaker, tmp_path: Path
) -> None:
    root = bids(
        {f"sub-00{n}_T1w.nii": small_image(n) for n in (1, 2)},
        {"participants.tsv": "participant_id\tage\tsex\nsub-1\t40\tF\n2\t50\tM\n3\t60\tF\n"},
    )
    cohort = Cohort.from_bids(root, tmp_path / "c", spacing=SPACING)
    assert cohort.scans["age"].to_dict() == {"sub-001": 40, "sub-002": 50}
    assert cohort.scans["sex"].tolist() == ["F", "M"]
    assert cohort.excluded.empty
