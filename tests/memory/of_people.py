"""Hostile cohorts, tables and images."""

from __future__ import annotations

import gzip
import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np

from memberscan.auditing import AuditResult
from memberscan.cohort import Cohort, manifest
from memberscan.files import fingerprint
from memberscan.rows import RowFile
from memberscan.runs import Roles
from memberscan.targets import PredictionsTable
from memberscan.threat import ThreatModel
from memberscan.training.reproduction import _read

from . import bombs
from .bombs import HUGE
from .cases import add, edited, one, put, sparse, spoilt
from .of_runs import DEEP, JSONS

# Stores


def rows(path: Path) -> None:
    """Open the rows of interrupted work, which are made anew if they are others."""
    with RowFile.open(path, 10, (3,), np.float32) as store:
        assert store.fresh


add("rows of a huge array", "rows", one("x.npy", bombs.npy((HUGE, 3))), rows, harmless=True)
add("rows of zeros", "rows", lambda good, folder: sparse(folder / "x.npy"), rows, harmless=True)


def stored(name: str, data: bytes | None, what: str = "table") -> Callable[[Path, Path], Path]:
    """Return what copies a cohort and makes its store anew; its digests are made to agree."""

    def prepare(good: Path, folder: Path) -> Path:
        path = spoilt(what, name, data or b"")(good, folder)
        if data is None:
            sparse(path / name)
        else:
            _agree(path, content=fingerprint(data) if what == "table" else None)
        return path

    return prepare


def _agree(path: Path, content: str | None = None, **changes: Any) -> None:
    """Change cohort.json, and the digest in it accordingly, as whoever makes a file to harm would."""
    stated = json.loads((path / manifest.MANIFEST).read_text()) | changes
    stated["content"] = content or stated["content"]
    scans = fingerprint((path / manifest.SCANS).read_bytes())
    stated["fingerprint"] = fingerprint({"scans": scans, "content": stated["content"]})
    put(path / manifest.MANIFEST, stated)


def read_cohort(path: Path) -> None:
    """Read a cohort and its first scans."""
    cohort = Cohort.open(path)
    cohort.read(cohort.scans.index[:2].tolist())


STORES: Mapping[str, bytes | None] = {
    "huge": bombs.npy((HUGE, 7)),
    "objects": bombs.npy((40, 7), "|O", bytes(8 * 280)),
    "deep header": bombs.npy_header("(" * 9000),
    "huge items": bombs.npy((40,), "<V2147483647"),
    "of zeros": None,
}
for kind, store in STORES.items():
    add(f"features.npy, {kind}", "cohort.cohort", stored("features.npy", store), read_cohort)
    add(f"volumes.npy, {kind}", "cohort.cohort", stored("volumes.npy", store, "volumes"), read_cohort)


def of_shape(*shape: int) -> Callable[[Path, Path], Path]:
    """Return what makes a cohort of large volumes, all of them zeros that take no place on the disk."""

    def prepare(good: Path, folder: Path) -> Path:
        path = spoilt("volumes", "volumes.npy", bombs.npy((40, *shape), "<f2"))(good, folder)
        size = (path / "volumes.npy").stat().st_size + 80 * int(np.prod(shape))
        os.truncate(path / "volumes.npy", size)
        _agree(path, shape=list(shape))
        return path

    return prepare


add("cohort of large volumes", "cohort.manifest cohort.cohort", of_shape(500, 500, 500), read_cohort)
add(
    "cohort of endless volumes",
    "cohort.manifest",
    edited("volumes", "cohort.json", lambda c: c.update(shape=[1 << 62] * 3)),
    read_cohort,
)

# Tables

WIDE_ROWS = 15_000, 450_000


def ragged(separator: str, names: str = "") -> str:
    """Return a table of many columns and many short rows, which are billions of cells once filled up."""
    columns, lines = WIDE_ROWS
    return names + separator + separator.join(f"{k:x}" for k in range(columns)) + "\nx" * lines


def tables(separator: str, names: str, row: str) -> dict[str, str]:
    """Return hostile tables whose header begins with the columns that are needed."""
    s = separator
    return {
        "ragged": ragged(s, names),
        "a million columns": names + s * 1_000_000,
        "a million columns in a row": f"{names}\n{row}{s * 1_000_000}",
        "a large cell": f"{names}\n{row.replace('x', 'x' * 1_000_000, 1)}",
        "a large name": f"{names}{s}{'x' * 1_000_000}\n{row}{s}1",
        "a million rows": f"{names}\n{s}\n" + "\n" * 900_000,
        "an open quotation mark": f'{names}\n{row}\n"' + f"x{s}" * 400_000,
        "a long number": f"{names}\n{row.replace('1', '1' * 900_000, 1)}",
        "a large exponent": f"{names}\n{row.replace('1', '1e999999999')}",
        "blanks": f"{names}\n{row.replace('1', '1' + ' ' * 900_000 + 'x', 1)}",
        "a name that takes years": f"{names}{s}Unnamed: 0{'_a' * 60}!\n{row}{s}1",
    }


def read_predictions(path: Path) -> None:
    """Read predictions as an audit does."""
    PredictionsTable.read(path, ThreatModel())


def build(path: Path) -> None:
    """Build a cohort of a table."""
    Cohort.from_table(path, path.parent / "cohort", subject="id", age="age")


def build_of_images(path: Path) -> None:
    """Build a cohort of a BIDS dataset; why a scan is excluded is part of the error."""
    Cohort.from_bids(path, path.parent / "cohort", spacing=12, workers=1)


def read_own_predictions(path: Path) -> None:
    """Read a lab's own predictions of the scans of a small cohort."""
    table = path.parent / "small.csv"
    table.write_text("id,age,thickness\nx,50,1\n")
    _read(path, Cohort.from_table(table, path.parent / "small", subject="id", age="age"))


def read_audit(path: Path) -> None:
    """Read an audit with its tables."""
    AuditResult.load(path)


def dataset(name: str, data: bytes | str, image: bytes = b"") -> Callable[[Path, Path], Path]:
    """Return what makes a BIDS dataset of one person, and one of its files."""

    def prepare(good: Path, folder: Path) -> Path:
        put(folder / "bids" / "participants.tsv", "participant_id\tage\nsub-1\t50\n")
        put(folder / "bids" / "sub-1" / "anat" / "sub-1_T1w.nii.gz", image)
        put(folder / "bids" / name, data)
        return folder / "bids"

    return prepare


def scans(text: str) -> Callable[[Path, Path], Path]:
    """Return what makes the table of scans of a cohort anew; its digest is made to agree."""

    def prepare(good: Path, folder: Path) -> Path:
        path = spoilt("table", manifest.SCANS, text)(good, folder)
        _agree(path)
        return path

    return prepare


for kind, text in tables(",", "subject_id,age,prediction,member", "x,1,1,1").items():
    add(
        f"predictions, {kind}",
        "cohort.text_table targets.predictions_file targets.predictions_table",
        one("p.csv", text),
        read_predictions,
    )
far = "subject_id,age,prediction,member,copy_9999_prediction\nx,1,1,1,1\ny,1,1,0,1\n"
add("predictions, a copy of a far number", "targets.predictions_file", one("p.csv", far), read_predictions)
SHORT = ("ragged", "a million columns in a row", "a large cell", "blanks")
for kind in SHORT:
    text = tables("\t", "subject\trole", "x\tmember 1")[kind]
    add(f"roles.tsv, {kind}", "runs.roles", one("roles.tsv", text), Roles.read)
    text = tables(",", "id,age,thickness", "x,1,1")[kind]
    add(f"table, {kind}", "cohort.table cohort.people_table", one("t.csv", text), build, either=True)
    text = tables(",", "scan_id,prediction", "x,1")[kind]
    add(f"own predictions, {kind}", "training.reproduction", one("own.csv", text), read_own_predictions)
    text = tables("\t", "participant_id\tage", "sub-x\t1")[kind]
    add(
        f"participants.tsv, {kind}", "cohort.participants", dataset("participants.tsv", text), build_of_images
    )
for kind, text in tables("\t", "\t".join((*manifest.RESERVED, "sex")), "x\t1\tx\tx\t1\tx\tF").items():
    add(f"scans.tsv, {kind}", "files cohort.manifest", scans(text), read_cohort, either=True)
text = tables("\t", "subject_id\tmember", "x\t1")["ragged"]
add("scores.tsv", "files", spoilt("audit", "scores.tsv", text), read_audit)
for kind in ("deep", "long text"):
    sidecar = dataset("participants.json", JSONS[kind])
    add(f"participants.json, {kind}", "cohort.participants", sidecar, build_of_images)
for kind, lines in {"broken": "{\n" * 20_000, "deep": DEEP + "\n", "empty": "\n" * 30_000}.items():
    add(
        f"ledger, {kind}",
        "cohort.store",
        spoilt("volumes", manifest.LEDGER, lines),
        read_cohort,
        either=True,
    )

# Images


def nifti(shape: tuple[int, ...], dtype: str = "u1", **changes: Any) -> bytes:
    """Return the header of a NIfTI file, of a shape that may be a lie."""
    header = nib.Nifti1Header()
    header.set_data_dtype(np.dtype(dtype))
    raw = header.structarr.copy()
    raw["dim"][0] = len(shape)
    raw["dim"][1 : 1 + len(shape)] = shape
    raw["pixdim"][1:4] = 1
    raw["vox_offset"] = 352
    raw["magic"] = b"n+1"
    for name, value in changes.items():
        raw[name] = value
    return raw.tobytes() + bytes(4)


IMAGES: Mapping[str, bytes] = {
    "of two hundred megabytes": bombs.gzipped(400, nifti((600, 600, 600))),
    "of a small header and a long stream": bombs.gzipped(900, nifti((4, 4, 4))),
    "packed too tightly": bombs.gzipped(32, nifti((316, 316, 316))),
    "of the largest sizes": bombs.gzipped(9, nifti((32767,) * 7, "f8")),
    "of negative sizes": bombs.gzipped(9, nifti((-1, -9, 9))),
    "far away": bombs.gzipped(900, nifti((99, 99, 99), vox_offset=3e8)),
    "at no place": bombs.gzipped(9, nifti((99, 99, 99), vox_offset=np.nan)),
    "of a long name": b"\x1f\x8b\x08\x08" + bytes(6) + b"x" * 1_000_000,
    "of long extras": b"\x1f\x8b\x08\x04" + bytes(6) + b"\xff\xff" * 500_000,
    "of many parts": gzip.compress(b"") * 45_000,
}


def ball(good: Path, folder: Path) -> Path:
    """Return a dataset with the largest image that is read however tightly it is packed."""
    axes = np.ogrid[:256, :256, :256]
    inside = sum((axis - 128) ** 2 for axis in axes) < 90**2
    voxels = inside.astype(np.uint8, order="F")
    voxels[128:] *= 2
    packed = gzip.compress(nifti((256, 256, 256)) + voxels.tobytes(order="F"), 1)
    return dataset("x", "", packed)(good, folder)


add("image as large as is read", "cohort.images", ball, build_of_images, harmless=True)
for kind, image in IMAGES.items():
    add(f"image {kind}", "cohort.images", dataset("x", "", image), build_of_images)
