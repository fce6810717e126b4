"""Defences of the user's own: named as package.module:Class, and run only if the user named them."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from memberscan.cohort import Cohort
from memberscan.defences import allow_own, defence_from, own, own_code, strengths, written_in_full
from memberscan.errors import BadInputError, OutputConflictError, UntrustedCodeError
from memberscan.training import TrainingConfig, train
from memberscan.training.recipes import RunRecipe

LAB = '''
from pathlib import Path
from memberscan.configuration import configuration
from memberscan.defences.defence import Defence

Path(__file__).with_name("executed").touch()


@configuration
class Scale(Defence):
    """Scales the loss's gradient."""

    strengths = ("by=0.5", "by=0.1")
    by: float = 1.0

    def gradients(self, step):
        loss = super().gradients(step)
        for p in step.model.parameters():
            p.grad *= self.by
        return loss


class Hat:
    """No defence."""
'''


@pytest.fixture
def lab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A class in a module that nobody has named yet."""
    name = f"lab_{tmp_path.name.replace('-', '_')}"
    (tmp_path / f"{name}.py").write_text(LAB)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(own, "_allowed", set())
    yield f"{name}:Scale"
    sys.modules.pop(name, None)


def test_a_named_class_is_used_with_its_parameters(lab: str) -> None:
    allow_own(f"{lab}:by=0.5")
    assert written_in_full(f"{lab}:by=0.5") == f"{lab}:by=0.5"
    assert written_in_full(lab) == f"{lab}:by=1.0"
    assert strengths(lab) == [f"{lab}:by=0.5", f"{lab}:by=0.1"]
    assert TrainingConfig(defence=lab).defence == f"{lab}:by=1.0"


def test_what_only_a_file_or_a_call_of_others_names_is_not_imported(lab: str, tmp_path: Path) -> None:
    for use in (written_in_full, defence_from, own_code, lambda text: TrainingConfig(defence=text)):
        with pytest.raises(UntrustedCodeError, match="only a file or a message names it"):
            use(lab)
    assert not (tmp_path / "executed").exists()


def test_bad_classes_are_refused(lab: str) -> None:
    hat, missing = lab.replace("Scale", "Hat"), lab.replace("Scale", "Gone")
    for text, says in ((hat, "is not a defence"), (missing, "cannot import"), (f"{lab}:by=x", "by is 'x'")):
        allow_own(text)
        with pytest.raises(BadInputError, match=says):
            defence_from(text)


def test_a_run_names_the_class_and_repeating_it_asks_the_user_again(
    lab: str, table: Cohort, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    allow_own(lab)
    config = TrainingConfig(epochs=1, device="cpu", defence=lab)
    run = train(table, tmp_path / "run", model="mlp", config=config, seed=1)
    assert list(json.loads((run.path / "request.json").read_text())["defence_code"]) == [lab]
    assert RunRecipe.of(run).config.defence == f"{lab}:by=1.0"
    monkeypatch.setattr(own, "_allowed", set())
    with pytest.raises(UntrustedCodeError):
        RunRecipe.of(run)


def test_a_changed_file_is_noticed(lab: str, table: Cohort, tmp_path: Path) -> None:
    allow_own(lab)
    config = TrainingConfig(epochs=1, device="cpu", defence=lab)
    train(table, tmp_path / "run", model="mlp", config=config, seed=1)
    file = Path(sys.modules[lab.partition(":")[0]].__file__ or "")
    file.write_text(file.read_text() + "\n# another version\n")
    with pytest.raises(OutputConflictError, match="defence code"):
        train(table, tmp_path / "run", model="mlp", config=config, seed=1)
