"""Print a page as PDF with a Chromium that is installed; a dossier is complete without."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from pathlib import Path

_BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "msedge")
_SECONDS = 120
BY_HAND = "open dossier.html in any browser and print it, or save it as PDF (A4)"


def chromium() -> str | None:
    """Return the program of a Chromium on this machine, or None."""
    return next((found for name in _BROWSERS if (found := shutil.which(name))), None)


def pdf_of(page: bytes) -> bytes | None:
    """Return a page as PDF, or None where there is no Chromium or it fails.

    The browser gets a profile of its own, without network or extensions. Two versions of a browser give
    different bytes, so that a PDF can be checked by its digest only.
    """
    program = chromium()
    if program is None:
        return None
    with tempfile.TemporaryDirectory(prefix="memberscan-print-") as folder:
        source, made = Path(folder, "dossier.html"), Path(folder, "dossier.pdf")
        source.write_bytes(page)
        arguments = [
            program, "--headless=new", "--disable-gpu", "--no-sandbox", "--disable-background-networking",
            "--disable-extensions", "--no-first-run", f"--user-data-dir={folder}/profile",
            "--no-pdf-header-footer", f"--print-to-pdf={made}", source.as_uri(),
        ]  # fmt: skip
        try:
            subprocess.run(arguments, capture_output=True, check=True, timeout=_SECONDS)
            data = made.read_bytes()
        except (OSError, subprocess.SubprocessError):
            return None
    return data if data.startswith(b"%PDF-") else None
