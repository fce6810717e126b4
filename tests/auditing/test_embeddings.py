"""Attacks on embeddings in a whole audit: they run where they are named and the weights are seen."""

from __future__ import annotations

from pathlib import Path

from memberscan import Access, ThreatModel, audit
from memberscan.runs import Run

from .conftest import require_valid

ON_EMBEDDINGS = ["embedding-similarity", "embedding-similarity:zero-knowledge", "embedding-norm"]


def test_they_run_on_the_embedding_of_a_model_with_its_head(run: Run, tmp_path: Path):
    threat = ThreatModel(Access.WEIGHTS, repeats=2)
    content = dict(audit(run.path, tmp_path / "audit", threat=threat, attacks=ON_EMBEDDINGS).content)
    require_valid(content)
    assert [finding["attack"] for finding in content["findings"]] == ON_EMBEDDINGS
    assert content["not_run"] == []
    signals = tmp_path / "audit" / "signals"
    assert (signals / "activations-of-copies" / "activation.npy").is_file()


def test_without_the_weights_they_are_listed_as_not_run(run: Run, tmp_path: Path):
    attacks = ["error:zero-knowledge", *ON_EMBEDDINGS]
    content = dict(
        audit(run.path, tmp_path / "audit", threat=ThreatModel(repeats=1), attacks=attacks).content
    )
    assert [finding["attack"] for finding in content["findings"]] == attacks[:1]
    assert [entry["attack"] for entry in content["not_run"]] == ON_EMBEDDINGS
    assert all("needs access to weights" in entry["reason"] for entry in content["not_run"])
