"""Whether bounds from canary updates of a federation are true, and whether they find a server's mistakes."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import torch

from memberscan.auditing.update_canaries import evidence_of_cosines
from memberscan.configuration import configuration
from memberscan.defences.canary_updates import coins, directions
from memberscan.defences.defence import Merge, TrainingSize
from memberscan.defences.site_noise import SiteNoise
from memberscan.files import write_table
from memberscan.gaussian_privacy import gaussian_epsilon
from memberscan.seeds import generator, integer
from memberscan.studies.canaries import METHODS, RUNS, RUNS_OF_BUGS, bounds_by_column, summary
from memberscan.task_pool import in_order

if TYPE_CHECKING:
    from collections.abc import Mapping

    from jaxtyping import Float
    from torch import Tensor

CANARIES, WEIGHTS, ROUNDS, SITES = 200, 5_000, 4, 4
DELTA, CLIP = 1e-5, 0.1
COLUMNS = (*METHODS, "estimate")


@configuration
class WithoutNoise(SiteNoise):
    """Clips updates, and leaves the noise out."""

    def _noise(self, rounds: int) -> float:  # noqa: ARG002
        return 0.0


@configuration
class Unclipped(SiteNoise):
    """Lets updates be three times as long as the noise is made for."""

    def merged(self, merge: Merge) -> Mapping[str, Tensor]:
        """Merge with another clipping norm, and the noise of the stated one."""
        noise = SiteNoise._noise(self, merge.rounds)
        wrong = SiteNoise(noise=noise / 3, clip=3 * self.clip, canaries=self.canaries)
        return wrong.merged(merge)


@configuration
class SiteTwice(SiteNoise):
    """Adds each update twice, as those of two sites."""

    def merged(self, merge: Merge) -> Mapping[str, Tensor]:
        """Double the sites."""
        return super().merged(replace(merge, models=[*merge.models, *merge.models]))

    def _planted(self, merge: Merge) -> Iterable[Float[Tensor, " p"]]:
        for update in super()._planted(merge):
            yield from (update, update)


@dataclass(frozen=True)
class Case:
    """One row: a server, the epsilon that it states, and how many times too much one site can change sums."""

    server: str
    defence: type[SiteNoise]
    epsilon: float
    times: float = 1.0
    few: bool = False


CASES = (
    Case("site-noise, coins drawn after it", SiteNoise, 0.0),
    Case("site-noise", SiteNoise, 1.0),
    Case("site-noise", SiteNoise, 4.0),
    Case("noise left out", WithoutNoise, 4.0, np.inf, few=True),
    Case("three times the clip", Unclipped, 4.0, 3.0, few=True),
    Case("each site twice", SiteTwice, 4.0, 2.0, few=True),
)


def canary_updates(
    out: Path, *, seed: int = 0, processes: int = 1, runs: int = RUNS, of_bugs: int = RUNS_OF_BUGS
) -> pd.DataFrame:
    """Let right and wrong servers average made-up updates with canaries, and read epsilon back.

    Sites send the same direction in every round, with some noise of their own, and longer than the clipping
    norm. Nothing is trained: what canaries test is the server.

    Returns
    -------
    DataFrame
        One row for each server: stated epsilon; ``exact``, the epsilon of what it does, without the slack of
        the accountant; runs; medians over runs of the bound of each method and of the estimate; how often a
        bound is above the stated epsilon, with its 95% interval. The table is written to ``out``.
    """
    tasks = [
        (case, integer(seed, case.server, str(case.epsilon), k))
        for case in CASES
        for k in range(of_bugs if case.few else runs)
    ]
    found = list(in_order(_one_run, tasks, processes))
    rows = []
    for case in CASES:
        of_case = [each for (other, _), each in zip(tasks, found, strict=True) if other == case]
        about = {"server": case.server, "epsilon": case.epsilon, "exact": exact(case)}
        rows.append(about | summary(of_case, COLUMNS))
    table = pd.DataFrame(rows)
    out.mkdir(parents=True, exist_ok=True)
    write_table(out / "canary-updates.tsv", table.round(4))
    return table


def exact(case: Case) -> float:
    """Return the epsilon of a Gaussian mechanism with this noise, as often as there are rounds."""
    if case.epsilon == 0:
        return 0.0
    mu = case.times * ROUNDS**0.5 / SiteNoise(epsilon=case.epsilon, delta=DELTA)._noise(ROUNDS)
    return gaussian_epsilon(mu, DELTA) if np.isfinite(mu) else np.inf


def _one_run(task: tuple[Case, int]) -> dict[str, float]:
    case, seed = task
    # Coins that are drawn afterwards say nothing about the canaries, whatever the server did.
    server = case.defence(epsilon=case.epsilon or 4.0, delta=DELTA, clip=CLIP, canaries=CANARIES)
    like = {"w": torch.zeros(WEIGHTS)}
    random = torch.Generator().manual_seed(seed)
    pull, model = torch.randn(WEIGHTS, generator=random), like
    for number in range(1, ROUNDS + 1):
        sent = [pull + torch.randn(WEIGHTS, generator=random) for _ in range(SITES)]
        models = [{"w": model["w"] + each} for each in sent]
        model = dict(server.merged(Merge(models, model, model, number, ROUNDS, seed)))
    moved = model["w"] / model["w"].norm()
    scores = np.array([float(unit @ moved) for unit in directions(seed, CANARIES, like)])
    inside, stated = coins(seed, CANARIES), 0.0
    if case.epsilon:
        right = SiteNoise(epsilon=case.epsilon, delta=DELTA)
        stated = right.guarantee(TrainingSize(SITES, SITES, 1, ROUNDS, ROUNDS)).epsilon or 0.0
    else:
        inside = generator(seed, "coins after it").random(CANARIES) < 0.5
    found = evidence_of_cosines(scores, inside, WEIGHTS, epsilon=stated, delta=DELTA)
    return bounds_by_column(found) | {"estimate": found.estimate or 0.0}
