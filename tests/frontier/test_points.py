"""Points come from a table or from names; each is a recipe that can be trained."""

from __future__ import annotations

from pathlib import Path

import pytest

from memberscan.defences import DEFENCES
from memberscan.errors import BadInputError
from memberscan.frontier.points import Base, Point, read_points
from memberscan.training import TrainingConfig

BASE = Base("cnn3d", TrainingConfig(epochs=40), 0.1)


def written(folder: Path, text: str) -> list[str]:
    (folder / "points.tsv").write_text(text)
    return [str(folder / "points.tsv")]


def test_all_has_the_lines_to_beat_and_every_defence_at_its_strengths() -> None:
    families: dict[str, list[str]] = {}
    del DEFENCES["broken"], DEFENCES["still"]
    for point in read_points([], BASE):
        families.setdefault(point.family, []).append(point.name)
    assert families == {
        "undefended": ["undefended"],
        "early stopping": ["5 epochs", "10 epochs", "20 epochs", "best epoch"],
        "weight decay": ["weight decay 0.01", "weight decay 0.1", "weight decay 1"],
        "dropout": ["dropout 0.2", "dropout 0.5"],
        "noise": ["noise:scale=0.1", "noise:scale=3"],
    }


def test_a_model_without_dropout_has_no_such_points() -> None:
    for model in ("mlp", "lab:network"):
        points = read_points(["dropout"], Base(model, BASE.config, 0.1))
        assert {point.family for point in points} == {"undefended", "early stopping"}


def test_a_table_gives_defences_and_settings(tmp_path: Path) -> None:
    text = (
        "name\tdefence\tsettings\nshort\t\tepochs=4\nboth\tnoise:scale=2+still\twidth=8, learning_rate=0.1\n"
    )
    plain, short, both = read_points(written(tmp_path, text), BASE)
    assert plain == Point("undefended") and short.family == "early stopping"
    assert short.config(BASE.config).epochs == 4 and short.options({"width": 3}) == {"width": 3}
    assert both.family == "noise+still" and both.defence == "noise:scale=2.0+still"
    assert both.config(BASE.config).learning_rate == 0.1 and both.options({"width": 3}) == {"width": 8}


def test_equal_points_are_trained_once() -> None:
    names = [point.name for point in read_points(["noise", "noise:scale=3"], BASE)]
    assert names.count("noise:scale=3") == 1


@pytest.mark.parametrize(
    ("names", "says"),
    [
        (["gloves"], "'gloves' is unknown"),
        (["noise:scale=0"], "scale is '0'; it must be above 0"),
        (["no-such-table.tsv"], "unknown"),
    ],
)
def test_unknown_names_are_refused(names: list[str], says: str) -> None:
    with pytest.raises(BadInputError, match=says):
        read_points(names, BASE)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "empty"),
        ("name\tdefence\tsettings\n", "has no points"),
        ("title\nx\n", "has the columns title; give name, defence, settings"),
        ("name\tsettings\nx\tdepth=3\n", "setting 'depth' is unknown; choose from epochs"),
        ("name\tsettings\nx\tepochs=many\n", "epochs is 'many'; give a int"),
        ("name\tsettings\nx\tepochs=0\n", "point 'x': epochs is 0; at least 1"),
        ("name\tsettings\nx\tepochs\n", "not of the form name=value"),
        ("name\tsettings\nx\tepochs=2\nx\tepochs=3\n", "'x' is given twice"),
        ("name\tdefence\nx\tgloves\n", "point 'x': defence 'gloves' is unknown"),
        (f"name\n{'x' * 81}\n", "write 1 to 80 letters"),
    ],
)
def test_bad_tables_are_refused(tmp_path: Path, text: str, says: str) -> None:
    with pytest.raises(BadInputError, match=says):
        read_points(written(tmp_path, text), BASE)


def test_choosing_an_epoch_needs_people_held_out(tmp_path: Path) -> None:
    path = written(tmp_path, "name\tsettings\nx\tkeep=best\n")
    with pytest.raises(BadInputError, match="add --validation"):
        read_points(path, Base("mlp", BASE.config, 0.0))
    assert "best epoch" not in [p.name for p in read_points(["dropout"], Base("mlp", BASE.config, 0.0))]
