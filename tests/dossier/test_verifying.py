"""A dossier is complete in itself, and one changed, added or missing byte in it is found and named."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from memberscan import dossier as package
from memberscan.dossier import Dossier, dossier, making, verify
from memberscan.dossier.manifest import MANIFEST, digest_of_file, files_in, listed_in, manifest_of
from memberscan.errors import BadInputError, DossierError, OutputConflictError, RefusedError
from memberscan.report import AuditContent

from .made_up import inspection, leaking, written

FAKE_PDF = b"%PDF-1.4 made up"


@pytest.fixture(scope="module")
def made(quiet: AuditContent, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, Dossier]]:
    """A dossier with every kind of file; nobody may write into it."""
    folder = tmp_path_factory.mktemp("verified")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(making, "pdf_of", lambda _: FAKE_PDF)
        found = dossier(
            [written(folder, "audit", leaking(quiet))],
            folder / "dossier",
            context="internal",
            inspection=written(folder, "inspection", inspection("look")),
            exports=["bids", "sacro", "monai", "model-card"],
            name="A release",
        )
    yield folder / "dossier", found


@pytest.fixture
def copy(made: tuple[Path, Dossier], tmp_path: Path) -> Path:
    """A copy of it to change."""
    return Path(shutil.copytree(made[0], tmp_path / "copy"))


def listed_anew(folder: Path) -> None:
    """Write the manifest that fits the files, as somebody who wants to hide a change would."""
    files, _ = files_in(folder)
    digests = {name: digest_of_file(path) for name, path in files.items()}
    (folder / MANIFEST).write_bytes(manifest_of(digests))


def test_an_unchanged_dossier_is_verified_wherever_it_is(made: tuple[Path, Dossier], copy: Path) -> None:
    found = verify(copy)
    assert found == verify(made[0], sha256=made[1].sha256.upper())
    assert found.sha256 == made[1].sha256
    assert {"dossier.json", "dossier.html", "request.json"} < set(found.derived)
    assert "exports/sacro/report.json" in found.derived
    assert set(found.by_digest_only) == {
        "dossier.pdf", "inputs/01-audit.json", "inputs/02-inspection.json", "inputs/declaration.json",
    }  # fmt: skip
    assert found.files == len(found.derived) + len(found.by_digest_only) + 1


def test_whoever_may_read_the_page_may_read_all_of_it(made: tuple[Path, Dossier]) -> None:
    mode = (made[0] / "dossier.html").stat().st_mode
    assert {path.stat().st_mode for path in files_in(made[0])[0].values()} == {mode}


def test_the_manifest_is_what_sha256sum_reads(made: tuple[Path, Dossier]) -> None:
    lines = (made[0] / MANIFEST).read_text("ascii").splitlines()
    for line in lines:
        digest, name = line.split("  ")
        assert digest_of_file(made[0] / name) == digest
    assert [line.split("  ")[1] for line in lines] == sorted(listed_in(made[0])[0])


def test_any_changed_byte_is_found_and_its_file_named(copy: Path) -> None:
    rng = np.random.default_rng(0)
    files, _ = files_in(copy)
    tried = 0
    for name, path in [*files.items(), (MANIFEST, copy / MANIFEST)]:
        data = path.read_bytes()
        # Every byte of the manifest and of small files, and many of the others.
        small = name == MANIFEST or len(data) < 200
        places = range(len(data)) if small else rng.integers(0, len(data), 12).tolist()
        for place in places:
            bit = 1 << int(rng.integers(0, 8))
            path.write_bytes(data[:place] + bytes([data[place] ^ bit]) + data[place + 1 :])
            with pytest.raises(DossierError) as refused:
                verify(copy)
            if name != MANIFEST:
                assert f"{name} was changed" in str(refused.value)
            tried += 1
        path.write_bytes(data)
    assert tried > 1000
    verify(copy)


@pytest.mark.parametrize("change", ["shorter", "longer", "missing"])
def test_missing_and_added_bytes_and_files_are_found(copy: Path, change: str) -> None:
    for name, path in files_in(copy)[0].items():
        data = path.read_bytes()
        if change == "missing":
            path.unlink()
        else:
            path.write_bytes(data[:-1] if change == "shorter" else data + b"\n")
        says = "is missing" if change == "missing" else "was changed"
        with pytest.raises(DossierError, match=re.escape(f"{name} {says}")):
            verify(copy)
        path.write_bytes(data)


@pytest.mark.parametrize(
    "change",
    [
        lambda text: text[:-1],
        lambda text: f"{text}\n",
        lambda text: text.replace("\n", "\r\n"),
        lambda text: text.upper(),
        lambda text: "\n".join(reversed(text.splitlines())) + "\n",
        lambda text: text + text.splitlines(keepends=True)[0],
        lambda text: text.replace("  ", " *"),
        lambda text: text.replace("inputs/", "../inputs/"),
        lambda _: "",
    ],
)
def test_a_manifest_in_another_form_is_refused(copy: Path, change: Callable[[str], str]) -> None:
    text = (copy / MANIFEST).read_text("ascii")
    (copy / MANIFEST).write_bytes(change(text).encode())
    with pytest.raises(DossierError):
        verify(copy)


def test_added_files_folders_and_links_are_named(copy: Path) -> None:
    (copy / "inputs" / "more.json").write_text("{}")
    (copy / "empty").mkdir()
    (copy / "link").symlink_to("/etc/hostname")
    (copy / "dossier.pdf").unlink()
    (copy / "dossier.pdf").symlink_to("/etc/hostname")
    with pytest.raises(DossierError) as refused:
        verify(copy)
    for said in ("inputs/more.json was added", "empty was added", "link was added", "dossier.pdf is missing"):
        assert said in str(refused.value)
    assert isinstance(refused.value, RefusedError) and refused.value.exit_code == 3


@pytest.mark.parametrize(
    "name",
    ["dossier.json", "dossier.html", "request.json", "exports/sacro/report.json", "inputs/01-audit.json"],
)
def test_a_change_that_the_manifest_hides_does_not_follow_from_the_inputs(copy: Path, name: str) -> None:
    text = (copy / name).read_text("utf-8")
    assert "0." in text or "dossier" in text
    changed = text.replace("0.5", "0.4", 1) if "0.5" in text else text.replace("dossier", "dossjer", 1)
    (copy / name).write_text(changed, "utf-8")
    listed_anew(copy)
    with pytest.raises(DossierError, match=r"does not follow from the inputs|cannot be derived"):
        verify(copy)


def test_files_that_are_listed_but_no_part_of_a_dossier_are_named(copy: Path) -> None:
    (copy / "notes.txt").write_text("hello")
    (copy / "exports" / "bids" / "README").unlink()
    listed_anew(copy)
    with pytest.raises(DossierError, match=r"bids/README is missing(.|\n)*notes.txt is no part of a dossier"):
        verify(copy)


def test_inputs_that_are_no_inputs_are_refused(copy: Path) -> None:
    (copy / "inputs" / "declaration.json").write_text("{}")
    listed_anew(copy)
    with pytest.raises(DossierError, match="cannot be derived from its inputs"):
        verify(copy)


def test_only_the_senders_digest_shows_that_all_was_made_anew(made: tuple[Path, Dossier], copy: Path) -> None:
    (copy / "dossier.pdf").write_bytes(b"%PDF-1.4 another")
    listed_anew(copy)
    verify(copy)
    with pytest.raises(DossierError, match=f"and not {made[1].sha256}"):
        verify(copy, sha256=made[1].sha256)
    with pytest.raises(BadInputError, match="64 hexadecimal digits"):
        verify(copy, sha256="abc")


def test_another_version_says_which_one_to_install(copy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(package.verifying, "__version__", "9.9.9")
    with pytest.raises(DossierError, match=r"every file .* is as listed, .*install memberscan=="):
        verify(copy)


def test_what_is_no_dossier_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DossierError, match=r"holds no manifest\.sha256"):
        verify(tmp_path)


def test_the_same_command_does_nothing_and_another_is_refused(
    quiet: AuditContent, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(making, "pdf_of", lambda _: None)
    audit, out = written(tmp_path, "audit", quiet), tmp_path / "dossier"
    first = dossier([audit], out, context="api")
    assert first.pdf is None and first.page.is_file()
    times = {path: path.stat().st_mtime_ns for path in out.rglob("*")}
    # On another day, the date of the dossier stays.
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1800000000")
    assert dossier([audit], out, context="api").sha256 == first.sha256
    assert {path: path.stat().st_mtime_ns for path in out.rglob("*")} == times
    with pytest.raises(OutputConflictError, match="context"):
        dossier([audit], out, context="internal")
    with pytest.raises(OutputConflictError, match="note"):
        dossier([audit], out, context="api", note="another")
    (out / MANIFEST).unlink()
    assert dossier([audit], out, context="api").sha256 == first.sha256
    verify(out)


def test_an_input_or_export_that_makes_no_sense_leaves_nothing_behind(tmp_path: Path) -> None:
    with pytest.raises(BadInputError, match="needs at least one audit"):
        dossier([], tmp_path / "out", context="api")
    with pytest.raises(BadInputError, match="choose from sacro, model-card, monai, bids"):
        making._exports(["pdf"])
    assert not (tmp_path / "out").exists()
