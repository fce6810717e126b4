"""Opens the export of a dossier in SACRO-ML's own readers: ``python -m benchmarks.sacro_export``.

The tool is installed in an environment of its own, which is deleted afterwards unless ``--environment`` says
where to keep it. Two audits of made-up predictions are exported, one of a model that leaks and one of a model
that does not; the readers must give the same numbers, and a recommendation that agrees with the verdict.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import venv
from pathlib import Path

import numpy as np
import pandas as pd

from memberscan import audit
from memberscan.dossier import dossier
from memberscan.dossier.exports.sacro import LAYOUT

PEER = f"sacroml=={LAYOUT}"
HERE = Path(__file__).with_name("peer_sacro.py")
PEOPLE, SEED = 1000, 0
RATIOS = {"leaks": 3.0, "no leak shown": 1.0}
"""By verdict, the ratio of non-members' errors to members' that gives it."""


def export(folder: Path, ratio: float) -> Path:
    """Audit made-up predictions, make a dossier, and return the folder of its export."""
    rng = np.random.default_rng(SEED)
    member = np.arange(PEOPLE) % 2 == 0
    age = rng.normal(62, 8, PEOPLE)
    error = rng.normal(size=PEOPLE) * np.where(member, 3.0, 3.0 * ratio)
    table = pd.DataFrame(
        {
            "subject_id": [f"S{n:04d}" for n in range(PEOPLE)],
            "age": age.round(3),
            "prediction": age + error,
            "member": member.astype(int),
        }
    )
    folder.mkdir(parents=True)
    table.to_csv(folder / "predictions.csv", index=False)
    audit(folder / "predictions.csv", folder / "audit")
    dossier([folder / "audit"], folder / "dossier", context="api", exports=["sacro"])
    return folder / "dossier" / "exports" / "sacro"


def ask(environment: Path, exports: dict[str, Path]) -> dict:
    """Install the tool, unless it is there, and let its readers open the exports."""
    python = environment / "bin" / "python"
    if not python.exists():
        venv.create(environment, with_pip=True)
        subprocess.run([str(python), "-m", "pip", "install", "--quiet", PEER], check=True)
    done = subprocess.run(
        [str(python), str(HERE)],
        input=json.dumps({name: str(folder) for name, folder in exports.items()}),
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    return json.loads(done.stdout.splitlines()[-1])


def agrees(verdict: str, folder: Path, read: dict) -> bool:
    """Print what the readers made of an export, and return whether it agrees with the audit."""
    attacks = json.loads((folder / "report.json").read_text("utf-8"))
    ours = {
        name: entry["attack_experiment_logger"]["attack_instance_logger"]["instance_0"]["AUC"]
        for name, entry in attacks.items()
    }
    print(f"{verdict}: {len(ours)} attacks read, {read['significant']} significant")
    print(f"  {'attack':50s} {'SACRO-ML':>9s} {'memberscan':>11s}")
    for name, auc in ours.items():
        print(f"  {name.rpartition('_')[0]:50s} {read['auc'][name]:9.3f} {auc:11.3f}")
    print(f"  supports rejection: {len(read['support_rejection'])}, release: {len(read['support_release'])}")
    rejected = bool(read["support_rejection"]) and not read["support_release"]
    released = bool(read["support_release"]) and not read["support_rejection"]
    return (
        read["auc"] == ours
        and (rejected if verdict == "leaks" else released)
        and all(pages > 0 for pages in read["pages"])
        and "Evidence supporting" in read["text"]
    )


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.sacro_export", description=__doc__)
    parser.add_argument("--environment", type=Path, help="where the tool is, or is to be kept")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="memberscan-sacro-") as folder:
        exports = {
            verdict: export(Path(folder, verdict.replace(" ", "-")), ratio)
            for verdict, ratio in RATIOS.items()
        }
        read = ask(options.environment or Path(folder, "environment"), exports)
        found = [agrees(verdict, exports[verdict], read[verdict]) for verdict in RATIOS]
    print("agrees with both audits" if all(found) else "DIFFERS")
    return 0 if all(found) else 1


if __name__ == "__main__":
    sys.exit(main())
