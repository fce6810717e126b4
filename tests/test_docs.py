"""The documentation says what the code does: attacks have pages, commands parse, imports and links work."""

from __future__ import annotations

import ast
import functools
import re
import shlex
import tomllib
from collections.abc import Iterator
from pathlib import Path

import click
import numpy as np
import pandas as pd
import pytest
import typer

import memberscan
from memberscan.attacks import REGISTRY, Attack
from memberscan.attacks.attempt import observe
from memberscan.attacks.availability import needed_access, obstacle, suits
from memberscan.cli import app, bids_app
from memberscan.cli.root import prepared
from memberscan.defences import DEFENCES
from memberscan.errors import MemberscanError
from memberscan.signals.activations import ACTIVATION
from memberscan.studies import STUDIES
from memberscan.threat import Access, Attacker, ThreatModel

from .attacks.conftest import draw_world, table_of

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md")]
PAGES += sorted(p for p in (ROOT / "docs").rglob("*.md") if "_build" not in p.parts)
NAMES = [str(page.relative_to(ROOT)) for page in PAGES]
FENCE = re.compile(r"^```(\S*)\n(.*?)^```", re.MULTILINE | re.DOTALL)


def page_of(attack: str) -> Path:
    return ROOT / "docs" / "attacks" / f"{re.sub('[:+]', '-', attack)}.md"


def blocks(page: Path, language: str) -> Iterator[str]:
    yield from (body for kind, body in FENCE.findall(page.read_text("utf-8")) if kind == language)


def commands(page: Path) -> list[list[str]]:
    lines = [line for block in blocks(page, "console") for line in block.replace("\\\n", " ").splitlines()]
    words = [shlex.split(line.removeprefix("$ ")) for line in lines]
    return [w for w in words if w and Path(w[0]).name == "memberscan"]


@functools.cache
def root() -> click.Command:
    """Return all commands, whose making takes longer than parsing."""
    return typer.main.get_command(app)


def parse(words: list[str]) -> click.Context:
    """Parse a command without running it."""
    command = root()
    context = command.make_context(words[0], prepared(words[1:]))
    while isinstance(command, click.Group):
        name, *rest = [*context._protected_args, *context.args]
        command = command.commands[name]
        context = command.make_context(name, rest, parent=context)
    return context


def access_of(attack: Attack) -> Access:
    """Return what the first attacker whose attack it is must see."""
    threats = [ThreatModel(attacker=attacker) for attacker in Attacker]
    return needed_access(attack, next(each for each in threats if suits(attack, each, references=True)))


@pytest.mark.parametrize("name", REGISTRY)
def test_every_attack_has_a_page_that_agrees_with_it(name: str) -> None:
    attack, text = REGISTRY[name], page_of(name).read_text("utf-8")
    assert text.startswith(f"# `{name}`\n")
    rows = dict(re.findall(r"^\| ([A-Z][^|]*?) \| (.*?) \|$", text, re.MULTILINE))
    assert rows["Uses"] == attack.title
    assert rows["Sees"] == str(access_of(attack))
    assert rows["Learns from known people"] == ("yes" if attack.learns else "no")
    layers = {signal.part for signal in attack.reads if signal.part}
    layers |= {"output"} if ACTIVATION in attack.reads else set()
    assert set(re.findall(r"`(\w+)`", rows["Needs of the model"])) == layers
    for section in ("Formula", "Good at", "Not good at", "Source"):
        assert f"## {section}\n" in text


def test_every_page_of_an_attack_is_of_a_registered_one_and_listed() -> None:
    index = ROOT / "docs" / "attacks" / "index.md"
    assert set(index.parent.glob("*.md")) == {page_of(name) for name in REGISTRY} | {index}
    for name, attack in REGISTRY.items():
        learns = "yes" if attack.learns else "no"
        row = rf"\| \[`{re.escape(name)}`\]\({page_of(name).name}\) \| {access_of(attack)} \| {learns}"
        assert re.search(row, index.read_text("utf-8"))


@pytest.mark.parametrize("name", DEFENCES)
def test_every_defence_has_a_page_that_is_listed(name: str) -> None:
    folder = ROOT / "docs" / "defences"
    assert (folder / f"{name}.md").read_text("utf-8").startswith(f"# `{name}`\n")
    index = (folder / "index.md").read_text("utf-8")
    assert f"| [`{name}`]({name}.md) | " in index and f"\n{name}\n" in index


@pytest.mark.parametrize("page", PAGES, ids=NAMES)
def test_every_command_parses(page: Path) -> None:
    for words in commands(page):
        parse(words)


@pytest.mark.parametrize("page", PAGES, ids=NAMES)
def test_every_option_and_command_named_in_the_text_exists(page: Path) -> None:
    known = options()
    prose = FENCE.sub("", page.read_text("utf-8"))
    for span in re.findall(r"`([^`\n]+)`", prose):
        words = span.split()
        if words[0].startswith("--"):
            assert words[0] in known, f"{page.name}: {span}"
        if words[0] == "memberscan" and len(words) > 1:
            assert words[1] in root().commands, f"{page.name}: {span}"  # type: ignore[attr-defined]


@functools.cache
def options() -> frozenset[str]:
    """Return the options of all commands."""
    commands_of_both = (*every_command(root()), typer.main.get_command(bids_app.app))
    parameters = [p for command in commands_of_both for p in command.params]
    return frozenset({"--help", *(option for p in parameters for option in (*p.opts, *p.secondary_opts))})


def every_command(command: click.Command) -> Iterator[click.Command]:
    yield command
    for child in getattr(command, "commands", {}).values():
        yield from every_command(child)


def test_the_checks_find_what_is_wrong(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("```console\n$ memberscan audit run out --acces weights\n```\n", "utf-8")
    (words,) = commands(page)
    with pytest.raises(click.NoSuchOption):
        parse(words)


@pytest.mark.parametrize("page", PAGES, ids=NAMES)
def test_every_python_block_compiles_and_imports_what_exists(page: Path) -> None:
    for block in blocks(page, "python"):
        for node in ast.walk(ast.parse(block)):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("memberscan"):
                module = __import__(str(node.module), fromlist=[a.name for a in node.names])
                assert all(hasattr(module, a.name) for a in node.names), block


def test_the_attacks_of_the_how_to_can_be_run(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Attack | str] = []
    monkeypatch.setattr(memberscan, "audit", lambda _, attacks, **rest: asked.extend(attacks), raising=False)
    names: dict[str, object] = {"__name__": "how to"}
    for block in blocks(ROOT / "docs" / "howto" / "add-an-attack.md", "python"):
        exec(block, names)
    world = draw_world(np.random.default_rng(0), leak=1.0)
    on_learners, on_model = (attack for attack in asked if isinstance(attack, Attack))
    assert on_learners.by_learner and on_model.learns
    for attack in (on_learners, on_model):
        inside, outside = world.carry_out(attack).split()[0]
        assert observe(attack, world.view).vary and np.mean(inside) > np.mean(outside)
    member = pd.Series(world.member, index=world.people.ids)
    table = table_of(world.view, member)
    assert obstacle(on_model, table) is None and obstacle(on_learners, table)


@pytest.mark.parametrize("study", STUDIES)
def test_every_study_has_a_page_that_begins_with_its_command(study: str) -> None:
    page = ROOT / "docs" / "studies" / f"{study}.md"
    assert commands(page)[0][:3] == ["memberscan", "study", study]
    assert page.read_text("utf-8").index("```console") < 120


@pytest.mark.parametrize("page", PAGES, ids=NAMES)
def test_every_link_to_a_file_leads_somewhere(page: Path) -> None:
    text = FENCE.sub("", page.read_text("utf-8"))
    targets = re.findall(r"\]\(([^)#]+)[^)]*\)|(?:src|srcset)=\"([^\"]+)\"", text)
    for target in ("".join(pair) for pair in targets):
        if not target.startswith(("http", "mailto")):
            assert (page.parent / target).exists(), target


def test_every_page_is_in_the_navigation_once() -> None:
    docs = ROOT / "docs"
    named: list[Path] = []
    for page in (page for page in PAGES if docs in page.parents):
        trees = re.findall(r"^```\{toctree\}\n(.*?)^```", page.read_text("utf-8"), re.MULTILINE | re.DOTALL)
        lines = [line for tree in trees for line in tree.splitlines()]
        named += [page.parent / f"{line}.md" for line in lines if line and not line.startswith(":")]
    pages = [page for page in PAGES if docs in page.parents and page != docs / "index.md"]
    assert sorted(named) == sorted(pages)


def test_no_page_calls_a_model_safe() -> None:
    for page in PAGES:
        prose = page.read_text("utf-8").replace("“safe”", "").replace("called safe", "")
        assert not re.search(r"\bsafe\b", prose), page


def test_the_citation_file_agrees_with_the_package() -> None:
    text = (ROOT / "CITATION.cff").read_text("utf-8")
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    assert "cff-version: 1.2.0" in text
    assert f"version: {memberscan.__version__}\n" in text
    assert f"license: {project['license']}\n" in text
    assert "arXiv:2105.02866" in text


def test_errors_named_in_the_documentation_have_the_exit_codes_it_gives() -> None:
    assert {error.exit_code for error in all_errors(MemberscanError)} == {2, 3}


def all_errors(kind: type[MemberscanError]) -> Iterator[type[MemberscanError]]:
    yield kind
    for child in kind.__subclasses__():
        yield from all_errors(child)
