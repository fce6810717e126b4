from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from memberscan import files
from memberscan.cohort import Cohort
from memberscan.errors import BadInputError, CohortError, MemberscanError, MisalignedError, StaleError

from .conftest import BidsMaker, people, small_image


@pytest.fixture
def cohort(bids: BidsMaker, tmp_path: Path) -> Cohort:
    images = {f"sub-{n}_T1w.nii": small_image(n) for n in range(5)}
    root = bids(images, {"participants.tsv": people({f"sub-{n}": 40 + n for n in range(5)})})
    return Cohort.from_bids(root, tmp_path / "cohort", spacing=16)


def test_read_gives_the_scans_asked_for_in_their_order(cohort: Cohort) -> None:
    ids = ["sub-4", "sub-0", "sub-4"]
    volumes = cohort.read(ids)
    assert volumes.dtype == np.float32
    assert volumes.shape == (3, *cohort.shape)
    for scan, volume in zip(ids, volumes, strict=True):
        np.testing.assert_array_equal(cohort.read([scan])[0], volume)
    np.testing.assert_array_equal(cohort.read(list(cohort.scans.index)), np.load(cohort.path / "volumes.npy"))
    assert cohort.read([]).shape == (0, *cohort.shape)


def test_read_touches_only_what_it_returns(cohort: Cohort) -> None:
    volume = cohort.read(["sub-1"])
    volume[:] = 0
    assert cohort.read(["sub-1"]).any()
    assert isinstance(cohort._store, np.memmap)


def test_unknown_ids_are_named(cohort: Cohort) -> None:
    with pytest.raises(MisalignedError, match=r"1 scan ids are not in .*: sub-9"):
        cohort.read(["sub-1", "sub-9"])


def test_what_it_says_of_itself(cohort: Cohort) -> None:
    assert len(cohort) == 5
    assert cohort.subjects == [f"sub-{n}" for n in range(5)]
    assert repr(cohort) == (
        "Cohort(BIDS dataset bids: 5 scans of 5 subjects, 40-44 years, 12x14x12 at 16 mm, 0 excluded)"
    )
    assert cohort.covariates == tuple(name for name in cohort.scans.columns if name.startswith("image_"))
    assert cohort.scans["age"].dtype.kind == "f"


def test_opening_again_gives_the_same(cohort: Cohort) -> None:
    again = Cohort.open(str(cohort.path))
    assert again.scans.equals(cohort.scans)
    assert again.fingerprint == cohort.fingerprint


def test_nothing_stored_can_execute_code(cohort: Cohort) -> None:
    assert {p.suffix for p in cohort.path.iterdir()} == {".json", ".jsonl", ".tsv", ".npy"}
    np.load(cohort.path / "volumes.npy", allow_pickle=False)


def test_missing_and_unfinished_cohorts(tmp_path: Path) -> None:
    with pytest.raises(CohortError, match="no such directory"):
        Cohort.open(tmp_path / "nowhere")
    with pytest.raises(CohortError, match="unfinished"):
        Cohort.open(tmp_path)


def test_ages_changed_by_hand_are_refused(cohort: Cohort) -> None:
    path = cohort.path / "scans.tsv"
    path.write_text(path.read_text().replace("40.0", "70.0"))
    with pytest.raises(StaleError, match=r"scans\.tsv was changed"):
        Cohort.open(cohort.path)


def test_a_cut_store_is_refused_before_it_can_crash_the_process(cohort: Cohort) -> None:
    os.truncate(cohort.path / "volumes.npy", 5000)
    with pytest.raises(CohortError, match="damaged"):
        Cohort.open(cohort.path)
    (cohort.path / "volumes.npy").unlink()
    with pytest.raises(CohortError, match="damaged"):
        Cohort.open(cohort.path)


def test_a_store_of_another_shape_is_refused(cohort: Cohort) -> None:
    np.save(cohort.path / "volumes.npy", np.zeros((5, 7, 8, 9), np.float16))
    with pytest.raises(CohortError, match="does not fit"):
        Cohort.open(cohort.path)


def test_a_sparse_store_of_terabytes_is_refused(cohort: Cohort) -> None:
    shape = [3000, 3000, 3000]
    with (cohort.path / "volumes.npy").open("wb") as stream:
        stream.write(_npy("'<f2'", f"(5, {', '.join(map(str, shape))})"))
        stream.truncate(stream.tell() + 10 * 3000**3)
    manifest = json.loads((cohort.path / "cohort.json").read_text())
    (cohort.path / "cohort.json").write_text(json.dumps({**manifest, "shape": shape}))
    with pytest.raises(CohortError, match="27,000,000,000 values, and at most"):
        Cohort.open(cohort.path)


def test_what_a_cohort_says_of_itself_is_safe_to_show(cohort: Cohort) -> None:
    manifest = json.loads((cohort.path / "cohort.json").read_text())
    (cohort.path / "cohort.json").write_text(json.dumps({**manifest, "source": "\x1b]0;x\x07"}))
    assert repr(Cohort.open(cohort.path)).startswith("Cohort(\ufffd]0;x\ufffd: ")


def test_a_newer_schema_is_refused(cohort: Cohort) -> None:
    path = cohort.path / "cohort.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"schema": "memberscan.cohort/2"}))
    with pytest.raises(CohortError, match=r"memberscan\.cohort/2"):
        Cohort.open(cohort.path)
    path.write_text("{")
    with pytest.raises(BadInputError, match="not valid JSON"):
        Cohort.open(cohort.path)


def test_a_changed_volume_is_noticed_when_it_is_read(cohort: Cohort) -> None:
    store = np.load(cohort.path / "volumes.npy", mmap_mode="r+")
    store[2] = store[2, ::-1, ::-1, ::-1].copy()
    store.flush()
    again = Cohort.open(cohort.path)
    np.testing.assert_array_equal(again.read(["sub-1"]), cohort.read(["sub-1"]))
    for _ in range(2):
        with pytest.raises(StaleError, match=r"volumes\.npy was changed .* build the cohort again"):
            again.read(["sub-1", "sub-2"])


def test_volumes_that_changed_places_are_noticed(cohort: Cohort) -> None:
    store = np.load(cohort.path / "volumes.npy")
    np.save(cohort.path / "volumes.npy", store[::-1])
    with pytest.raises(StaleError):
        Cohort.open(cohort.path).read(["sub-1"])


def test_each_volume_is_compared_once(cohort: Cohort, monkeypatch: pytest.MonkeyPatch) -> None:
    compared: list[int] = []
    real = files.fingerprint

    def fingerprint(value: object) -> str:
        compared.append(isinstance(value, bytes))
        return real(value)

    cohort.read(["sub-0"])
    monkeypatch.setattr(files, "fingerprint", fingerprint)
    for ids in (["sub-0"], ["sub-1", "sub-2"], ["sub-2", "sub-1"]):
        cohort.read(ids)
    assert compared == [True, True]


@pytest.mark.parametrize(
    "change",
    [
        lambda lines: lines[:-1],
        lambda lines: [lines[1], lines[0].replace("sub-0", "sub-1"), *lines[2:]],
        lambda lines: ["[]", "{", "null", *(['{"scan_id": []}'] * 3)],
        lambda lines: [],
    ],
)
def test_a_changed_ledger_is_noticed(cohort: Cohort, change: Callable[[list[str]], list[str]]) -> None:
    ledger = cohort.path / "ledger.jsonl"
    ledger.write_text("\n".join(change(ledger.read_text().splitlines())))
    with pytest.raises(StaleError, match=r"ledger\.jsonl was changed"):
        Cohort.open(cohort.path).read(["sub-1"])


def test_a_ledger_rewritten_to_fit_changed_volumes_is_noticed(cohort: Cohort) -> None:
    store = np.load(cohort.path / "volumes.npy", mmap_mode="r+")
    store[2] = 0
    store.flush()
    ledger = cohort.path / "ledger.jsonl"
    entries = [json.loads(line) for line in ledger.read_text().splitlines()]
    entries[2]["digest"] = files.fingerprint(store[2].tobytes())
    ledger.write_text("".join(json.dumps(entry) + "\n" for entry in entries))
    with pytest.raises(StaleError, match=r"ledger\.jsonl was changed"):
        Cohort.open(cohort.path).read(["sub-2"])


def test_without_a_ledger_all_volumes_are_compared_with_the_digest_of_the_file(
    cohort_maker: Callable[..., Cohort], tmp_path: Path
) -> None:
    cohort = cohort_maker(tmp_path / "c", [50, 60, 70], ["a", "b", "c"])
    assert not (cohort.path / "ledger.jsonl").exists()
    cohort.read(list(cohort.scans.index))
    np.save(cohort.path / "volumes.npy", -np.load(cohort.path / "volumes.npy"))
    with pytest.raises(StaleError, match=r"volumes\.npy was changed"):
        Cohort.open(cohort.path).read(list(cohort.scans.index))


def test_changed_features_are_noticed_when_the_table_is_opened(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("id,age,x,y\na,50,1,2\nb,60,3,4\nc,70,5,6\n")
    cohort = Cohort.from_table(tmp_path / "t.csv", tmp_path / "c", subject="id", age="age")
    cohort.read(["a"])
    np.save(cohort.path / "features.npy", np.load(cohort.path / "features.npy")[::-1].copy())
    with pytest.raises(StaleError, match=r"features\.npy was changed"):
        Cohort.open(cohort.path)


def test_what_is_about_people_is_for_the_owner_alone(cohort: Cohort, tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("id,age,x\na,50,1\nb,60,3\n")
    table = Cohort.from_table(tmp_path / "t.csv", tmp_path / "t", subject="id", age="age")
    names = ("volumes.npy", "features.npy", "scans.tsv", "excluded.tsv", "ledger.jsonl")
    modes = {
        p.name: oct(p.stat().st_mode & 0o777)
        for c in (cohort, table)
        for p in c.path.iterdir()
        if p.name in names
    }
    assert modes == dict.fromkeys(names, "0o600")


def _rewrite(cohort: Cohort, changes: dict[str, object], scans: bytes | None = None) -> None:
    """Change cohort.json as somebody can who knows how its fingerprint is made."""
    if scans is not None:
        (cohort.path / "scans.tsv").write_bytes(scans)
    path = cohort.path / "cohort.json"
    facts = json.loads(path.read_text()) | changes
    digest = files.fingerprint((cohort.path / "scans.tsv").read_bytes())
    facts["fingerprint"] = files.fingerprint({"scans": digest, "content": facts["content"]})
    path.write_text(json.dumps({k: v for k, v in facts.items() if v is not None}))


@pytest.mark.parametrize(
    "changes",
    [
        {"shape": [10**9, 10**9, 10**9]},
        {"shape": [12, 14]},
        {"shape": [-12, -14, 12]},
        {"shape": "12"},
        {"shape": [12, 14, 12.5]},
        {"kind": "../volumes"},
        {"kind": "table"},
        {"kind": 3},
        {"kind": None},
        {"spacing": -1},
        {"spacing": "wide"},
        {"covariates": ["age"]},
        {"covariates": ["nowhere"]},
        {"covariates": ["image_p05", "image_p05"]},
        {"covariates": {"a": 1}},
        {"features": [[]]},
        {"synthetic": "perhaps"},
        {"source": 7},
        {"inputs": None},
        {"ignored": None},
    ],
)
def test_a_cohort_json_that_makes_no_sense_is_refused(cohort: Cohort, changes: dict[str, object]) -> None:
    _rewrite(cohort, changes)
    with pytest.raises((BadInputError, StaleError), match=r"cohort\.json|scans\.tsv|features\.npy"):
        Cohort.open(cohort.path)


@pytest.mark.parametrize(
    "text", ["[]", "3", "null", "[" * 100_000, '{"schema": [1]}', "\xff", '{"schema": NaN}']
)
def test_a_cohort_json_of_another_kind_is_refused(cohort: Cohort, text: str) -> None:
    (cohort.path / "cohort.json").write_text(text, encoding="latin-1")
    with pytest.raises(BadInputError, match=r"cohort\.json"):
        Cohort.open(cohort.path)


@pytest.mark.parametrize(
    "change",
    [
        lambda text: text.replace(b"sub-1\t1\t", b"sub-1\t-1\t"),
        lambda text: text.replace(b"sub-1\t1\t", b"sub-1\t99999999999999999999\t"),
        lambda text: text.replace(b"sub-1\t1\t", b"sub-1\t1000\t"),
        lambda text: text.replace(b"sub-1\t1\t", b"sub-1\tn/a\t"),
        lambda text: text.replace(b"sub-1\t1\t", b"sub-1\t2\t"),
        lambda text: text.replace(b"sub-1\t1\t", b"sub-2\t1\t"),
        lambda text: text.replace(b"41.0", b"n/a"),
        lambda text: text.replace(b"41.0", b"old"),
        lambda text: text.split(b"\n")[0] + b"\n",
        lambda text: b"",
        lambda text: b"\xff\xfe\x00",
        lambda text: text.replace(b"age_note", b"note"),
    ],
)
def test_a_scans_tsv_that_makes_no_sense_is_refused(cohort: Cohort, change: Callable[[bytes], bytes]) -> None:
    before = (cohort.path / "scans.tsv").read_bytes()
    after = change(before)
    assert after != before
    _rewrite(cohort, {}, after)
    with pytest.raises(BadInputError, match=r"scans\.tsv|does not fit"):
        Cohort.open(cohort.path)


@pytest.mark.parametrize("name", ["scans.tsv", "excluded.tsv", "volumes.npy"])
@pytest.mark.parametrize("spoil", [Path.unlink, lambda path: (path.unlink(), os.mkfifo(path))])
def test_missing_files_and_pipes_are_refused(
    cohort: Cohort, name: str, spoil: Callable[[Path], object]
) -> None:
    spoil(cohort.path / name)
    with pytest.raises(BadInputError, match=name.replace(".", r"\.")):
        Cohort.open(cohort.path)


def _npy(descr: str, shape: str, order: str = "False") -> bytes:
    header = f"{{'descr': {descr}, 'fortran_order': {order}, 'shape': {shape}, }}\n".encode()
    return b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header


@pytest.mark.parametrize(
    "content",
    [
        _npy("'<f2'", "(1000000000, 1000000000, 1000000000, 12)"),
        _npy("'<f2'", "(5, -12, 14, 12)") + bytes(50_000),
        _npy("'|O'", "(5, 12, 14, 12)") + bytes(50_000),
        _npy("'<f8'", "(5, 12, 14, 12)") + bytes(200_000),
        _npy("[('a', '<f2')]", "(5, 12, 14, 12)") + bytes(50_000),
        _npy("'<f2'", "(" * 5000),
        _npy("__import__('os').abort()", "(5,)"),
        b"PK\x03\x04" + bytes(100),
        b"",
    ],
)
def test_a_store_made_to_harm_is_refused(cohort: Cohort, content: bytes) -> None:
    (cohort.path / "volumes.npy").write_bytes(content)
    with pytest.raises(CohortError, match=r"volumes\.npy is damaged|does not fit"):
        Cohort.open(cohort.path)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
FACTS = (
    "schema",
    "kind",
    "shape",
    "source",
    "covariates",
    "ignored",
    "spacing",
    "features",
    "synthetic",
    "content",
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.dictionaries(st.sampled_from(FACTS), JSON, max_size=3),
    st.dictionaries(st.sampled_from(["scan_id", "row", "stamp", "digest", "statistics"]), JSON, max_size=2),
    st.integers(0, 4),
)
def test_any_values_end_in_the_same_volumes_or_a_refusal(
    cohort: Cohort, facts: dict[str, object], entry: dict[str, object], line: int
) -> None:
    kept = {name: (cohort.path / name).read_bytes() for name in ("cohort.json", "ledger.jsonl")}
    ids = list(cohort.scans.index)
    try:
        lines = kept["ledger.jsonl"].decode().splitlines()
        lines[line] = json.dumps(json.loads(lines[line]) | entry)
        (cohort.path / "ledger.jsonl").write_text("\n".join(lines))
        _rewrite(cohort, facts)
        volumes = Cohort.open(cohort.path).read(ids)
    except MemberscanError as error:
        assert str(error)
    else:
        np.testing.assert_array_equal(volumes, cohort.read(ids))
    finally:
        for name, content in kept.items():
            (cohort.path / name).write_bytes(content)
