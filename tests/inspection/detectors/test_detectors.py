"""Each kind of finding is found in each of its forms, and what only looks like it is not."""

from __future__ import annotations

import numpy as np
import pytest

from memberscan.inspection.values import Columns, Instance, Picture
from tests.inspection.looking import kinds, look

IDS = [f"sub-{k:04d}" for k in range(12)]
AGES = np.linspace(20, 80, 12).tolist()
IXI = [f"IXI{k:03d}-Guys-{k + 700:04d}" for k in range(5)]


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ({"train": IDS}, ("ids of people", "leaks")),
        ({"log": "\n".join(f"epoch 1 {each}_T1w.nii.gz loss 3" for each in IDS)}, ("ids of people", "leaks")),
        ({"paths": [f"/data/{each}/T1.nii.gz" for each in IXI]}, ("ids of people", "leaks")),
        ({"note": "trained without 002_S_0295"}, ("ids of people", "look")),
        ({each: np.ones((2, 2)) for each in IDS}, ("ids of people", "leaks")),
        (
            {"participant_id": [f"p{k}" for k in range(9)], "age": list(range(9))},
            ("table of people", "leaks"),
        ),
        (dict(zip(IDS, AGES, strict=True)), ("ids of people", "leaks")),
        (Columns({"age": AGES, "sex": ["F", "M"] * 6, "thickness": AGES}), ("table of people", "leaks")),
        (Columns({"eid": [1000000 + k for k in range(12)], "pred": AGES}), ("table of people", "leaks")),
        (Columns({"y_true": AGES, "y_pred": AGES[::-1]}), ("predictions", "look")),
        (Columns({"x": AGES, "fold": [k % 5 for k in range(12)]}), ("folds", "look")),
        ({"train_idx": np.arange(0, 40, 2)}, ("folds", "look")),
        ({"splits": {"val_subjects": ["a17", "b18", "c19"]}}, ("folds", "look")),
        ({"subjects": ["a17", "b18", "c19"]}, ("ids of people", "leaks")),
        (Columns({"Subject_ID": ["a17", "b18", "c19"], "f1": [1, 2, 3]}), ("table of people", "leaks")),
        ({"embeddings": np.ones((50, 16))}, ("embeddings", "look")),
        ({"PatientName": "Doe^Jane"}, ("names of people", "leaks")),
        ({"PatientBirthDate": "19630401"}, ("dates of birth", "leaks")),
        (Columns({"dob": ["1963-04-01", "1971-12-30", "1980-01-02"]}), ("dates of birth", "leaks")),
        ({"AcquisitionDateTime": "2013-05-12T10:00:00"}, ("dates of scans", "look")),
        (
            {"optimizer": {"state": {0: {"exp_avg": np.ones(3)}}, "param_groups": []}},
            ("optimizer state", "note"),
        ),
        ({"bn.num_batches_tracked": np.array(4)}, ("batch statistics", "look")),
        ({"cell": "saved to /home/mmueller/project/run1"}, ("user names", "note")),
        ({"output": Picture("png")}, ("pictures", "look")),
        (Picture("nifti", (9, 9, 9)), ("images of people", "look")),
        ({"x": np.ones((6, 12, 14, 12), np.float16)}, ("images of people", "look")),
        ({"x": np.ones((17, 18, 19))}, ("images of people", "look")),
        (Instance("posix.system", ("echo hi",)), ("code in data", "look")),
    ],
    ids=lambda each: each[0] if isinstance(each, tuple) else "",
)
def test_each_kind_is_found(value: object, expected: tuple[str, str]):
    found = kinds(value)
    assert expected in found


@pytest.mark.parametrize(
    "value",
    [
        {"state_dict": {"conv.weight": np.ones((3, 3)), "embed.weight": np.ones((50, 16))}},
        {
            "conv": {"weight": np.ones((16, 8, 9, 9, 9))},
            "k": np.ones((64, 32, 3, 3, 3)),
            "t": np.ones((9, 9, 9)),
        },
        {"text": "a sub-optimal sub-module with sub-millimetre voxels"},
        Columns({"sepal length": AGES, "sepal width": AGES, "target": [0, 1] * 6}),
        Columns({"key": ["lr", "epochs", "batch"], "value": [0.1, 3, 16]}),
        Columns({"epoch": list(range(12)), "loss": AGES, "val_loss": AGES}),
        {"PatientName": "", "PatientBirthDate": "", "StudyDate": ""},
        {"PatientName": "ANONYMOUS"},
        {"path": "/home/runner/work/x/y.py and /home/user/x"},
        {"bn.num_batches_tracked": np.array(40_000)},
        {"feature_importances_": np.ones(70), "n_features_in_": 70},
        Instance("sklearn.linear_model._ridge.Ridge", state={"coef_": np.ones(70), "intercept_": 3.0}),
        {"age": 40, "sex": "F"},
        {"history": {"loss": [3.0, 2.0, 1.0], "mae": [3.0, 2.0, 1.0]}},
    ],
)
def test_what_is_not_about_people_is_not_found(value: object):
    assert look(value) == []


@pytest.mark.parametrize("name", ["atlas/mni152_T1.nii.gz", "brain_mask.nii", "phantom/scan.nii"])
def test_templates_are_no_images_of_people(name: str):
    assert look(Picture("nifti", (9, 9, 9)), name=name) == []


def test_an_image_with_an_id_in_its_name_leaks():
    assert ("images of people", "leaks") in kinds(Picture("nifti"), name="sub-0001_T1w.nii.gz")


def test_programs_may_give_examples():
    text = {"text": "\n".join(f"run sub-{k:02d}" for k in range(9))}
    assert look(text, program=True) == []
    many = {"text": "\n".join(f"sub-{k:04d}" for k in range(50))}
    assert kinds(many, program=True) == {("ids of people", "look")}


def test_people_are_counted_once():
    twice = Columns({"participant_id": [*IDS, *IDS], "age": [*AGES, *AGES]})
    table = next(each for each in look(twice) if each.kind == "table of people")
    assert table.people == 12 and "participant_id" in table.what and IDS[0] not in table.what


def test_chunks_of_one_table_are_one_table():
    rows = Columns({"participant_id": IDS, "age": AGES})
    more = Columns({"participant_id": [f"sub-9{k:03d}" for k in range(7)], "age": AGES[:7]})
    found = [each for each in look([rows, more]) if each.kind == "table of people"]
    assert sum(each.people or 0 for each in found) == 19


@pytest.mark.parametrize(
    "name", ["baal/scan1.nii", "priority/x.nii", "labelled/T1.nii", "p7_space-MNI152_T1w.nii.gz"]
)
def test_words_within_words_make_no_template(name: str):
    assert ("images of people", "look") in kinds(Picture("nifti"), name=name)


def test_an_image_with_an_id_is_of_a_person_in_any_space():
    name = "sub-0001_space-MNI152_desc-masked_T1w.nii.gz"
    assert ("images of people", "leaks") in kinds(Picture("nifti"), name=name)


def test_entries_are_found_where_they_are():
    (found,) = look({"a": {"dob": "1970-01-01", "n": 1, "k": 2}})
    assert (found.kind, found.place) == ("dates of birth", "a.dob")
