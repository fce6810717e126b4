"""What each site should know about its own people: the strongest pair of each attacker against them."""

from __future__ import annotations

from dataclasses import dataclass

from memberscan.report import party_words, words
from memberscan.report.content.consortium_json import Against, ConsortiumContent, Entry, Site
from memberscan.report.content.federation_json import Pair
from memberscan.report.content.parts import Estimate
from memberscan.report.page_section import Section


@dataclass(frozen=True)
class AttackerAdvice:
    """What one attacker can tell: ``attack`` and ``numbers`` say by what, ``caveat`` what may mislead."""

    sentence: str
    attack: str | None = None
    numbers: str | None = None
    caveat: str | None = None


@dataclass(frozen=True)
class SiteAdvice:
    """One site; ``people`` is None where their number is not published."""

    name: str
    people: str | None
    attackers: list[AttackerAdvice]


def data(content: ConsortiumContent) -> dict[str, list[SiteAdvice]] | None:
    """Return the advice to the sites of each federation; None if there is no federation."""
    entries = {entry.name: entry for entry in content.entries}
    advice: dict[str, list[SiteAdvice]] = {}
    for site in sorted(content.sites, key=lambda site: site.federation):
        advice.setdefault(site.federation, []).append(_site(site, entries))
    return advice or None


def _site(site: Site, entries: dict[str, Entry]) -> SiteAdvice:
    people = None if site.members is None else words.people(site.members, "person", "people")
    return SiteAdvice(site.name, people, [_advice(view, entries[view.entry]) for view in site.against])


def _advice(view: Against, entry: Entry) -> AttackerAdvice:
    pair = view.pair
    if pair is None or pair.auc is None:
        return AttackerAdvice(
            f"{party_words.ATTACKERS[entry.attacker].capitalize()}: nothing could be judged."
        )
    numbers = (
        f"AUC {words.rough(pair.auc.value)}, {words.span(pair.auc, words.rough)}; "
        f"p {words.p_value(pair.p_holm)} after correction; shown for {view.shown} of {view.pairs} attacks."
    )
    differs = view.victim is not None and view.victim.tripped
    caveat = f"But {party_words.caveat(view.victim)}." if view.victim and differs else None
    return AttackerAdvice(against(entry, pair, pair.auc), pair.attack, numbers, caveat)


def against(entry: Entry, pair: Pair, auc: Estimate) -> str:
    """Return what one attacker's strongest pair tells a site about its own people, in plain words."""
    who = {
        "learner": f"Another learner, {pair.attacker},",
        "server": "The server",
        "active-server": "An active server",
        "aggregate": "An attacker who sees the sums",
    }.get(entry.attacker, "Somebody outside")
    whose = "the federation’s people" if pair.victim == party_words.ALL else "your people"
    if not party_words.shown(pair):
        return f"{who} was not shown to tell {whose} from others (AUC at most {words.rough(auc.high)})."
    often = words.in_hundred(auc.value)
    return (
        f"{who} can tell {whose} from others: shown one of {whose} and somebody else, it picks the right one "
        f"{often}."
    )


SECTION = Section(__name__, "sites", "Each site’s people", data, styles=("sections/site_advice/style.css",))
