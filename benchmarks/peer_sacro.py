"""Opens exports with SACRO-ML's own readers, in its own environment: folders come as JSON, findings go so."""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path

from sacroml.attacks import report
from sacroml.attacks.attack_report_formatter import (
    GenerateTextReport,
    SummariseAUCPvalsModule,
    SummariseUnivariateMetricsModule,
)


def read(folder: Path) -> dict:
    """Return what its text report, its summaries and its PDF make of an export."""
    summary = GenerateTextReport()
    summary.process_attack_target_json(str(folder / "report.json"), str(folder / "target.yaml"))
    attacks = json.loads((folder / "report.json").read_text("utf-8"))
    areas = SummariseUnivariateMetricsModule(attacks, ["AUC", "ACC"]).process_dict()
    with tempfile.TemporaryDirectory() as place:
        summary.export_to_file(str(Path(place, "summary.txt")))
        text = Path(place, "summary.txt").read_text("utf-8")
        pages = []
        for attack in attacks.values():
            attack["metadata"]["attack_params"]["output_dir"] = place
            pages.append(report.create_lr_report(attack).page_no())
    return {
        "immediate_rejection": summary.immediate_rejection,
        "support_rejection": summary.support_rejection,
        "support_release": summary.support_release,
        "auc": {name: found["AUC"]["mean"] for name, found in areas.items()},
        "significant": int(SummariseAUCPvalsModule(attacks).process_dict()["n_sig_uncorrected"]),
        "text": text,
        "pages": pages,
    }


if __name__ == "__main__":
    print(json.dumps({name: read(Path(folder)) for name, folder in json.load(sys.stdin).items()}))
