"""How the report describes the parties of a federation: who attacks whom, and what was shown."""

from __future__ import annotations

from collections.abc import Sequence

from memberscan.report import words
from memberscan.report.content.federation_json import Pair, SourceInference, Victim
from memberscan.report.content.parts import Attacker, Environment

SIGNIFICANT = 0.05
"""A pair is shown where its p-value is below this after Holm's correction."""

ALL = "all"
"""The victim of an attacker who cannot tell learners apart."""
EVERYONE = "all learners"
"""The people of all victims together, in the check without the model."""

ATTACKERS: dict[Attacker, str] = {
    "outsider": "outsider",
    "learner": "other learners",
    "server": "server",
    "active-server": "active server",
    "aggregate": "sums only",
}
ENVIRONMENTS: dict[Environment | None, str] = {
    "uniform-iid": "uniform, IID",
    "uniform-noniid": "uniform, non-IID",
    "skewed-iid": "skewed, IID",
    "skewed-noniid": "skewed, non-IID",
    "by-site": "by site",
    None: "imported",
}


def judged(pairs: Sequence[Pair], attack: str | None = None) -> list[Pair]:
    """Return the pairs that could be judged, of one attack or of all."""
    return [p for p in pairs if p.auc is not None and attack in (None, p.attack)]


def shown(pair: Pair) -> bool:
    """Tell whether a pair is significant after Holm's correction."""
    return pair.p_holm is not None and pair.p_holm < SIGNIFICANT


def strongest(pairs: Sequence[Pair]) -> Pair | None:
    """Return the strongest pair: significant pairs first, then by the lower ends of their intervals."""

    def strength(pair: Pair) -> tuple[bool, float, float]:
        assert pair.auc is not None
        return shown(pair), pair.auc.low, pair.auc.value

    return max(judged(pairs), key=strength, default=None)


def main_attack(ranking: Sequence[str], pairs: Sequence[Pair]) -> str | None:
    """Return the first attack of ``ranking``, strongest first, that has a pair; else of any pair."""
    names = [pair.attack for pair in pairs]
    return next((name for name in (*ranking, *names) if name in names), None)


def success(
    pairs: Sequence[Pair], attack: str, victims: Sequence[Victim], together: Sequence[Victim] = ()
) -> str:
    """Return how many pairs of an attack are shown, and how many of these may have another cause.

    If the people of all victims ``together`` differ from those held out, that may be the cause in any pair.
    """
    mine = [p for p in pairs if p.attack == attack]
    tried = judged(mine)
    found = sum(map(shown, tried))
    if not tried:
        return f"None of {words.people(len(mine), 'pair')} could be judged."
    text = f"The attack {attack} succeeds in {found} of {words.people(len(tried), 'pair')}"
    text += f" (p < {SIGNIFICANT:g} after Holm’s correction over all pairs of all attacks)."
    gated = {victim.name for victim in victims if victim.tripped and victim.gates}
    any_pair = any(victim.tripped and victim.gates for victim in together)
    doubtful = sum(shown(pair) and (any_pair or pair.victim in gated) for pair in tried)
    if doubtful:
        text += (
            f" Of these, {doubtful} may be explained by how the victim’s people differ from those held out, "
            "and not by a model; see below."
        )
    missing = len(mine) - len(tried)
    if missing:
        text += f" {words.people(missing, 'pair').capitalize()} could not be judged."
    return text


def confounded(victims: Sequence[Victim]) -> list[Victim]:
    """Return the victims whose people differ from the held-out ones without the model, most of all first."""
    return sorted((v for v in victims if v.tripped), key=lambda v: -(v.auc or 0))


def checked(victims: Sequence[Victim]) -> bool:
    """Tell whether the check without the model had any covariate."""
    return any(victim.auc is not None for victim in victims)


def caveat(victim: Victim) -> str:
    """Return what the check without the model says of one victim, in a sentence."""
    by = f", most of all by {victim.worst}" if victim.worst else ""
    auc = f" with an AUC of {words.rough(victim.auc)}" if victim.auc is not None else ""
    told = f"these people can be told from those held out{auc} without any model{by}"
    if victim.gates:
        return f"{told}: membership and site cannot be told apart here"
    return f"{told}; the draw was random, so this is chance"


def sources(found: SourceInference) -> str:
    """Return how often the learner that has a person is named correctly, compared with guessing."""
    accuracy, blind = found.accuracy, found.blind
    text = (
        "Asked which learner has a person, an attacker who compares the models of all learners is right in "
        f"{words.percent(accuracy.value)} of the cases ({words.span(accuracy, words.percent)}); guessing "
        f"would be right in {words.percent(found.chance)}."
    )
    if blind is None:
        return (
            f"{text} There is no comparison with a classifier that uses no model, so the images alone may "
            "tell as much."
        )
    seen = f"the {found.blind_name} alone" if found.blind_name else "no model"
    text += (
        f" A classifier that sees {seen} is right in {words.percent(blind.value)} "
        f"({words.span(blind, words.percent)})"
    )
    if accuracy.low > blind.high:
        return f"{text}: the models tell more than that."
    return f"{text}: the models are not shown to tell more than that."
