"""Audit a torch model of your own: define it, train it your way, import it as a run, audit its weights.

Run it with `python examples/bring_your_model.py [DIRECTORY]`. The brains are synthetic phantoms.
"""

from __future__ import annotations

import sys
from pathlib import Path

import pandas as pd
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from memberscan import Access, Cohort, ThreatModel, audit, import_run

PEOPLE, EPOCHS = 60, 60


class TinyBrainAge(nn.Module):
    """Two convolutions and a linear layer; ages leave it in years."""

    landmarks = {"conv1": "features.0", "output": "output"}  # noqa: RUF012

    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv3d(1, 8, 3, stride=2, padding=1), nn.ReLU(),
            nn.Conv3d(8, 16, 3, stride=2, padding=1), nn.ReLU(),
            nn.AdaptiveAvgPool3d(3), nn.Flatten(),
        )  # fmt: skip
        self.output = nn.Linear(16 * 27, 1)

    def forward(self, volumes: Tensor) -> Tensor:
        """Predict the age of each volume, in years."""
        return 60 + 10 * self.output(self.features(volumes)).squeeze(1)


def tiny_brain_age() -> nn.Module:
    """Return the network: the factory that memberscan calls by name."""
    return TinyBrainAge()


def fit(cohort: Cohort, members: list[str]) -> nn.Module:
    """Train on the scans of the members, by whatever means you like."""
    scans = cohort.scans[cohort.scans["subject_id"].isin(members)]
    volumes = torch.from_numpy(cohort.read(scans.index.tolist())).unsqueeze(1)
    ages = torch.tensor(scans["age"].to_numpy(), dtype=torch.float32)
    torch.manual_seed(0)
    model = tiny_brain_age()
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
    for _ in range(EPOCHS):
        optimizer.zero_grad()
        (((model(volumes) - ages) / 10) ** 2).mean().backward()
        optimizer.step()
    return model


def main(directory: Path) -> None:
    """Build a cohort, train, import, audit."""
    cohort = Cohort.phantom(directory / "cohort", subjects=PEOPLE, spacing=12)
    members, others = cohort.subjects[::2], cohort.subjects[1::2]
    save_file(fit(cohort, members).state_dict(), directory / "weights.safetensors")
    roles = [(subject, "member") for subject in members] + [(subject, "non-member") for subject in others]
    pd.DataFrame(roles, columns=["subject", "role"]).to_csv(directory / "roles.tsv", sep="\t", index=False)
    factory = "bring_your_model:tiny_brain_age"
    run = import_run(
        directory / "run",
        cohort=cohort,
        model=factory,
        weights=directory / "weights.safetensors",
        roles=directory / "roles.tsv",
    )
    # Its code is run, so the factory is named again: a run that came from somebody else cannot do so for you.
    result = audit(run.path, directory / "audit", threat=ThreatModel(access=Access.WEIGHTS), model=factory)
    print(result.content["verdict"]["sentence"])
    print(result.findings[["attack", "auc_value", "auc_low", "auc_high"]].round(2).to_string(index=False))
    print("not run:", ", ".join(entry["attack"] for entry in result.content["not_run"]))
    print(f"report: {directory / 'audit' / 'audit.html'}")


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "bring-your-model"))
