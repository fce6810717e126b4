"""What documentation must hold: elements of the EDPB's opinion, the GDPR and the AI Act, filled or blank.

Paragraphs and headings are those of EDPB Opinion 28/2024 (17 December 2024), Article 5(1)(c) and (2) of
Regulation (EU) 2016/679, and Annex IV of Regulation (EU) 2024/1689. What each asks for is said in our words
and shortened: whoever fills it in reads the text itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from memberscan.dossier import facts
from memberscan.dossier.content import (
    Alternative,
    AttackerRow,
    ControlRow,
    CoverageRow,
    Element,
    Fact,
    Files,
    Framework,
    Measure,
)
from memberscan.dossier.sources import Audited


@dataclass(frozen=True)
class Known:
    """All that the other parts of the dossier know."""

    audits: Sequence[Audited]
    attackers: Sequence[AttackerRow]
    coverage: Sequence[CoverageRow]
    files: Files | None
    measures: Sequence[Measure]
    alternatives: Sequence[Alternative]
    controls: Sequence[ControlRow]

    def told(self, *tells: facts.Tell) -> list[Fact]:
        """Return what some functions say of every audit."""
        return facts.told(self.audits, *tells)


def frameworks_of(known: Known) -> list[Framework]:
    """Return all texts with their elements."""
    return [_anonymity(known), _testing(known), _documentation(known), _minimisation(known), _annex(known)]


def _element(place: str, asks: str, found: Sequence[Fact], blank: str | None) -> Element:
    return Element(place=place, asks=asks, facts=tuple(found), blank=blank)


def _anonymity(known: Known) -> Framework:
    return Framework(
        name="EDPB Opinion 28/2024, paragraph 46: the context and the means reasonably likely to be used",
        about="A model that everybody has meets other people and other means than one that only staff can "
        "use. How far tests must go depends on it.",
        elements=(
            _element(
                "Paragraph 46, the context of the release",
                "Who will have access to the model, and whether that can change.",
                (),
                "Who gets access, by which contract or licence, and what keeps others out.",
            ),
            _element(
                "What membership would reveal",
                "What follows for a person from having been in this training set.",
                known.told(facts.people),
                "What all people of the training set have in common, such as a diagnosis, a clinic or a "
                "study, and which harm would follow if it became known.",
            ),
            _element(
                "Paragraph 46, the means reasonably likely to be used",
                "Which attackers were considered, and with which means.",
                [*facts.of_attackers(known.attackers), *known.told(facts.threat)],
                "Which other information about these people is available to those who get access, such as "
                "public scans, registers or earlier releases.",
            ),
        ),
    )


def _testing(known: Known) -> Framework:
    return Framework(
        name="EDPB Opinion 28/2024, paragraph 55: tests and resistance to attacks",
        about="Scope, number and quality of the tests. A test speaks for the attacks that it ran only.",
        elements=(
            _element(
                "Paragraph 55, structured tests",
                "Tests against attribute and membership inference, exfiltration, regurgitation, model "
                "inversion and reconstruction.",
                facts.of_coverage(known.coverage),
                "Tests of the classes that were not run here, or why their risk is accepted.",
            ),
            _element(
                "Paragraph 55, quality of the tests",
                "How it is known that the tests themselves are sound.",
                facts.of_controls(known.controls),
                "How often tests are repeated, and what starts a new one.",
            ),
        ),
    )


def _documentation(known: Known) -> Framework:
    return Framework(
        name="EDPB Opinion 28/2024, paragraph 58: documentation",
        about="What the controller should be able to show.",
        elements=(
            _element(
                "Paragraph 58(a), impact assessment",
                "The data protection impact assessment, or the decision that none is needed.",
                (),
                "Reference and date of the assessment or of that decision.",
            ),
            _element(
                "Paragraph 58(b), data protection officer",
                "Advice of the data protection officer.",
                (),
                "The advice, its date, and how it was followed.",
            ),
            _element(
                "Paragraph 58(c), measures while the model was designed",
                "Technical and organisational measures that make identification less likely, with the threat "
                "model, for each source of data.",
                [*known.told(facts.threat), *facts.of_measures(known.measures, "training", "federation")],
                "Sources of the training data with their addresses, and the measures of each provider.",
            ),
            _element(
                "Paragraph 58(d), measures over the whole life of the model",
                "Measures that contributed to, or checked, that the model holds no personal data.",
                [*facts.of_measures(known.measures, "output"), *facts.of_files(known.files)],
                "Access control, contracts, monitoring and deletion after the release.",
            ),
            _element(
                "Paragraph 58(e), resistance to re-identification",
                "Ratio of training data to parameters; measures of the likelihood of re-identification; how, "
                "by whom and how far the model was tested; the results.",
                known.told(facts.ratio, facts.tests, facts.results, facts.exposed),
                "Who ran these tests, and who checked them.",
            ),
            _element(
                "Paragraph 58(f), information for those who deploy it and for the people concerned",
                "What they are told of the measures and of the risks that remain.",
                (),
                "The text that they are given. Exports of this dossier can be a part of it.",
            ),
        ),
    )


def _minimisation(known: Known) -> Framework:
    return Framework(
        name="GDPR Article 5(1)(c), data minimisation, and Article 5(2), accountability",
        about="Data must be adequate, relevant and limited to what the purpose needs. EDPB Opinion 28/2024 "
        "asks for it where the model is designed.",
        elements=(
            _element(
                "People and scans",
                "How many people were trained on, and whether fewer would do.",
                known.told(facts.people, facts.errors),
                "Why this many people and these scans are needed, and who was left out.",
            ),
            _element(
                "Files of the release",
                "Whether the release holds more than the model needs to work.",
                facts.of_files(known.files),
                "Why each file is passed on."
                if known.files
                else "Which files are passed on, and what they hold.",
            ),
            _element(
                "Measures in training",
                "What limits what the model keeps of a person.",
                facts.of_measures(known.measures, "training", "federation"),
                "Steps before training: removal of faces, pseudonyms, selection of sources.",
            ),
            _element(
                "Measures at output",
                "What limits what answers give away.",
                facts.of_measures(known.measures, "output"),
                "Limits on queries, logs, and who reads them.",
            ),
            _element(
                "Other recipes",
                "Whether a model with less leakage would serve the purpose as well.",
                facts.of_alternatives(known.alternatives),
                "Which error the purpose allows, and why this recipe was chosen.",
            ),
        ),
    )


def _annex(known: Known) -> Framework:
    return Framework(
        name="AI Act, Annex IV: headings of the technical documentation",
        about="Binding for high-risk systems, a useful order for others. Whether it binds here is for the "
        "provider to say.",
        elements=tuple(_headings(known)),
    )


def _headings(known: Known) -> list[Element]:
    return [
        _element(
            "1. General description",
            "Purpose, provider, version, and how the system is used.",
            known.told(facts.model),
            "Intended purpose, provider, version, hardware, and instructions for use.",
        ),
        _element(
            "2. Elements and development",
            "Design, data, training, tests, security.",
            [
                *known.told(facts.people, facts.draw, facts.reproduce, facts.versions, facts.tests),
                *facts.of_measures(known.measures, "training", "output", "federation"),
            ],
            "Where the data come from and how they were selected and labelled; design choices; human "
            "oversight; security of the system.",
        ),
        _element(
            "3. Monitoring, functioning and control",
            "Capabilities and limits, accuracy for groups of people, risks that can be foreseen.",
            known.told(facts.errors, facts.groups),
            "Accuracy for the groups of people on whom it will be used; foreseeable misuse.",
        ),
        _element(
            "4. Performance metrics",
            "Why the metrics are the right ones.",
            known.told(facts.errors),
            "Why these metrics fit the purpose.",
        ),
        _element(
            "5. Risk management (Article 9)",
            "Risks and measures. The audits cover one risk: what the model gives away of its members.",
            known.told(facts.results),
            "All other risks, and the measures against them.",
        ),
        _element(
            "6. Changes over the lifecycle",
            "What the provider changes.",
            (),
            "Changes since the first version.",
        ),
        _element("7. Standards", "Harmonised standards that were applied.", (), "The standards."),
        _element("8. EU declaration of conformity", "A copy.", (), "The declaration."),
        _element(
            "9. Monitoring after the market (Article 72)",
            "The plan to evaluate the system in use.",
            (),
            "The plan; when a new audit is due.",
        ),
    ]
