"""What a deployed federation's parties prepare: the app folder and its settings, and a site's roles."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from memberscan.cohort import Cohort
from memberscan.errors import BadInputError, OutputConflictError, RolesError
from memberscan.federation import deploy
from memberscan.federation.run_config import settings_of
from memberscan.federation.settings import Settings
from memberscan.runs import Role, Roles
from memberscan.training import TrainingConfig

ODD = "a 'path' with \"quotes\", \\ and é"


def settings(**changes: object) -> Settings:
    return Settings("mlp", training=TrainingConfig(epochs=3), rounds=2, **changes)  # type: ignore[arg-type]


def config_of(app: Path) -> dict[str, object]:
    return dict(tomllib.loads((app / "pyproject.toml").read_text())["tool"]["flwr"]["app"]["config"])


@given(
    model=st.sampled_from(["mlp", "cnn3d", "slice-mean"]),
    options=st.fixed_dictionaries(
        {}, optional={"width": st.integers(1, 512), "dropout": st.floats(0.01, 0.9)}
    ),
    epochs=st.integers(1, 100),
    rate=st.none() | st.floats(1e-12, 1e3),
    optimizer=st.sampled_from(["adam", "sgd"]),
    precision=st.sampled_from(["fp32", "bf16"]),
    decay=st.floats(0, 1e3),
    rounds=st.integers(1, 1000),
    timeout=st.floats(1e-3, 1e7),
    seed=st.integers(0, 2**31),
)
def test_the_servers_app_reads_the_settings_that_were_written(
    tmp_path_factory: pytest.TempPathFactory,
    model: str,
    options: dict[str, float],
    epochs: int,
    rate: float | None,
    optimizer: Literal["adam", "sgd"],
    precision: Literal["fp32", "bf16"],
    decay: float,
    rounds: int,
    timeout: float,
    seed: int,
) -> None:
    training = TrainingConfig(
        epochs=epochs,
        learning_rate=rate,
        batch_size=5,
        optimizer=optimizer,
        precision=precision,
        weight_decay=decay,
        seed=seed,
    )
    written = Settings(
        model, options, training, rounds=rounds, min_learners=3, timeout=timeout, everyone_keeps=True
    )
    app = tmp_path_factory.mktemp("app")
    deploy.init(app, written, run=Path(ODD), learners=4)
    config = config_of(app)
    assert settings_of(config) == written  # type: ignore[arg-type]
    assert config["learners"] == 4
    assert config["run"] == str(Path.cwd() / ODD)


@pytest.mark.parametrize("odd", [{"epochs": 3}, {"device": "cpu"}, {"learning_rate": 0.1}])
def test_a_key_that_no_setting_has_is_not_left_away(tmp_path: Path, odd: dict[str, float]) -> None:
    deploy.init(tmp_path / "app", settings(), run=tmp_path / "run", learners=2)
    with pytest.raises(BadInputError, match=f"{next(iter(odd))!r}, which is unknown; it can have run, model"):
        settings_of(config_of(tmp_path / "app") | odd)  # type: ignore[arg-type]


def test_encrypted_settings_name_the_public_key_by_its_whole_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    deploy.init(
        tmp_path / "app", settings(secure="ckks"), run=Path("run"), learners=2, public=Path("public.ckks")
    )
    config = config_of(tmp_path / "app")
    assert config["public"] == str(tmp_path / "public.ckks")
    assert settings_of(config).secure == "ckks"  # type: ignore[arg-type]


def test_the_readme_names_the_app_and_the_transcript(tmp_path: Path) -> None:
    deploy.init(tmp_path / "our app", settings(), run=tmp_path / "run", learners=2)
    text = (tmp_path / "our app" / "README.md").read_text()
    assert "flwr run 'our app' consortium" in text
    assert str(tmp_path / "run" / "rounds") in text
    sent = settings_of(config_of(tmp_path / "our app"))  # type: ignore[arg-type]
    assert f'settings="{sent.digest}"' in text


def test_what_every_site_would_refuse_is_not_written(tmp_path: Path) -> None:
    long = Settings("mlp", training=TrainingConfig(epochs=1001), rounds=2)
    with pytest.raises(BadInputError, match=r"training\.epochs: .*less than or equal to 1000"):
        deploy.init(tmp_path / "app", long, run=tmp_path / "run", learners=2)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("content", ["", "something else"])
def test_a_folder_that_holds_anything_is_left_alone(tmp_path: Path, content: str) -> None:
    (tmp_path / "notes.txt").write_text(content)
    with pytest.raises(OutputConflictError, match="not an empty folder"):
        deploy.init(tmp_path, settings(), run=tmp_path / "run", learners=2)
    with pytest.raises(OutputConflictError, match="not an empty folder"):
        deploy.init(tmp_path / "notes.txt", settings(), run=tmp_path / "run", learners=2)
    assert [p.name for p in tmp_path.iterdir()] == ["notes.txt"]


def test_a_federation_that_cannot_begin_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    with pytest.raises(BadInputError, match="'resnet' cannot be federated"):
        deploy.init(tmp_path / "app", Settings("resnet"), run=tmp_path, learners=2)
    planted = TrainingConfig(defence="site-noise:noise=1,canaries=100")
    with pytest.raises(BadInputError, match="keeps none; leave canaries out"):
        deploy.init(tmp_path / "app", Settings("mlp", training=planted), run=tmp_path, learners=2)
    with pytest.raises(BadInputError, match="learners is 2, but a round needs 3"):
        deploy.init(tmp_path / "app", settings(min_learners=3), run=tmp_path, learners=2)
    assert not list(tmp_path.iterdir())


def test_a_site_holds_out_its_share_and_names_itself_for_the_rest(table: Cohort) -> None:
    roles = deploy.draw_site_roles(table, "site-a", 0.2, 0)
    assert set(roles.of) == set(table.subjects)
    assert len(roles.subjects(Role.NONMEMBER)) == 8
    assert roles.learners == ("site-a",)
    assert roles.members_of("site-a") == roles.subjects(Role.MEMBER)
    assert not roles.learner.keys() & set(roles.subjects(Role.NONMEMBER))
    assert roles == deploy.draw_site_roles(table, "site-a", 0.2, 0)
    assert roles.of != deploy.draw_site_roles(table, "site-b", 0.2, 0).of
    assert roles.of != deploy.draw_site_roles(table, "site-a", 0.2, 1).of


@pytest.mark.parametrize("name", ["", "a/b", "..", "global", "n/a", "nan", "site a"])
def test_a_site_whose_name_the_server_would_refuse_hears_so_at_once(table: Cohort, name: str) -> None:
    with pytest.raises(RolesError, match="cannot name a learner"):
        deploy.draw_site_roles(table, name, 0.2, 0)


@pytest.mark.parametrize("held_out", [0.0, 1.0, -0.1])
def test_a_share_that_is_none_is_refused(table: Cohort, held_out: float) -> None:
    with pytest.raises(BadInputError, match="held_out is"):
        deploy.draw_site_roles(table, "site-a", held_out, 0)


def test_roles_are_written_once_and_never_over_others(table: Cohort, tmp_path: Path) -> None:
    path = tmp_path / "new" / "roles.tsv"
    roles = deploy.draw_site_roles(table, "site-a", 0.2, 0)
    deploy.write_site_roles(path, roles)
    assert Roles.read(path) == roles
    before = path.stat()
    deploy.write_site_roles(path, roles)
    assert path.stat() == before
    with pytest.raises(OutputConflictError, match="holds other roles"):
        deploy.write_site_roles(path, deploy.draw_site_roles(table, "site-a", 0.3, 0))
    assert Roles.read(path) == roles


def test_two_draws_at_once_do_not_overwrite_each_other(
    table: Cohort, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, seen = tmp_path / "roles.tsv", []
    write = Roles.write

    def other_first(roles: Roles, *arguments: Any, **options: Any) -> None:
        """Let another process draw between the moment that this one looks and the moment that it writes."""
        if not seen:
            seen.append(deploy.draw_site_roles(table, "site-a", 0.2))
            write(seen[0], path)
        write(roles, *arguments, **options)

    monkeypatch.setattr(Roles, "write", other_first)
    assert deploy.site_roles(path, table, "site-a", 0.2) == seen[0] == Roles.read(path)


def test_a_site_draws_in_secret_and_keeps_what_it_drew(table: Cohort, tmp_path: Path) -> None:
    path = tmp_path / "roles.tsv"
    drawn = deploy.site_roles(path, table, "site-a", 0.2)
    assert drawn != deploy.draw_site_roles(table, "site-a", 0.2)
    assert deploy.site_roles(path, table, "site-a", 0.2) == drawn == Roles.read(path)
    for learner, held_out in (("site-b", 0.2), ("site-a", 0.3)):
        with pytest.raises(OutputConflictError, match="other roles"):
            deploy.site_roles(path, table, learner, held_out)
