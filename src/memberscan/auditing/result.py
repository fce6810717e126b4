"""What an audit found: a plain dict, the scores behind it, and the ways to look at them."""

from __future__ import annotations

import html
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pandas as pd

from memberscan import report
from memberscan.auditing.heading import Heading
from memberscan.errors import AuditFileError, BadInputError
from memberscan.files import OWNER_ONLY, read_table, write_json, write_table, write_text
from memberscan.received import load_json

DONE = "audit.json"
SCORES = "scores.tsv"
MATCHED = "matched.tsv"
HTML = "audit.html"


@dataclass(frozen=True, eq=False)
class AuditResult:
    """What an audit found.

    Parameters
    ----------
    content
        The content of ``audit.json``; nothing in it is about a single person.
    scores
        One row per subject: whether it is a member, and the mean score of each attack over the draws in which
        it was not known. About single persons: only its owner may read it.
    matched
        Where the sides differ without the model and no leak is shown: subjects to audit again, equally many
        of both sides; else empty.
    """

    content: Mapping[str, Any]
    scores: pd.DataFrame
    matched: pd.DataFrame

    @classmethod
    def load(cls, directory: Path | str) -> AuditResult:
        """Read a saved audit.

        Raises
        ------
        AuditFileError
            If there is none, or it was written by a newer version.
        """
        directory = Path(directory)
        if not (directory / DONE).is_file():
            raise AuditFileError(f"{directory} holds no {DONE}; run memberscan audit first, or finish it")
        try:
            content = report.check(load_json(directory / DONE)).dump()
        except BadInputError as error:
            raise AuditFileError(str(error)) from error
        scores, matched = (
            read_table(directory / name) if (directory / name).exists() else pd.DataFrame()
            for name in (SCORES, MATCHED)
        )
        return cls(content, scores, matched)

    def save(self, directory: Path | str) -> Path:
        """Write audit.json, the report and the scores; the last two tables are readable by the owner only.

        Returns
        -------
        Path
            The report, ``audit.html``.
        """
        directory = Path(directory)
        directory.mkdir(parents=True, exist_ok=True)
        write_table(directory / SCORES, self.scores, mode=OWNER_ONLY)
        if len(self.matched):
            write_table(directory / MATCHED, self.matched, mode=OWNER_ONLY)
        page = self.render(directory)
        # Last, since its presence says that the audit is finished.
        self.write(directory)
        return page

    def write(self, directory: Path | str) -> None:
        """Write audit.json alone."""
        write_json(Path(directory) / DONE, dict(self.content))

    def render(self, directory: Path | str) -> Path:
        """Write the report alone, and return its path."""
        page = Path(directory) / HTML
        write_text(page, report.render_html(dict(self.content)))
        return page

    def renamed(self, name: str | None = None, note: str | None = None) -> AuditResult:
        """Return the same result under another name or with another note; None keeps what is there."""
        provenance = self.content["provenance"]
        provenance = {**provenance, **Heading.of(name, note).replaces(provenance)}
        content = report.check({**self.content, "provenance": provenance}).dump()
        return replace(self, content=content)

    @property
    def verdict(self) -> str:
        """The verdict's label: leaks, no leak shown, inconclusive or confounded."""
        return str(self.content["verdict"]["label"])

    @property
    def findings(self) -> pd.DataFrame:
        """One row per attack: AUC and accuracy with their intervals."""
        rows = [
            {
                "attack": f["attack"],
                "access": f["access"],
                **{f"auc_{k}": f["auc"][k] for k in ("value", "low", "high")},
                "auc_simultaneous_low": f["auc"]["simultaneous"]["low"],
                **{f"accuracy_{k}": f["accuracy"][k] for k in ("value", "low", "high")},
                "p_value": f["p_value"],
            }
            for f in self.content["findings"]
        ]
        return pd.DataFrame(rows)

    def __repr__(self) -> str:
        return f"AuditResult({self.verdict}: {self.content['verdict']['sentence']})"

    def _repr_html_(self) -> str:
        # In a frame of its own, since the page's styles would spill into the notebook.
        page = html.escape(report.render_html(dict(self.content)))
        return f'<iframe srcdoc="{page}" title="memberscan report" style="width:100%;height:80vh"></iframe>'
