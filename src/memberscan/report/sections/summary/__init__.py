"""The first screen: what was audited, the verdict, the strongest finding, the attacker, what was not seen."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from markupsafe import Markup
from matplotlib.figure import Figure

from memberscan.report import party_words, ranking, svg, words
from memberscan.report.content.audit_json import (
    AuditContent,
    Basis,
    Provenance,
    Target,
    Threat,
    Verdict,
)
from memberscan.report.content.federation_json import Federation
from memberscan.report.content.finding_json import Finding
from memberscan.report.content.parts import Auc
from memberscan.report.content.variable_json import Variable
from memberscan.report.page_section import Section


@dataclass(frozen=True)
class Strongest:
    """The strongest finding.

    Parameters
    ----------
    attack
        Its name.
    auc
        As the verdict judges it.
    certainty
        How sure it is, after the AUC itself.
    caveats
        What a reader must know of it, one sentence each.
    pairs
        The AUC as a hundred pairs.
    """

    attack: str
    auc: Auc
    certainty: str
    caveats: list[str]
    pairs: Markup


@dataclass(frozen=True)
class Summary:
    """What the first screen shows.

    Parameters
    ----------
    target, verdict
        What was audited, and the verdict.
    answer, reservations
        The verdict's first sentence, in large letters, and the others, in small letters.
    about
        What is said of the target after its people.
    strongest
        The finding that the verdict rests on; None where it rests on none.
    without
        What is said instead.
    unlike, other_images
        Whether the predictions of the sides were probably made in different ways; and how much the model errs
        on members, if it probably gets other images than it was trained on and the answer does not say so.
    attacker, unseen
        Who is assumed to attack, and what this audit could not see, one sentence each.
    """

    target: Target
    about: list[str]
    verdict: Verdict
    answer: str
    reservations: str
    strongest: Strongest | None
    without: str
    attacker: list[str]
    unseen: list[str]
    unlike: bool
    other_images: str
    provenance: Provenance


def data(audit: AuditContent) -> Summary:
    """Return what the first screen shows."""
    best, federation = ranking.strongest(audit), audit.federation
    if federation is not None and ranking.of_a_party(audit):
        attacker, unseen = (
            party_attacker(federation, audit.threat, audit.target.variable),
            party_unseen(federation),
        )
    else:
        attacker, unseen = outside_attacker(audit.threat, audit.target.variable), []
    answer, end, reservations = audit.verdict.sentence.partition(". ")
    # What would change the answer has its own place.
    reservations = reservations.replace(audit.verdict.would_change or "", "").strip()
    return Summary(
        target=audit.target,
        about=_about(audit),
        verdict=audit.verdict,
        answer=f"{answer}." if end else answer,
        reservations=reservations,
        # A large number under an answer that does not rest on it would be read as the answer.
        strongest=_strongest(audit, best) if best and audit.verdict.label == "leaks" else None,
        without=_without(audit),
        attacker=attacker,
        unseen=[*could_not_be_seen(audit), *unseen],
        unlike=audit.checks.predictions is not None and audit.checks.predictions.unlike,
        other_images=_other_images(audit),
        provenance=audit.provenance,
    )


def _other_images(audit: AuditContent) -> str:
    """Return how much the model errs on members, if its images are doubtful and the answer is another."""
    images = audit.checks.images
    if images is None or images.problem is None or audit.verdict.label == "inconclusive":
        return ""
    return words.OTHER_IMAGES[images.problem]


def _about(audit: AuditContent) -> list[str]:
    """Return what is said of the target after its people, parted by semicolons."""
    target, federation = audit.target, audit.federation
    said = [f"{words.count(target.parameters)} parameters"] if target.parameters is not None else []
    if federation:
        learners = words.people(len(federation.learners), "learner")
        environment = party_words.ENVIRONMENTS[federation.environment]
        said.append(f"{learners}, {words.people(federation.rounds, 'round')}, {environment}")
    return said


def _strongest(audit: AuditContent, best: Finding) -> Strongest:
    basis, auc = ranking.basis(audit), ranking.judged_auc(audit, best)
    caveats = [_needs(audit, best), *_caveats(basis)]
    return Strongest(best.attack, auc, _certainty(basis, auc), caveats, pairs(auc.value))


def _without(audit: AuditContent) -> str:
    """Return what is said where the verdict rests on no finding."""
    if not audit.findings:
        return "No attack could be run."
    tried = words.people(len(audit.findings), "attack")
    if audit.verdict.label == "confounded":
        return (
            f"None of {tried} is evidence of a leak, because their results may come from the difference "
            "between the two groups of people. The numbers are below."
        )
    among = " among people who are alike" if ranking.within_strata(audit) else ""
    return f"None of {tried} was shown to do better than chance{among}. The numbers are below."


def _certainty(basis: Basis, auc: Auc) -> str:
    """Return how sure the strongest finding is, by the rule that judges it."""
    if basis.rule == "permutation" and basis.p_value is not None:
        return f", permutation p {words.p_is(basis.p_value)} over all attacks together"
    low, level = words.at_least(auc.simultaneous.low), words.percent(auc.simultaneous.level)
    return f", at least {low} with {level} confidence over all attacks together"


def _needs(audit: AuditContent, best: Finding) -> str:
    """Return whether the strongest attack needs known people, and how well one does that needs none."""
    if not best.fitted:
        return "It needs no known people."
    other = next((finding for finding in ranking.ranked(audit) if not finding.fitted), None)
    if other is None:
        return "It needs known people."
    auc = words.fraction(ranking.judged_auc(audit, other).value)
    return f"It needs known people; {other.attack}, which needs none, has an AUC of {auc}."


def _caveats(basis: Basis) -> list[str]:
    if basis.rule == "within strata":
        return ["Judged within strata of people who are alike without the model."]
    return []


def outside_attacker(threat: Threat, variable: Variable) -> list[str]:
    """Return what an attacker from outside is assumed to see and know, one sentence each."""
    sees = {
        "outputs": "It sees only what the model answers, as anyone can who may query it.",
        "weights": "It holds the model itself, as anyone does once the weights are published: "
        "predictions, activations and gradients.",
    }[threat.access]
    sentences = [sees, _has(variable)]
    if threat.references:
        sentences.append(
            f"It trained {words.people(threat.references, 'reference model')} on people like these."
        )
    if threat.checkpoints:
        kept = words.people(threat.checkpoints, "model")
        sentences.append(f"It also has {kept} that were kept before the end of the training.")
    members, nonmembers = threat.known
    if not (members or nonmembers):
        return [*sentences, "It does not know anyone’s membership beforehand."]
    again = f"; this is repeated {threat.repeats} times with other known people" if threat.repeats > 1 else ""
    known = f"{words.people(members or 0, 'member')} and {words.people(nonmembers, 'non-member')}"
    return [
        *sentences,
        f"It already knows {known} and learns from them. It is scored on everybody else{again}.",
    ]


def party_attacker(federation: Federation, threat: Threat, variable: Variable) -> list[str]:
    """Return what a party of a federation sees and knows, one sentence each."""
    sentences = [
        _sees(federation),
        _has(variable),
        _knows(federation),
    ]
    if threat.rounds is not None:
        rounds = words.people(threat.rounds, "round")
        sentences.append(f"It looks at {rounds} only, evenly spaced, the last among them.")
    return sentences


def _has(variable: Variable) -> str:
    return f"It has the scan and the true {words.true_value(variable)} of the person it asks about."


def _sees(federation: Federation) -> str:
    who = federation.attacker
    server = "the server, which receives every learner’s model in every round"
    if who == "learner":
        return (
            f"It is one of the {len(federation.learners)} learners; each learner attacks each other learner. "
            "It follows the protocol and sees the global model of every round, but no other learner’s own "
            "model."
        )
    if who == "aggregate":
        return "It sees the sum of the learners’ models in every round, but no learner’s own model."
    if not federation.visible_to_server:
        return "It is the server of an encrypted federation: it adds ciphertexts and sees no model at all."
    if who == "server":
        return f"It is {server}. It follows the protocol."
    return (
        f"It is {server}. It does not follow the protocol: it changes the model that it sends out and "
        "compares what comes back. This was simulated; no real federation was disturbed."
    )


def _knows(federation: Federation) -> str:
    outside = words.people(federation.known_nonmembers, "held-out person", "held-out people")
    if federation.attacker == "learner":
        return (
            f"It knows its own people, and {outside} that no learner trained on; it is scored on the others."
        )
    return f"It knows {outside} that no learner trained on, and no members."


def could_not_be_seen(audit: AuditContent) -> list[str]:
    """Return what this audit could not see, one sentence each."""
    auc = words.detectable(audit.verdict.smallest_detectable_auc)
    missed = (
        f"A leak with an AUC below {auc}. With this many people, it is missed more than one time in five."
    )
    sentences = [missed if audit.findings else "Any leak, because no attack could be run."]
    if audit.not_run:
        which = "One attack" if len(audit.not_run) == 1 else f"{len(audit.not_run)} attacks"
        sentences.append(f"{which} that could not be run. The reasons are below.")
    if audit.target.predictions_from == "unknown":
        sentences.append("How the predictions were made, because this was not stated.")
    if audit.checks.images is not None and audit.checks.images.reproduced is None:
        sentences.append(
            "Whether the model gets the images that it was trained on, because its makers’ own predictions "
            "were not given. With other images, attacks find too little."
        )
    sentences.append("Other training runs. Intervals cover other people like these, for this trained model.")
    sentences.append("Attackers who see, know or can do more than the one assumed here.")
    return sentences


def party_unseen(federation: Federation) -> list[str]:
    """Return what an audit of one party cannot see, one sentence each."""
    sentences = ["What several parties could learn together."]
    if federation.attacker in ("server", "active-server") and not federation.visible_to_server:
        sentences.append("What the learners see. They hold the key, so audit them as attackers, too.")
    return sentences


def pairs(auc: float) -> Markup:
    """Draw an AUC as a hundred pairs: those right by chance, those the attack adds, the rest."""
    right = round(100 * auc)

    def paint(figure: Figure) -> None:
        figure.set_layout_engine("none")
        axes = figure.add_axes((0, 0, 1, 1))
        axes.set_axis_off()
        axes.set_xlim(-0.5, 19.5)
        axes.set_ylim(4.5, -0.5)
        place = np.arange(100)
        x, y = place // 5, place % 5
        for chosen, color, filled in (
            (place < min(right, 50), svg.MUTED, True),
            ((place >= 50) & (place < right), svg.TONE, True),
            (place >= right, svg.MUTED, False),
        ):
            face = color if filled else "none"
            axes.plot(
                x[chosen], y[chosen], "o", color=color, markerfacecolor=face, markersize=7, markeredgewidth=1
            )

    return svg.draw(
        "pairs",
        280,
        70,
        "One hundred pairs of a member and a non-member",
        f"The attack picks the member in {right} of 100 pairs; by chance it would be 50.",
        paint,
    )


SECTION = Section(__name__, "summary", "Summary", data)
