"""A consortium's own Flower app, deployed over TLS and recorded by three lines, imported and audited."""

from __future__ import annotations

import json
import os
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from memberscan import ThreatModel, audit, import_run
from memberscan.cohort import Cohort
from memberscan.runs import Role, Roles, Transcript
from memberscan.threat import Attacker

from .deployment import Deployment, deployment, write_key

APP = Path(__file__).parent / "age_app"
SITES = ("site-a", "site-b")
PEOPLE, HELD_OUT, GRID = 40, 12, (7, 8, 9)

pytestmark = [
    pytest.mark.deployment,
    pytest.mark.skipif(not os.environ.get("MEMBERSCAN_SLOW_TESTS"), reason="make test-all runs it"),
]


def people(seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Return images and ages of one site's people."""
    rng = np.random.default_rng(seed)
    ages = rng.uniform(45, 80, PEOPLE).round(1)
    return (rng.normal(size=(PEOPLE, *GRID)) + ages[:, None, None, None] / 40).astype(np.float32), ages


def test_an_app_of_others_is_recorded_deployed_and_audited(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = {site: people(seed) for seed, site in enumerate(SITES)}
    with deployment(tmp_path) as made:
        prepare(made, data)
        made.wait("both sites are there", lambda: made.online() == len(SITES), every=3)
        run = made.start("server", made.words("flwr run", "server"), name="flwr run")
        made.wait("the run ended", lambda: run.poll() is not None, "server", *SITES)
        runs = json.loads(made.call("server", [*made.words("flwr list", "server"), "--format", "json"]))[
            "runs"
        ]
        if [each["status"] for each in runs] != ["finished:completed"]:
            made.fail(f"the runs are {runs}")
    kept = tmp_path / "server" / "transcript"
    the_transcript_is_that_of_the_app(Transcript.open(kept))
    cohort = Cohort.from_arrays(
        np.concatenate([images for images, _ in data.values()]),
        tmp_path / "cohort",
        subjects=[f"{site} {n}" for site in SITES for n in range(PEOPLE)],
        ages=np.concatenate([ages for _, ages in data.values()]).tolist(),
    )
    monkeypatch.syspath_prepend(APP)
    model = "age_app.task:network"
    imported = import_run(tmp_path / "run", cohort=cohort, model=model, roles=roles(), transcript=kept)
    for attacker in (Attacker.SERVER, Attacker.LEARNER):
        result = audit(imported.path, threat=ThreatModel(attacker=attacker, repeats=1), model=model)
        assert len(result.findings) > 0
        assert not result.content["target"]["randomised"]


def prepare(made: Deployment, data: dict[str, tuple[np.ndarray, np.ndarray]]) -> None:
    """Give each machine its files, as the how-to does, and start the SuperLink and the SuperNodes."""
    app = made.folder / "server" / "app"
    shutil.copytree(APP, app, ignore=shutil.ignore_patterns("__pycache__"))
    settings = app / "pyproject.toml"
    settings.write_text(
        settings.read_text().replace(
            'transcript = ""', f'transcript = "{made.folder / "server" / "transcript"}"'
        )
    )
    for site, (images, ages) in data.items():
        (made.folder / site).mkdir()
        shutil.copy(made.folder / "server" / "ca.crt", made.folder / site)
        write_key(made.folder / site, site)
        shutil.copy(made.folder / site / f"{site}.key.pub", made.folder / "server")
        members = slice(HELD_OUT, None)
        np.savez(made.folder / site / "data.npz", images=images[members, None], ages=ages[members])
    made.superlink()
    for site in data:
        register = made.words("flwr supernode register", "server")
        made.call("server", [word.replace("site-a", site) for word in register])
        made.supernode(site, config=f'data="{made.folder / site / "data.npz"}" site="{site}"')


def roles() -> Roles:
    of, learner = {}, {}
    for site in SITES:
        for n in range(PEOPLE):
            of[f"{site} {n}"] = Role.NONMEMBER if n < HELD_OUT else Role.MEMBER
            if n >= HELD_OUT:
                learner[f"{site} {n}"] = site
    return Roles(of, learner)


def the_transcript_is_that_of_the_app(transcript: Transcript) -> None:
    assert transcript.learners == SITES
    sys.path.insert(0, str(APP))
    try:
        from age_app.task import network  # type: ignore[import-not-found]
    finally:
        sys.path.remove(str(APP))
    torch.manual_seed(0)
    for name, value in network().state_dict().items():
        torch.testing.assert_close(transcript.global_model(0)[name], value)
    for entry in transcript.rounds:
        assert {site: part.samples for site, part in entry.took_part.items()} == dict.fromkeys(
            SITES, PEOPLE - HELD_OUT
        )
        models = [transcript.learner_model(entry.number, site) for site in SITES]
        for name, value in transcript.global_model(entry.number).items():
            if value.is_floating_point():
                mean = (models[0][name].double() + models[1][name].double()) / 2
                torch.testing.assert_close(value.double(), mean, rtol=1e-4, atol=1e-5)
