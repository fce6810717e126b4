"""Attacks in the layout of SACRO-ML's attack JSON, for output checkers of secure environments.

The layout is that of SACRO-ML 2.0.1, whose own readers open it: ``python -m benchmarks.sacro_export``.
"""

from __future__ import annotations

import uuid
from typing import Any

from memberscan.dossier.content import DossierContent
from memberscan.dossier.sources import Audited, Sources
from memberscan.errors import RefusedError
from memberscan.files import to_json
from memberscan.report import AuditContent, ranking, words
from memberscan.report.content.finding_json import Finding

REPORT, TARGET, README = "report.json", "target.yaml", "README.txt"
LAYOUT = "2.0.1"
THRESHOLD = 0.05
"""Below this p-value SACRO-ML counts an AUC as significant (its FinalRecommendationModule)."""
_NAMESPACE = uuid.UUID("6f6d3c52-6a1b-5d0e-9d3b-6d656d626572")
_ABOUT = """These files hold attacks of memberscan in the layout of SACRO-ML's attack JSON ({layout}).

report.json   one entry for each attack; target.yaml   the model
Read them with sacroml.attacks.attack_report_formatter.GenerateTextReport.

What to know when you read them:
- SACRO-ML counts an attack as support for release if its p-value is not below 0.05. It knows no answer for an
  audit that is inconclusive or confounded. Attacks are left out where that rule would say something else than
  the verdict of the audit.
- ACC is the balanced accuracy. P_HIGHER_AUC is corrected for all attacks of the audit together.
- TPR@0.1% is the true-positive rate at a false-positive rate of 0.1, as SACRO-ML names it.
- FDIF and per-record scores are not given: a dossier holds nothing about single people.

Left out:
{left_out}
"""


def files_of(sources: Sources, content: DossierContent) -> dict[str, bytes]:
    """Return the files of the export by name.

    Raises
    ------
    RefusedError
        If no attack can be exported without saying something else than its audit.
    """
    entries: dict[str, Any] = {}
    left_out: list[str] = []
    for audit in sources.audits:
        for finding in ranking.ranked(audit.content):
            if why := reason_against(audit.content, finding):
                left_out.append(f"{audit.given.file}, {finding.attack}: {why}")
                continue
            entry = _entry(audit, finding)
            entries[f"{entry['metadata']['attack_name']}_{entry['log_id']}"] = entry
    if not entries:
        why = words.listed(left_out) if left_out else "the inputs hold joined audits only"
        raise RefusedError(
            f"no attack can be exported for SACRO-ML, which would misread it ({why}); leave out "
            "--export sacro"
        )
    about = _ABOUT.format(layout=LAYOUT, left_out="\n".join(left_out) or "nothing")
    target = sources.audits[0].content.target
    # A JSON text is a YAML text as well.
    stated = {"model_name": content.model, "n_samples": target.members, "model_params": {}}
    return {
        REPORT: to_json(entries).encode(),
        TARGET: to_json(stated).encode(),
        README: about.encode(),
    }


def reason_against(audit: AuditContent, finding: Finding) -> str | None:
    """Return why SACRO-ML would misread an attack, or None if its rule agrees with the audit."""
    label = audit.verdict.label
    if label in ("inconclusive", "confounded"):
        return f"the audit is {label}"
    if ranking.within_strata(audit):
        return "it is judged among people who are alike, which has no p-value here"
    if finding.p_value is None:
        return "it has no p-value"
    significant = finding.p_value < THRESHOLD
    if significant != (finding.attack in ranking.basis(audit).shown):
        return "its p-value and the bound of the verdict disagree"
    if label == "leaks" and not significant:
        return "another attack of the audit shows a leak"
    return None


def _entry(audit: Audited, finding: Finding) -> dict[str, Any]:
    content = audit.content
    year, month, day = (content.provenance.date or "1970-01-01").split("-")
    return {
        # The same input gives the same id.
        "log_id": str(uuid.uuid5(_NAMESPACE, f"{audit.given.described.sha256} {finding.attack}")),
        "log_time": f"{day}/{month}/{year} 00:00:00",
        "metadata": {
            "sacroml_version": f"layout of {LAYOUT}, written by memberscan {content.provenance.memberscan}",
            "attack_name": f"memberscan {finding.attack}",
            "attack_params": _parameters(content, finding),
            "target_model": content.target.model,
            "target_model_params": {},
            "target_train_params": {},
            "global_metrics": _of_audit(content, finding),
        },
        "attack_experiment_logger": {"attack_instance_logger": {"instance_0": _metrics(finding)}},
    }


def _parameters(audit: AuditContent, finding: Finding) -> dict[str, Any]:
    """Return what the attacker was given; its readers write figures to ``output_dir`` while they read."""
    return {
        "output_dir": ".",
        "attacker": audit.threat.attacker,
        "access": audit.threat.access,
        "known_members": audit.threat.known[0],
        "known_nonmembers": audit.threat.known[1],
        "references": audit.threat.references,
        "fitted": finding.fitted,
    }


def _of_audit(audit: AuditContent, finding: Finding) -> dict[str, Any]:
    return {
        "verdict": audit.verdict.label,
        "verdict_sentence": audit.verdict.sentence,
        "smallest_detectable_auc": audit.verdict.smallest_detectable_auc,
        "auc_lower_bound": finding.auc.simultaneous.low,
    }


def _metrics(finding: Finding) -> dict[str, Any]:
    """Return the metrics of an attack under SACRO-ML's names."""
    rates = {f"TPR@{rate.fpr:g}%": rate.value for rate in finding.tpr if rate.value is not None}
    curve = {"fpr": [0.0, *finding.roc.fpr, 1.0], "tpr": [0.0, *finding.roc.tpr, 1.0]}
    members = finding.scored.members
    return {
        "AUC": finding.auc.value,
        "AUC_95_low": finding.auc.low,
        "AUC_95_high": finding.auc.high,
        "P_HIGHER_AUC": finding.p_value,
        "ACC": finding.accuracy.value,
        "Advantage": max(0.0, 2 * finding.accuracy.value - 1),
        **rates,
        **curve,
        **({} if members is None else {"n_pos_test_examples": members}),
        "n_neg_test_examples": finding.scored.nonmembers,
    }
