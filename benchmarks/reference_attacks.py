"""What attacks with reference models take on 64 references and 10,000 scans, with twenty copies of each."""

from __future__ import annotations

import time

import numpy as np

from benchmarks.harness import Figure, arguments, peak_bytes, reset_peak, show
from memberscan.attacks import REGISTRY
from memberscan.attacks.attempt import one_thread
from memberscan.attacks.references.copies import CopiesAttack, with_copies
from memberscan.attacks.with_references import Compared, ReferenceAttack

REFERENCES, SCANS, COPIES = 64, 10_000, 20
SECONDS, MEGABYTES = 3.0, 1000.0


def draw(seed: int = 0) -> tuple[Compared, np.ndarray]:
    """Draw residuals by the law of linear models, r_in = r_out / 2, with references in twins.

    Returns
    -------
    Compared, ndarray
        The model and its references, and residuals of all of them on copies, which training does not shrink.
    """
    rng = np.random.default_rng(seed)
    one = rng.integers(0, 2, (REFERENCES // 2, SCANS)).astype(bool)
    inside = np.stack([one, ~one], axis=1).reshape(REFERENCES, SCANS)
    masks = np.concatenate([rng.random((1, SCANS)) < 0.5, inside])
    wrong = 5 * (rng.normal(size=SCANS) + rng.normal(size=masks.shape))
    residual = wrong / np.where(masks, 2, 1)
    copies = wrong[:, :, None] + rng.standard_normal((*masks.shape, COPIES))
    return Compared(residual[0], residual[1:], inside, rng.uniform(45, 80, SCANS)), copies


def main() -> int:
    options = arguments(__doc__).parse_args()
    kinds = (ReferenceAttack, CopiesAttack)
    attacks = {name: a for name, a in REGISTRY.items() if isinstance(a, kinds)}
    compared, copies = draw()
    seconds: dict[str, list[float]] = {name: [] for name in attacks}
    processor = []
    reset_peak()
    with one_thread():
        for _ in range(options.repetitions):
            before = time.process_time()
            for name, attack in attacks.items():
                start = time.perf_counter()
                asked = isinstance(attack, CopiesAttack)
                attack.statistic(with_copies(compared, copies[0], copies[1:]) if asked else compared)
                seconds[name].append(time.perf_counter() - start)
            processor.append(time.process_time() - before)
    together = np.sum(list(seconds.values()), axis=0).tolist()
    figures = [
        Figure("all attacks", together, "s", goal=SECONDS),
        Figure(
            "processor time of all", processor, "s", note="near the wall time, unless others were working"
        ),
        Figure(
            "peak memory", [peak_bytes() / 1e6], "MB", goal=MEGABYTES, note="Python and libraries included"
        ),
        *(Figure(name, values, "s") for name, values in seconds.items()),
    ]
    title = f"attacks with {REFERENCES} references on {SCANS:,} scans"
    return show(title, figures, as_json=options.json)


if __name__ == "__main__":
    raise SystemExit(main())
