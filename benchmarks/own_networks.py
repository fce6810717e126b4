"""The authors' networks, trained by a plain script on image files: does memberscan see what the script saw?

``python -m benchmarks.own_networks BIDS`` trains the 3D-CNN and the 2D-slice-mean of Gupta et al. (MIDL 2021)
by a loop of plain torch, without memberscan. It then builds a cohort from the same files, imports the
weights, and compares predictions of every scan. It audits the imported model, the script's own predictions,
and the same model on images that were resampled, as a user who prepares them differently would.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pandas as pd
import torch
from rich.console import Console
from rich.table import Table
from safetensors.torch import save_file
from torch import Tensor, nn

from memberscan import audit, import_run
from memberscan.cohort import Cohort
from memberscan.cohort.bids import find_images
from memberscan.errors import MemberscanError
from memberscan.models.inputs import predict_scans
from memberscan.threads import available

LIMIT = 1e-4
"""Largest difference of predictions, as a share of their spread; float32 holds ages to 4e-6 years."""
ATTACKS = ("error", "error:zero-knowledge", "prediction+label")
"""Those on predictions alone, which all three audits can run."""
WIDTHS = (32, 64, 128, 256, 256)


def standardised(volumes: Tensor) -> Tensor:
    """Z-score each scan over its whole volume, as the paper's preprocessing does."""
    mean, spread = (value(volumes, dim=(1, 2, 3, 4), keepdim=True) for value in (torch.mean, torch.std))
    return (volumes - mean) / spread


def block(before: int, after: int, dimensions: int) -> nn.Sequential:
    """Return convolution, instance norm, maximum over pairs of voxels, ReLU."""
    convolution, norm, pool = (
        (nn.Conv3d, nn.InstanceNorm3d, nn.MaxPool3d)
        if dimensions == 3
        else (nn.Conv2d, nn.InstanceNorm2d, nn.MaxPool2d)
    )
    return nn.Sequential(convolution(before, after, 3, padding=1), norm(after), pool(2), nn.ReLU())


class OwnCNN(nn.Module):
    """The paper's 3D-CNN."""

    def __init__(self) -> None:
        super().__init__()
        self.blocks = nn.Sequential(*map(partial(block, dimensions=3), (1, *WIDTHS[:-1]), WIDTHS))
        self.top = nn.Sequential(nn.Conv3d(256, 64, 1), nn.InstanceNorm3d(64), nn.ReLU(), nn.Dropout3d())
        self.output = nn.Conv3d(64, 1, 1)
        self.register_buffer("age", torch.tensor([50.0, 16.0]))

    def forward(self, volumes: Tensor) -> Tensor:
        """Predict ages, years."""
        features = self.top(self.blocks(standardised(volumes))).mean((2, 3, 4), keepdim=True)
        return self.output(features).flatten() * self.age[1] + self.age[0]


class OwnSlices(nn.Module):
    """The paper's 2D-slice-mean: an encoder of sagittal slices, averaged over slices."""

    def __init__(self) -> None:
        super().__init__()
        self.blocks = nn.Sequential(*map(partial(block, dimensions=2), (1, *WIDTHS[:-1]), WIDTHS))
        self.top = nn.Sequential(nn.Conv2d(256, 64, 1), nn.InstanceNorm2d(64), nn.ReLU())
        self.embedding = nn.Sequential(nn.Dropout(), nn.Linear(64, 32))
        self.head = nn.Sequential(nn.Linear(32, 64), nn.ReLU(), nn.Linear(64, 1))
        self.register_buffer("age", torch.tensor([50.0, 16.0]))

    def forward(self, volumes: Tensor) -> Tensor:
        """Predict ages, years."""
        scans, slices = len(volumes), volumes.shape[2]
        features = self.top(self.blocks(standardised(volumes).flatten(0, 2).unsqueeze(1))).mean((2, 3))
        mean = self.embedding(features).unflatten(0, (scans, slices)).mean(1)
        return self.head(mean).flatten() * self.age[1] + self.age[0]


def cnn() -> nn.Module:
    """Return the network, as ``memberscan import --model`` calls it."""
    return OwnCNN()


def slices() -> nn.Module:
    """Return the other one."""
    return OwnSlices()


def train(network: nn.Module, images: np.ndarray, ages: Tensor, members: np.ndarray, epochs: int) -> None:
    """Fit by Adam on squared errors, in batches of four."""
    optimizer = torch.optim.Adam(network.parameters(), lr=3e-3)
    network.train()
    for _ in range(epochs):
        for batch in torch.randperm(len(members)).split(4):
            chosen = members[batch.numpy()]
            loss = (network(as_batch(images, chosen)) - ages[chosen]).div(16).square().mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    network.eval()


def as_batch(images: np.ndarray, chosen: np.ndarray) -> Tensor:
    """Return some images with a channel axis."""
    return torch.from_numpy(images[chosen]).unsqueeze(1)


def one_network(
    name: str, make: Callable[[], nn.Module], out: Path, files: dict[str, Path], epochs: int
) -> dict[str, Any]:
    """Train one network without memberscan, import it, and return what is compared."""
    torch.manual_seed(0)
    cohort, resampled = Cohort.open(out / "as-is"), Cohort.open(out / "resampled")
    ids = cohort.scans.index.tolist()
    images = np.stack([nib.load(files[scan]).get_fdata(dtype=np.float32) for scan in ids])  # type: ignore[attr-defined]
    ages = torch.from_numpy(cohort.scans["age"].to_numpy(np.float32, copy=True))
    members = np.random.default_rng(0).permutation(len(ids))[: len(ids) // 2]
    network = make()
    train(network, images, ages, members, epochs)
    with torch.no_grad():
        own = np.concatenate([network(as_batch(images, np.array([k]))).numpy() for k in range(len(ids))])
    save_file(network.state_dict(), out / f"{name}.safetensors")
    inside = np.isin(np.arange(len(ids)), members)
    subjects = cohort.scans["subject_id"].tolist()
    table = pd.DataFrame({"subject_id": subjects, "age": ages.numpy().astype(float), "prediction": own})
    table.assign(member=inside.astype(int)).to_csv(out / f"{name}.csv", index=False)
    roles = pd.DataFrame({"subject": subjects, "role": np.where(inside, "member", "non-member")})
    roles.to_csv(out / f"{name}-roles.tsv", sep="\t", index=False)
    code = f"{__name__ if __name__ != '__main__' else 'benchmarks.own_networks'}:{name}"
    options = {"model": code, "weights": out / f"{name}.safetensors", "roles": out / f"{name}-roles.tsv"}
    run = import_run(out / name, cohort=cohort, predictions=out / f"{name}.csv", **options)
    found = predict_scans(run.load(), cohort, ids, device="cpu")[:, 0]
    try:
        import_run(out / f"{name}-refused", cohort=resampled, predictions=out / f"{name}.csv", **options)
        refused = "no"
    except MemberscanError:
        refused = "yes"
    other = import_run(out / f"{name}-other", cohort=resampled, **options)
    audits = {
        "imported": audit(run.path, attacks=ATTACKS, model=code),
        "own predictions": audit(out / f"{name}.csv", attacks=ATTACKS, predictions_from="one-pass"),
        "other images": audit(other.path, attacks=ATTACKS, model=code),
    }
    aucs = {who: result.findings.set_index("attack")["auc_value"]["error"] for who, result in audits.items()}
    return {
        "network": name,
        "parameters": f"{sum(p.numel() for p in network.parameters()):,}",
        "error on members, others": f"{np.abs(own - ages.numpy())[inside].mean():.2f}, "
        f"{np.abs(own - ages.numpy())[~inside].mean():.2f}",
        "spread of predictions": f"{own.std():.2g} years",
        "largest difference": f"{np.abs(found - own).max():.1e} years",
        **{f"{who}: verdict, error AUC": f"{audits[who].verdict}, {aucs[who]:.3f}" for who in audits},
        "other images refused": refused,
        "difference": float(np.abs(found - own).max() / own.std()),
    }


def main() -> int:
    """Print a table; 1 if predictions differ by more than the limit."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.own_networks", description=__doc__)
    parser.add_argument("bids", type=Path, help="a BIDS dataset of images on one grid")
    parser.add_argument("--epochs", type=int, default=3)
    arguments = parser.parse_args()
    torch.set_num_threads(available())
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder)
        Cohort.from_bids(arguments.bids, out / "as-is", spacing=None)
        Cohort.from_bids(arguments.bids, out / "resampled", spacing=2)
        files = {scan.scan_id: scan.path for scan in find_images(arguments.bids)}
        for name, make in (("cnn", cnn), ("slices", slices)):
            rows.append(one_network(name, make, out, files, arguments.epochs))
    table = Table(title=f"networks trained by a plain script, {arguments.epochs} epochs", show_lines=True)
    for column in ["", *(row["network"] for row in rows)]:
        table.add_column(column)
    for key in [key for key in rows[0] if key not in ("network", "difference")]:
        table.add_row(key, *(row[key] for row in rows))
    Console(width=100).print(table)
    return 1 if max(row["difference"] for row in rows) > LIMIT else 0


if __name__ == "__main__":
    sys.exit(main())
