"""The paper's claims, one by one, each judged by one figure that was chosen before any was seen."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from memberscan.evidence.intervals import LEVEL, Interval
from memberscan.evidence.over_draws import DIFFERENCE, FRACTION, OverDraws
from memberscan.report import words
from memberscan.report.content.parts import Estimate
from memberscan.reproduction import paper
from memberscan.reproduction.content import Claim
from memberscan.reproduction.found import Federated, Found, correlation_of
from memberscan.reproduction.rules import Rule, above, at_least, different, near, outward

LARGE_CORRELATION = 0.5
"""From here on a correlation is called large (Cohen, Statistical Power Analysis, 1988)."""
_ACCURACY = "accuracy"
_ONE_DRAW = "one draw has no interval over draws"
_NO_CORRELATION = "fewer than three lengths of training, or no difference between them"


@dataclass(frozen=True, eq=False)
class _Asked:
    """A claim with its figure, before it is judged.

    ``reason`` says why it cannot be judged, and ``spared`` why it can agree and not disagree.
    """

    name: str
    claim: str
    measure: str
    rule: Rule
    figure: OverDraws | Interval | None
    model: str | None = None
    environment: str | None = None
    paper: str = ""
    within: tuple[float, float] = FRACTION
    reason: str | None = None
    spared: str | None = None


def claims_of(found: Found) -> tuple[Claim, ...]:
    """Return all claims, judged by what was found."""
    return tuple(_judged(asked, found) for asked in (*_central(found), *_of_federations(found)))


def _judged(asked: _Asked, found: Found) -> Claim:
    figure, reason = asked.figure, asked.reason
    if isinstance(figure, OverDraws):
        reason = reason or (None if figure.covers_something else _ONE_DRAW)
        figure = figure.interval(within=asked.within) if figure.covers_something else None
    # The published interval is judged, so that page and outcome agree to the last digit.
    figure = None if figure is None else outward(figure)
    if figure is None:
        reason = reason or _why_nothing(asked, found)
    outcome = "cannot be judged" if figure is None or reason else asked.rule.judge(figure)
    if outcome == "disagrees" and (spared := asked.spared or found.weaker):
        outcome, reason = "cannot be judged", spared
    return Claim(
        name=asked.name,
        claim=asked.claim,
        model=asked.model,
        environment=asked.environment,
        measure=asked.measure,
        paper=asked.paper or "not known",
        rule=asked.rule.words,
        found=None if figure is None else Estimate(**figure.to_dict()),
        outcome=outcome,
        reason=reason,
    )


def _why_nothing(asked: _Asked, found: Found) -> str:
    """Return why a claim has no figure: the reason of a failed task it is about, if there is one."""
    for cell, reason in found.failed.items():
        if asked.model in (None, cell.model) and cell.environment == asked.environment:
            return f"not measured: {reason}"
    return "not measured"


def _central(found: Found) -> Iterator[_Asked]:
    """Yield what is claimed of models that were trained in one place."""
    for model in paper.MODELS:
        yield from _success(found, model)
        yield from _of_model(found, model)
    highest, missing = _highest(found, paper.MODELS, paper.ATTACKS)
    yield _Asked(
        "over 80%",
        "The success rate reaches over 80%.",
        f"highest {_ACCURACY} of all attacks on both models; its interval allows for the choice",
        above(0.8),
        highest,
        paper="over 0.80",
        spared=missing,
    )
    yield _Asked(
        "the model matters",
        "The success rate depends on the model.",
        f"{_ACCURACY} of {paper.BLACK_BOX} on the 3D-CNN minus that on the 2D-slice-mean",
        different(),
        _difference(found),
        within=DIFFERENCE,
    )


def _success(found: Found, model: str) -> Iterator[_Asked]:
    """Yield that a black box and a white box are attacked with success, by whichever attack does best."""
    boxes = {
        "black-box": (paper.BLACK_BOX_ATTACKS, "predictions alone"),
        "white-box": (paper.WHITE_BOX_ATTACKS, "the model"),
    }
    for name, (attacks, seen) in boxes.items():
        highest, missing = _highest(found, (model,), attacks)
        yield _Asked(
            f"{name} succeeds",
            f"Membership can be inferred from {seen} with a success rate of at least 60%.",
            f"highest {_ACCURACY} of the {len(attacks)} {name} attacks; its interval allows for the choice",
            at_least(0.6),
            highest,
            model,
            paper="0.60 to over 0.80",
            spared=missing,
        )


def _of_model(found: Found, model: str) -> Iterator[_Asked]:
    """Yield what is claimed of one model beside the success of attacks."""
    one, correlation = found.central.get(model), correlation_of(found.lengths.get(model, ()))
    shorter = next((why for cell, why in found.failed.items() if cell.model == model and cell.epochs), None)
    yield _Asked(
        "the access matters",
        "The success rate depends on what the attacker sees.",
        f"AUC of {paper.WHITE_BOX} minus that of {paper.BLACK_BOX}, on the same people",
        different(),
        one.gain if one else None,
        model,
        within=DIFFERENCE,
    )
    yield _Asked(
        "overfitting leaks",
        "Leakage correlates strongly with overfitting.",
        f"correlation of the error’s difference with the {_ACCURACY} of {paper.BLACK_BOX}, over lengths of "
        "training",
        above(LARGE_CORRELATION),
        correlation,
        model,
        within=DIFFERENCE,
        reason=f"not measured at every length: {shorter}"
        if shorter
        else _NO_CORRELATION
        if one and correlation is None
        else None,
    )


def _highest(
    found: Found, models: Sequence[str], attacks: Sequence[str]
) -> tuple[Interval | None, str | None]:
    """Return the greatest accuracy of some rows of the table, and which rows are missing, if any.

    With a level for all rows, the true greatest is covered. A missing row might be the greatest.
    """
    central = [found.central[model] for model in models if model in found.central]
    rows = [one.attacked[name].accuracy for one in central for name in attacks if name in one.attacked]
    missing = len(models) * len(attacks) - len(rows)
    if not rows:
        return None, None
    # Bonferroni: with all rows' intervals true at once, the greatest lies between their greatest ends.
    level = 1 - (1 - LEVEL) / len(rows)
    every = [row.interval(level, within=FRACTION) for row in rows]
    highest = Interval(*(max(getattr(each, end) for each in every) for end in ("value", "low", "high")))
    return highest, f"{words.people(missing, 'attack')} of the table not measured" if missing else None


def _difference(found: Found) -> OverDraws | None:
    both = [found.central.get(model) for model in paper.MODELS]
    mine = [one.attacked.get(paper.BLACK_BOX) if one else None for one in both]
    first, second = mine
    return None if first is None or second is None else first.accuracy - second.accuracy


def _of_federations(found: Found) -> Iterator[_Asked]:
    """Yield what is claimed of federations whose learners attack each other."""
    for model in paper.MODELS:
        for environment in paper.ENVIRONMENTS:
            one = found.federated.get((model, environment))
            known = environment == paper.IID
            yield _Asked(
                "federations leak",
                "Membership can be inferred in federated training, where data are never shared.",
                f"{_ACCURACY} of {paper.BLACK_BOX} after the last round",
                above(0.5),
                one.rounds[max(one.rounds)] if one and one.rounds else None,
                model,
                environment,
                paper=f"{paper.CURVES[model][paper.ROUNDS[model]]:.3f}" if known else "",
                reason=_told(one),
            )
        yield from _of_curve(found, model)
    yield _ahead(found)


def _told(*federations: Federated | None) -> str | None:
    """Return that an attack may succeed without the model, if it may."""
    told = max((one.told_blind for one in federations if one), default=0)
    if not told:
        return None
    return f"covariates alone, such as age, tell the people of {words.people(told, 'learner')}"


def _of_curve(found: Found, model: str) -> Iterator[_Asked]:
    """Yield what the paper's figure shows of one model in the uniform, IID environment."""
    one, curve = found.federated.get((model, paper.IID)), paper.CURVES[model]
    last, rounds = paper.ROUNDS[model], one.rounds if one else {}
    there = 1 in rounds and last in rounds
    short = None if there or not rounds else f"after {words.people(max(rounds), 'round')} and not {last}"
    yield _Asked(
        "rises with rounds",
        "Learners’ attacks succeed more often after more rounds.",
        f"{_ACCURACY} after round {last} minus that after round 1",
        above(0.0),
        rounds[last] - rounds[1] if there else None,
        model,
        paper.IID,
        paper=paper.RISES[model],
        within=DIFFERENCE,
        reason=short or _told(one),
    )
    yield _Asked(
        "last round as in the figure",
        f"After round {last}, learners’ attacks succeed as often as in the paper’s figure.",
        f"{_ACCURACY} of {paper.BLACK_BOX} after round {last}",
        near(curve[last]),
        rounds.get(last),
        model,
        paper.IID,
        paper=f"{curve[last]:.3f}",
        reason=short or _told(one),
    )


def _ahead(found: Found) -> _Asked:
    """Return the claim that the 3D-CNN leaks earlier, which the paper's figure shows at round 25."""
    at = paper.ROUNDS["cnn3d"]
    first, second = (found.federated.get((model, paper.IID)) for model in paper.MODELS)
    both = first is not None and second is not None and at in first.rounds and at in second.rounds
    trained = first is not None and second is not None
    ahead = paper.CURVES["cnn3d"][at] - paper.CURVES["slice-mean"][at]
    return _Asked(
        "the 3D-CNN leaks more",
        "After as many rounds, the 3D-CNN leaks more than the 2D-slice-mean.",
        f"difference of {_ACCURACY} after round {at}",
        above(0.0),
        first.rounds[at] - second.rounds[at] if both and first and second else None,
        None,
        paper.IID,
        paper=f"{ahead:+.3f}",
        within=DIFFERENCE,
        reason=_told(first, second) if both or not trained else f"trained for fewer than {at} rounds",
    )
