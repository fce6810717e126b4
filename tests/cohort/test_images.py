from __future__ import annotations

import gzip
import os
import subprocess
import sys
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from memberscan.cohort import Cohort
from memberscan.cohort.conform import conform
from memberscan.cohort.images import ALWAYS_UNPACKED, load_image, named
from memberscan.errors import UnusableScanError

from .conftest import BidsMaker, people, small_image

SPACING = 16.0
DATA_TYPES = {"float32": (16, 32), "float64": (64, 64), "rgb": (128, 24), "complex64": (32, 64)}
"""NIfTI's code and the bits of a voxel."""


def header(shape: tuple[int, ...], dtype: str = "float32", **fields: object) -> bytes:
    """Return a header that declares what no array of ours has."""
    made = nib.Nifti1Header()
    made["dim"][: len(shape) + 1] = [len(shape), *shape]
    made["datatype"], made["bitpix"] = DATA_TYPES[dtype]
    made["vox_offset"] = 352
    for name, value in fields.items():
        made[name] = value
    return made.binaryblock + b"\0\0\0\0"


def test_a_bomb_is_excluded_before_it_is_unpacked(bids: BidsMaker, tmp_path: Path) -> None:
    packed = gzip.compress(header((400, 400, 400)) + bytes(4 * 400**3), 9)
    assert len(packed) < 260_000
    root = bids(
        {"sub-1_T1w.nii.gz": packed, "sub-2_T1w.nii": small_image(2)},
        {"participants.tsv": people({"sub-1": 40, "sub-2": 50})},
    )
    code = (
        "import sys, resource, memberscan.cohort.bids\nfrom memberscan.cohort import Cohort\n"
        "before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "cohort = Cohort.from_bids(sys.argv[1], sys.argv[2], spacing=16)\n"
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)\n"
        "print(cohort.excluded['reason'][0])"
    )
    answer = subprocess.run(
        [sys.executable, "-c", code, str(root), str(tmp_path / "c")],
        check=True,
        capture_output=True,
        text=True,
    )
    kilobytes, reason = answer.stdout.splitlines()
    assert int(kilobytes) < 64_000
    assert "no scan compresses that far" in reason


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (header((2000, 2000, 2000), "float64"), "declares 2000x2000x2000 voxels"),
        (header((32767,) * 7), "4-D image"),
        (header((32767, 32767, 32767)), "declares"),
        (header((-5, 40, 40)), "not a volume"),
        (header((40, 40)), "not a volume"),
        (header((40, 40, 40), "rgb"), "voxels of type"),
        (header((40, 40, 40), "complex64"), "complex64"),
        (header((40, 40, 40), vox_offset=2.0**30), "voxels begin at byte 1,073,741,824"),
        (header((40, 40, 40), vox_offset=np.inf), "."),
        (header((40, 40, 40), vox_offset=np.nan), "."),
        (header((40, 40, 40)), "truncated|Expected"),
        (header((40, 40, 40))[:200], "not a NIfTI file"),
        (b"not an image at all" * 100, "not a NIfTI file"),
        (b"", "not a NIfTI file|empty|Empty"),
    ],
)
@pytest.mark.parametrize("ending", [".nii", ".nii.gz"])
def test_hostile_headers_allocate_nothing(tmp_path: Path, content: bytes, reason: str, ending: str) -> None:
    path = tmp_path / f"scan{ending}"
    path.write_bytes(gzip.compress(content) if ending == ".nii.gz" else content)
    tracemalloc.start()
    try:
        with pytest.raises((UnusableScanError, ValueError, OSError, OverflowError, EOFError), match=reason):
            conform(load_image(path), SPACING)
        assert tracemalloc.get_traced_memory()[1] < 4 << 20
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("size", [0, -16, 8, 2**31 - 1, -(2**31)])
def test_extensions_are_not_believed(tmp_path: Path, size: int) -> None:
    image = small_image(1)
    plain = image.to_bytes()
    extension = np.array([size, 6], "<i4").tobytes() + bytes(56)
    made = bytearray(plain[:348] + b"\1\0\0\0" + extension + plain[352:])
    made[108:112] = np.float32(352 + 64).tobytes()
    path = tmp_path / "scan.nii.gz"
    path.write_bytes(gzip.compress(bytes(made)))
    np.testing.assert_array_equal(np.asarray(load_image(path).dataobj), np.asarray(image.dataobj))


def test_no_more_is_unpacked_than_is_declared(tmp_path: Path) -> None:
    image = small_image(1)
    path = tmp_path / "scan.nii.gz"
    path.write_bytes(gzip.compress(image.to_bytes() + bytes(300 << 20), 1))
    tracemalloc.start()
    try:
        data = np.asarray(load_image(path).dataobj)
        assert tracemalloc.get_traced_memory()[1] < 4 << 20
    finally:
        tracemalloc.stop()
    np.testing.assert_array_equal(data, np.asarray(image.dataobj))


def _pipe(path: Path) -> None:
    os.mkfifo(path)


def _device(path: Path) -> None:
    path.symlink_to("/dev/zero")


def _folder(path: Path) -> None:
    path.mkdir()


def _link_to_pipe(path: Path) -> None:
    os.mkfifo(path.with_name("pipe"))
    path.symlink_to("pipe")


@pytest.mark.parametrize("make", [_pipe, _device, _folder, _link_to_pipe])
@pytest.mark.parametrize("ending", [".nii", ".nii.gz"])
def test_what_is_no_file_is_excluded_and_does_not_hang(
    bids: BidsMaker, tmp_path: Path, make: Callable[[Path], None], ending: str
) -> None:
    root = bids({"sub-1_T1w.nii": small_image(1)}, {"participants.tsv": people({"sub-1": 40, "sub-2": 50})})
    (root / "sub-2" / "anat").mkdir(parents=True)
    make(root / "sub-2" / "anat" / f"sub-2_T1w{ending}")
    cohort = Cohort.from_bids(root, tmp_path / "c", spacing=SPACING)
    assert cohort.excluded["scan_id"].tolist() == ["sub-2"]
    assert cohort.excluded["reason"].str.match(r"unreadable \((not a regular file|.*directory)").all()


def test_a_link_to_a_scan_is_followed(tmp_path: Path) -> None:
    nib.save(small_image(1), tmp_path / "there.nii.gz")
    (tmp_path / "here.nii.gz").symlink_to("there.nii.gz")
    load_image(tmp_path / "here.nii.gz")


def _as_saved(image: nib.Nifti1Image) -> nib.Nifti1Image:
    return image


def _big_endian(image: nib.Nifti1Image) -> nib.Nifti1Image:
    swapped = nib.Nifti1Image(np.asarray(image.dataobj), image.affine, image.header.as_byteswapped(">"))
    assert swapped.header.endianness == ">"
    return swapped


def _scaled(image: nib.Nifti1Image) -> nib.Nifti1Image:
    data = np.asarray(image.dataobj) / 37 - 1.5
    scaled = nib.Nifti1Image(data, image.affine)
    scaled.set_data_dtype(np.int16)
    return scaled


def _turned(image: nib.Nifti1Image) -> nib.Nifti1Image:
    turned: nib.Nifti1Image = image.as_reoriented(np.array([[1, -1], [2, 1], [0, -1]]))
    return turned


def _second(image: nib.Nifti1Image) -> nib.Nifti1Image:
    return nib.Nifti2Image(np.asarray(image.dataobj), image.affine)


def _extended(image: nib.Nifti1Image) -> nib.Nifti1Image:
    image.header.extensions.append(nib.nifti1.Nifti1Extension("comment", b"a note" * 500))
    return image


def _four(image: nib.Nifti1Image) -> nib.Nifti1Image:
    return nib.Nifti1Image(np.asarray(image.dataobj)[..., None], image.affine)


@pytest.mark.parametrize("make", [_as_saved, _big_endian, _scaled, _turned, _second, _extended, _four])
@pytest.mark.parametrize("ending", [".nii", ".nii.gz"])
def test_good_files_are_read_as_nibabel_reads_them(
    tmp_path: Path, make: Callable[[nib.Nifti1Image], nib.Nifti1Image], ending: str
) -> None:
    path = tmp_path / f"scan{ending}"
    nib.save(make(small_image(3)), path)
    found, expected = load_image(path), nib.load(path)
    np.testing.assert_array_equal(np.asarray(found.dataobj), np.asarray(expected.dataobj))
    np.testing.assert_array_equal(found.affine, expected.affine)
    one, other = conform(found, SPACING), conform(expected, SPACING)
    np.testing.assert_array_equal(one.volume, other.volume)
    assert one.statistics == other.statistics


def test_what_nibabel_says_carries_the_name_of_the_file(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    made = bytearray(small_image(1).to_bytes())
    made[80:84] = np.float32(-8).tobytes()
    path = tmp_path / "sub-1_\x1b[31mT1w.nii"
    path.write_bytes(made)
    with named(path):
        load_image(path)
    (record,) = caplog.records
    assert record.getMessage().startswith(f"{tmp_path}/sub-1_\N{REPLACEMENT CHARACTER}[31mT1w.nii: pixdim")
    nib.load(path)
    assert caplog.records[1].getMessage().startswith("pixdim")


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(st.tuples(st.integers(0, 351), st.integers(0, 255)), min_size=1, max_size=6),
    st.lists(
        st.tuples(
            st.sampled_from(["dim", "pixdim", "vox_offset", "datatype", "bitpix", "scl_slope", "xyzt_units",
                             "sform_code", "qform_code", "quatern_b", "srow_x", "srow_z", "magic"]),
            st.binary(min_size=1, max_size=16),
        ),
        max_size=3,
    ),
    st.booleans(),
)  # fmt: skip
def test_any_header_ends_in_a_scan_or_a_reason(
    tmp_path: Path, flips: list[tuple[int, int]], fields: list[tuple[str, bytes]], packed: bool
) -> None:
    made = bytearray(small_image(1).to_bytes())
    layout = nib.Nifti1Header.template_dtype.fields
    for at, value in flips:
        made[at] = value
    for name, value in fields:
        kind, at = layout[name][:2]
        value = value[: kind.itemsize]
        made[at : at + len(value)] = value
    path = tmp_path / ("scan.nii.gz" if packed else "scan.nii")
    path.write_bytes(gzip.compress(bytes(made), 1) if packed else made)
    tracemalloc.start()
    try:
        with np.errstate(all="ignore"):
            volume = conform(load_image(path), SPACING).volume
    except Exception as error:  # the build lists whatever a damaged file raises; it may not be fatal
        assert str(error)
    else:
        assert np.isfinite(volume).all()
    finally:
        assert tracemalloc.get_traced_memory()[1] < 20 * ALWAYS_UNPACKED
        tracemalloc.stop()


def test_an_affine_of_nan_is_refused_before_nibabel_takes_it_apart(tmp_path: Path) -> None:
    values = header((4, 4, 4), sform_code=1, srow_x=[np.nan] * 4)
    (tmp_path / "a.nii").write_bytes(values + bytes(4 * 64))
    with pytest.raises(UnusableScanError, match="affine is not finite"):
        load_image(tmp_path / "a.nii")
