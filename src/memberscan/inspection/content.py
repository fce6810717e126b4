"""The content of inspection.json: what the files of a release say about people, without any of their ids."""

from __future__ import annotations

from typing import Annotated, Final, Literal

from pydantic import Field

from memberscan.report.content.parts import Count, Day, Many, Part, Text

INSPECTION_SCHEMA: Final = "memberscan.inspection/1"

Grade = Literal["leaks", "look", "note"]
"""How serious a finding is: ``leaks`` if the file names people or holds their data; ``look`` if it may, and a
person must look; ``note`` if it is about the machine or the training, and not about the people studied."""

Verdict = Literal["leaks", "look", "nothing found"]
"""The worst grade of all findings, where a file that could not be read counts as ``look``. ``nothing found``
is about what was read; it does not say that a model keeps its members to itself."""

Kind = Literal[
    "training rows",
    "table of people",
    "ids of people",
    "names of people",
    "dates of birth",
    "dates of scans",
    "images of people",
    "cohort's ids",
    "cohort's inputs",
    "cohort's labels",
    "folds",
    "predictions",
    "embeddings",
    "batch statistics",
    "optimizer state",
    "memberscan's own secrets",
    "user names",
    "pictures",
    "code in data",
    "not read",
]
"""What was found."""


class Proof(Part):
    """What of a cohort was found in a file: a match with the data themselves, not a guess from names."""

    people: Count
    """The cohort's people who were found."""
    of: Count
    """The cohort's people who were looked for."""
    members: Count | None
    """Those found who are members, if it is known who is."""
    members_of: Count | None
    """All members, if it is known who is."""
    exact: Text
    """How exactly the values agree."""


class InspectionFinding(Part):
    """Something in a file that is about people."""

    kind: Kind
    """What it is."""
    grade: Grade
    """How serious it is."""
    file: Text
    """The file, as a path within the release; ``!`` stands between an archive and a file in it."""
    place: Text
    """Where in the file: the key, the column, the tensor; empty for the whole file."""
    people: Count | None
    """How many people it is about, or at most how many; null if that cannot be told."""
    what: Text
    """What it is, in one sentence."""
    mend: Text
    """What to do about it, in one sentence."""
    proof: Proof | None = None
    """The match with the cohort; absent without one."""


class ReadFile(Part):
    """One file of the release, archives and the files in them included."""

    file: Text
    """Its path within the release."""
    format: Text
    """The format it was read as; empty if it was not read."""
    size: Count
    """Its bytes."""
    sha256: Annotated[str, Field(pattern=r"^([0-9a-f]{64})?$")]
    """Its SHA-256; empty for a file within an archive, which the archive's covers."""
    unread: Text
    """Why it, or a part of it, was not read; empty if all was read."""


class ComparedCohort(Part):
    """The cohort that the release was compared with."""

    people: Count
    """Its people."""
    scans: Count
    """Their scans."""
    members: Count | None
    """Its members, if it is known who is."""
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    """Digest of the cohort's manifest."""


class CleanedFile(Part):
    """What became of one file in the cleaned copy."""

    file: Text
    """Its path within the release."""
    action: Literal["copied", "cleaned", "left out"]
    """Whether it was copied byte for byte, written again without what was found, or left out."""
    said: Text
    """What was taken out, what proves that predictions are unchanged, or why it was left out."""


class InspectionContent(Part):
    """What the files of a release say about people."""

    schema_name: Literal["memberscan.inspection/1"] = Field(alias="schema")
    """Name and version of this format."""
    memberscan: Text
    """Version that wrote it."""
    created: Day
    """Day of the inspection, UTC."""
    release: Many[Text]
    """Names of the files and folders that were given."""
    verdict: Verdict
    """The worst of the findings."""
    files: Many[ReadFile]
    """Every file, in the order of their names."""
    findings: Many[InspectionFinding]
    """What was found, the worst first."""
    cohort: ComparedCohort | None
    """The cohort it was compared with; null without one, in which case nothing is proven."""
    searched_ids: Count
    """How many ids were searched for: the cohort's and those of a list."""
    cleaned: Many[CleanedFile] = ()
    """What became of each file in the cleaned copy; absent where none was made."""
