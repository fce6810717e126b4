"""What a dossier cannot show, however complete it is."""

from __future__ import annotations

from collections.abc import Sequence

from memberscan.dossier.sources import Audited, Sources
from memberscan.report.sections.summary import could_not_be_seen

_ALWAYS = (
    "Attacks that were not run, and attacks that are not known yet. A test speaks for what it ran.",
    "Whether the model is anonymous or its release lawful. That is a decision of the controller, and this "
    "document is no legal advice.",
    "What the sources do not say. The dossier adds no measurement of its own: each number comes from a "
    "file in the folder inputs.",
)


def limits_of(sources: Sources) -> list[str]:
    """Return what the audits could not see, each sentence once, and what no dossier shows."""
    said = _unseen(sources.audits)
    if sources.audits and any(audit.content.provenance.weights is None for audit in sources.audits):
        said.append(
            "Whether audits of predictions are of the same model as the release: predictions have no "
            "fingerprint of the weights."
        )
    if sources.inspection is not None:
        said.append(
            "Whether the files that were inspected are those that will be released, and hold the audited "
            "model. Compare their SHA-256."
        )
    if sources.consortia:
        said.append(
            "Controls, groups and the most exposed people of joined audits, which consortium.json lacks."
        )
    return list(dict.fromkeys([*said, *_ALWAYS]))


def _unseen(audits: Sequence[Audited]) -> list[str]:
    """Return what all audits could not see, and then what each could not see alone, with its file."""
    each = [
        [
            sentence.replace("The reasons are below.", "The reasons are under not_run in its file.")
            for sentence in could_not_be_seen(audit.content)
        ]
        for audit in audits
    ]
    alone = [
        f"{audit.given.file.removeprefix('inputs/')}: {sentence[0].lower()}{sentence[1:]}"
        for audit, sentences in zip(audits, each, strict=True)
        for sentence in sentences
        if not all(sentence in others for others in each)
    ]
    return [*(s for s in (each[0] if each else ()) if all(s in others for others in each)), *alone]
