"""What documentation must hold: elements of the EDPB's opinion, the GDPR and the AI Act, filled or blank.

Paragraphs and headings are those of EDPB Opinion 28/2024 (17 December 2024), Article 5(1)(c) and (2) of
Regulation (EU) 2016/679, and Annex IV of Regulation (EU) 2024/1689. What each asks for is said in our words
and shortened: whoever fills it in reads the text itself.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from memberscan.dossier import facts
from memberscan.dossier.content import Element, Fact, Framework
from memberscan.dossier.known import Known


@dataclass(frozen=True)
class Asked:
    """One element of a text: its place, what it asks for, what only the controller knows, what fills it."""

    place: str
    asks: str
    blank: str
    fill: Callable[[Known], list[Fact]] = lambda _: []


@dataclass(frozen=True)
class AskingText:
    """A text that asks for documentation."""

    name: str
    about: str
    elements: tuple[Asked, ...]


def frameworks_of(known: Known) -> list[Framework]:
    """Return all texts with their elements, filled with what is known."""
    return [
        Framework(
            name=text.name,
            about=text.about,
            elements=tuple(
                Element(place=e.place, asks=e.asks, facts=tuple(e.fill(known)), blank=e.blank)
                for e in text.elements
            ),
        )
        for text in TEXTS
    ]


_CONTEXT = AskingText(
    "EDPB Opinion 28/2024, paragraph 46: the context and the means reasonably likely to be used",
    "A model that everybody has meets other people and other means than one that only staff can use. How far "
    "tests must go depends on it.",
    (
        Asked(
            "Paragraph 46, the context of the release",
            "Who will have access to the model, and whether that can change.",
            "Who gets access, by which contract or licence, and what keeps others out.",
        ),
        Asked(
            "What membership would reveal",
            "What follows for a person from having been in this training set.",
            "What all people of the training set have in common, such as a diagnosis, a clinic or a study, "
            "and which harm would follow if it became known.",
            lambda known: known.told(facts.people),
        ),
        Asked(
            "Paragraph 46, the means reasonably likely to be used",
            "Which attackers were considered, and with which means.",
            "Which other information about these people is available to those who get access, such as public "
            "scans, registers or earlier releases.",
            lambda known: [*facts.of_attackers(known.attackers), *known.told(facts.threat)],
        ),
    ),
)

_TESTS = AskingText(
    "EDPB Opinion 28/2024, paragraph 55: tests and resistance to attacks",
    "Scope, number and quality of the tests. A test speaks for the attacks that it ran only.",
    (
        Asked(
            "Paragraph 55, structured tests",
            "Tests against attribute and membership inference, exfiltration, regurgitation, model inversion "
            "and reconstruction.",
            "Tests of the classes that were not run here, or why their risk is accepted.",
            lambda known: facts.of_coverage(known.coverage),
        ),
        Asked(
            "Paragraph 55, quality of the tests",
            "How it is known that the tests themselves are sound.",
            "How often tests are repeated, and what starts a new one.",
            lambda known: facts.of_controls(known.controls),
        ),
    ),
)

_DOCUMENTATION = AskingText(
    "EDPB Opinion 28/2024, paragraph 58: documentation",
    "What the controller should be able to show.",
    (
        Asked(
            "Paragraph 58(a), impact assessment",
            "The data protection impact assessment, or the decision that none is needed.",
            "Reference and date of the assessment or of that decision.",
        ),
        Asked(
            "Paragraph 58(b), data protection officer",
            "Advice of the data protection officer.",
            "The advice, its date, and how it was followed.",
        ),
        Asked(
            "Paragraph 58(c), measures while the model was designed",
            "Technical and organisational measures that make identification less likely, with the threat "
            "model, for each source of data.",
            "Sources of the training data with their addresses, and the measures of each provider.",
            lambda known: [*known.told(facts.threat), *known.measured("training", "federation")],
        ),
        Asked(
            "Paragraph 58(d), measures over the whole life of the model",
            "Measures that contributed to, or checked, that the model holds no personal data.",
            "Access control, contracts, monitoring and deletion after the release.",
            lambda known: [*known.measured("output"), *facts.of_files(known.files)],
        ),
        Asked(
            "Paragraph 58(e), resistance to re-identification",
            "Ratio of training data to parameters; measures of the likelihood of re-identification; how, by "
            "whom and how far the model was tested; the results.",
            "Who ran these tests, and who checked them.",
            lambda known: known.told(facts.ratio, facts.tests, facts.results, facts.exposed),
        ),
        Asked(
            "Paragraph 58(f), information for those who deploy it and for the people concerned",
            "What they are told of the measures and of the risks that remain.",
            "The text that they are given. Exports of this dossier can be a part of it.",
        ),
    ),
)

_MINIMISATION = AskingText(
    "GDPR Article 5(1)(c), data minimisation, and Article 5(2), accountability",
    "Data must be adequate, relevant and limited to what the purpose needs. EDPB Opinion 28/2024 asks for it "
    "where the model is designed.",
    (
        Asked(
            "People and scans",
            "How many people were trained on, and whether fewer would do.",
            "Why this many people and these scans are needed, and who was left out.",
            lambda known: known.told(facts.people, facts.errors),
        ),
        Asked(
            "Files of the release",
            "Whether the release holds more than the model needs to work.",
            "Which files are passed on, and why each of them.",
            lambda known: facts.of_files(known.files),
        ),
        Asked(
            "Measures in training",
            "What limits what the model keeps of a person.",
            "Steps before training: removal of faces, pseudonyms, selection of sources.",
            lambda known: known.measured("training", "federation"),
        ),
        Asked(
            "Measures at output",
            "What limits what answers give away.",
            "Limits on queries, logs, and who reads them.",
            lambda known: known.measured("output"),
        ),
        Asked(
            "Other recipes",
            "Whether a model with less leakage would serve the purpose as well.",
            "Which error the purpose allows, and why this recipe was chosen.",
            lambda known: facts.of_alternatives(known.alternatives),
        ),
    ),
)

_ANNEX = AskingText(
    "AI Act, Annex IV: headings of the technical documentation",
    "Binding for high-risk systems, a useful order for others. Whether it binds here is for the provider to "
    "say.",
    (
        Asked(
            "1. General description",
            "Purpose, provider, version, and how the system is used.",
            "Intended purpose, provider, version, hardware, and instructions for use.",
            lambda known: known.told(facts.model),
        ),
        Asked(
            "2. Elements and development",
            "Design, data, training, tests, security.",
            "Where the data come from and how they were selected and labelled; design choices; human "
            "oversight; security of the system.",
            lambda known: [
                *known.told(facts.people, facts.draw, facts.reproduce, facts.versions, facts.tests),
                *known.measured("training", "output", "federation"),
            ],
        ),
        Asked(
            "3. Monitoring, functioning and control",
            "Capabilities and limits, accuracy for groups of people, risks that can be foreseen.",
            "Accuracy for the groups of people on whom it will be used; foreseeable misuse.",
            lambda known: known.told(facts.errors, facts.groups),
        ),
        Asked(
            "4. Performance metrics",
            "Why the metrics are the right ones.",
            "Why these metrics fit the purpose.",
            lambda known: known.told(facts.errors),
        ),
        Asked(
            "5. Risk management (Article 9)",
            "Risks and measures. The audits cover one risk: what the model gives away of its members.",
            "All other risks, and the measures against them.",
            lambda known: known.told(facts.results),
        ),
        Asked(
            "6. Changes over the lifecycle", "What the provider changes.", "Changes since the first version."
        ),
        Asked("7. Standards", "Harmonised standards that were applied.", "The standards."),
        Asked("8. EU declaration of conformity", "A copy.", "The declaration."),
        Asked(
            "9. Monitoring after the market (Article 72)",
            "The plan to evaluate the system in use.",
            "The plan; when a new audit is due.",
        ),
    ),
)

TEXTS = (_CONTEXT, _TESTS, _DOCUMENTATION, _MINIMISATION, _ANNEX)
"""The texts in the order of the page."""
