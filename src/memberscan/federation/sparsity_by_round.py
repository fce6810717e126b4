"""How sparse the global models of a federation became under a defence that prunes them, by round."""

from __future__ import annotations

from memberscan.defences import defence_from, parts_of
from memberscan.defences.fedsparsify import FedSparsify, share_of_zeros
from memberscan.runs import Run


def sparsity_by_round(run: Run) -> list[dict[str, float]]:
    """Return the round, and the planned and the reached share of zeros of its global model, for every round.

    The shares are of the trainable weights. At a server that takes votes, the reached share is below the
    planned one where learners pruned different weights, and may be above it where they agreed on few.

    Parameters
    ----------
    run
        A federation that was simulated here.

    Returns
    -------
    list of dict
        With the keys "round", "planned" and "reached"; empty for a federation without such a defence.
    """
    text = (run.training or {}).get("defence")
    pruning = [part for part in map(defence_from, parts_of(text)) if isinstance(part, FedSparsify)]
    if not pruning:
        return []
    transcript = run.transcript
    names = [name for name, p in run.load().named_parameters() if p.requires_grad]
    rounds = len(transcript.rounds)
    rows = []
    for number in range(1, rounds + 1):
        model = transcript.global_model(number)
        planned = max(part.share(number, rounds) for part in pruning)
        reached = share_of_zeros([model[name] for name in names])
        rows.append({"round": number, "planned": round(planned, 6), "reached": round(reached, 6)})
    return rows
