"""The parties of a federation as the report speaks of them: who attacks, whom, and what was shown."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from memberscan.report import words

SIGNIFICANT = 0.05
"""A pair is shown where its p-value is below this after Holm's correction."""

ALL = "all"
"""The victim of an attacker who cannot tell learners apart."""

ATTACKERS = {
    "outsider": "outsider",
    "learner": "other learners",
    "server": "server",
    "active-server": "active server",
    "aggregate": "sums only",
}
ENVIRONMENTS = {
    "uniform-iid": "uniform, IID",
    "uniform-noniid": "uniform, non-IID",
    "skewed-iid": "skewed, IID",
    "skewed-noniid": "skewed, non-IID",
    "by-site": "by site",
    None: "imported",
}
_PEOPLE = {
    "uniform-iid": "Each learner has as many people, of all ages alike.",
    "uniform-noniid": "Each learner has as many people, of ages that differ between learners.",
    "skewed-iid": "Learners have unlike numbers of people, of all ages alike.",
    "skewed-noniid": "Learners have unlike numbers of people, of ages that differ between learners.",
    "by-site": "Each learner has the people of one site.",
    None: "How people were spread over the learners is not known.",
}


def within(audit: dict[str, Any]) -> bool:
    """Tell whether an audit is of a party of a federation, and not of an outsider."""
    federation = audit["federation"]
    return bool(federation and federation["attacker"] != "outsider")


def about(federation: dict[str, Any]) -> str:
    """Return what federation it is, in two or three sentences."""
    rounds = words.people(federation["rounds"], "round")
    epochs = federation["local_epochs"]
    each = f", {words.people(epochs, 'local epoch')} in each" if epochs else ""
    sentence = f"{words.people(len(federation['learners']), 'learner')} trained together over {rounds}{each}."
    secret = " Learners encrypted what they sent (CKKS)." if federation["secure"] == "ckks" else ""
    return f"{sentence} {_PEOPLE[federation['environment']]}{secret}"


def attacker(federation: dict[str, Any]) -> list[str]:
    """Return what a party of a federation sees and knows, one sentence each."""
    return [
        *_sees(federation),
        "It has the scan and the true age of the person it asks about.",
        _knows(federation),
    ]


def _sees(federation: dict[str, Any]) -> list[str]:
    who, hidden = federation["attacker"], not federation["visible_to_server"]
    server = "the server, which receives every learner’s model in every round"
    if who == "learner":
        learners = len(federation["learners"])
        return [
            f"It is one of the {learners} learners; each attacks each other in turn. It plays by the rules, "
            "sees the global model of every round, and no other learner’s own model."
        ]
    if who == "aggregate":
        return ["It sees the sum of the learners’ models in every round, and no learner’s own model."]
    if hidden:
        return [
            "It is the server of a federation that encrypts: it adds ciphertexts and sees no model at all."
        ]
    if who == "server":
        return [f"It is {server}. It plays by the rules."]
    return [
        f"It is {server}, and it breaks the rules: it changes the model that it sends out and watches what "
        "comes back. This was simulated; no real federation was disturbed."
    ]


def _knows(federation: dict[str, Any]) -> str:
    outside = f"{words.people(federation['known_nonmembers'], 'held-out person')}".replace(
        "held-out persons", "held-out people"
    )
    if federation["attacker"] == "learner":
        return f"It knows its own people, and {outside} whom nobody trained on; it is judged on the others."
    return f"It knows {outside} whom nobody trained on, and of nobody that they were trained on."


def unseen(federation: dict[str, Any]) -> list[str]:
    """Return what an audit of one party cannot see, one sentence each."""
    sentences = ["What several parties learn who put together what they see."]
    if federation["attacker"] in ("server", "active-server") and not federation["visible_to_server"]:
        sentences.append("What the learners see, who hold the key: audit them as attackers.")
    return sentences


def judged(pairs: Sequence[dict[str, Any]], attack: str | None = None) -> list[dict[str, Any]]:
    """Return the pairs that could be judged, of one attack or of all."""
    return [p for p in pairs if p["auc"] is not None and attack in (None, p["attack"])]


def shown(pair: dict[str, Any]) -> bool:
    """Tell whether a pair stands after Holm's correction."""
    return pair["p_holm"] is not None and pair["p_holm"] < SIGNIFICANT


def strongest(pairs: Sequence[dict[str, Any]]) -> dict[str, Any] | None:
    """Return the pair that shows most: those that stand after correction first, then by their lower ends."""
    return max(judged(pairs), key=lambda p: (shown(p), p["auc"]["low"], p["auc"]["value"]), default=None)


def main_attack(findings: Sequence[str], pairs: Sequence[dict[str, Any]]) -> str | None:
    """Return the first attack of ``findings``, strongest first, that has a pair; else of any pair."""
    names = [pair["attack"] for pair in pairs]
    return next((name for name in (*findings, *names) if name in names), None)


def success(pairs: Sequence[dict[str, Any]], attack: str, victims: Sequence[dict[str, Any]]) -> str:
    """Return how many pairs of an attack are shown, and how many of these may not be the model's doing."""
    mine = [p for p in pairs if p["attack"] == attack]
    tried = judged(mine)
    found = sum(map(shown, tried))
    if not tried:
        return f"None of {words.people(len(mine), 'pair')} could be judged."
    text = f"The attack {attack} succeeds in {found} of {words.people(len(tried), 'pair')}"
    text += f" (p < {SIGNIFICANT:g} after Holm’s correction over them)."
    gated = {victim["name"] for victim in victims if victim["tripped"] and victim["gates"]}
    doubtful = sum(shown(pair) and pair["victim"] in gated for pair in tried)
    if doubtful:
        text += f" Of these, {doubtful} may owe it to who the victim’s people are, not to a model; see below."
    missing = len(mine) - len(tried)
    if missing:
        text += f" {words.people(missing, 'pair').capitalize()} could not be judged."
    return text


def confounded(victims: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the victims whose people differ from the held-out ones without the model, most of all first."""
    return sorted((v for v in victims if v["tripped"]), key=lambda v: -(v["auc"] or 0))


def checked(victims: Sequence[dict[str, Any]]) -> bool:
    """Tell whether the check without the model had anything to look at."""
    return any(victim["auc"] is not None for victim in victims)


def caveat(victim: dict[str, Any]) -> str:
    """Return what the check without the model says of one victim, in a sentence."""
    by = f", most of all by {victim['worst']}" if victim["worst"] else ""
    auc = f" with an AUC of {words.rough(victim['auc'])}" if victim["auc"] is not None else ""
    told = f"its people can be told from those held out{auc} without any model{by}"
    if victim["gates"]:
        return f"{told}: membership and site cannot be told apart here"
    return f"{told}; the draw was random, so this is chance"


def sources(found: dict[str, Any]) -> str:
    """Return how well learners are named as the source of a person, beside a guess without a model."""
    accuracy, blind = found["accuracy"], found["blind"]
    text = (
        "Asked which learner has a person, an attacker who compares the models of all learners is right in "
        f"{words.percent(accuracy['value'])} of the cases ({words.span(accuracy, words.percent)}); a guess "
        f"would be in {words.percent(found['chance'])}."
    )
    if blind is None:
        return f"{text} No classifier without a model stands beside it, so the images alone may tell as much."
    seen = f"the {found['blind_name']} alone" if found["blind_name"] else "no model"
    text += (
        f" A classifier that sees {seen} is right in {words.percent(blind['value'])} "
        f"({words.span(blind, words.percent)})"
    )
    if accuracy["low"] > blind["high"]:
        return f"{text}: the models tell more than that."
    return f"{text}: the models are not shown to tell more than that."


def against(entry: dict[str, Any], pair: dict[str, Any]) -> str:
    """Return what one attacker's strongest pair tells a site about its own people, in plain words."""
    who = {
        "learner": f"Another learner, {pair['attacker']},",
        "server": "The server",
        "active-server": "A server that breaks the rules",
        "aggregate": "Whoever sees the sums",
    }.get(entry["attacker"], "Somebody outside")
    whose = "the federation’s people" if pair["victim"] == ALL else "your people"
    if not shown(pair):
        most = words.fraction(pair["auc"]["high"])
        return f"{who} was not shown to tell {whose} from others (AUC at most {most})."
    often = words.in_hundred(pair["auc"]["value"])
    return f"{who} can tell {whose} from others: of a pair, it picks the right one {often}."


WHO = {
    "outsider": "An outsider holds the final model, or may query it.",
    "learner": "A learner sees the global model of every round, and attacks the people of the others.",
    "server": "A server receives what every learner sends, and plays by the rules.",
    "active-server": "An active server changes the model that it sends out. This was simulated.",
    "aggregate": "Whoever sees sums over all learners, and no learner’s own model.",
}
"""Attackers in one sentence each, for a page that has several."""


def tone(audits: Sequence[dict[str, Any]]) -> str:
    """Return the class of a page with several verdicts: that of the gravest."""
    verdicts = {audit["verdict"] for audit in audits}
    order = ("leaks", "confounded", "inconclusive", "no leak shown")
    return next(label for label in order if label in verdicts).replace(" ", "-")


def counted(audits: Sequence[dict[str, Any]]) -> str:
    """Return how many audits have which verdict, the gravest first."""
    verdicts = [audit["verdict"] for audit in audits]
    return ", ".join(f"{verdicts.count(v)} {words.LABELS[v].lower()}" for v in words.LABELS if v in verdicts)


def answer(content: dict[str, Any]) -> str:
    """Return what several audits say together, in a sentence that adds no judgement to theirs."""
    leaking = {audit["entry"] for audit in content["audits"] if audit["verdict"] == "leaks"}
    total = len(content["audits"])
    if not leaking:
        return f"No leak was shown by {words.people(total, 'audit')}; each says what it could have missed."
    count = sum(audit["verdict"] == "leaks" for audit in content["audits"])
    who = dict.fromkeys(_BY[e["attacker"]] for e in content["entries"] if e["name"] in leaking)
    return f"Membership leaks to {words.listed(list(who))}, by {count} of {words.people(total, 'audit')}."


_BY = {
    "outsider": "outsiders",
    "learner": "other learners",
    "server": "the server",
    "active-server": "a server that breaks the rules",
    "aggregate": "whoever sees sums",
}
