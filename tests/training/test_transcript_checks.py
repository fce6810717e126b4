"""What makes no sense in a transcript is found; what only looks odd, as other aggregation does, passes."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from memberscan.errors import TranscriptError
from memberscan.training.transcript_checks import AllDifferencesError, ModelSummary, faulty_models

GUESS = 8.0
Rounds = list[dict[str, np.ndarray]]
Errors = dict[tuple[int, str], float]
LEARNERS = ("a", "b", "c", "d")


def history(
    seed: int = 0,
    *,
    rounds: int = 4,
    width: int = 400,
    step: float = 0.05,
    rule: Callable[[np.ndarray, np.ndarray, dict], np.ndarray] | None = None,
    absent: tuple[tuple[int, str], ...] = (),
) -> Rounds:
    """Return parameters of a federation: learners drift from the global model, and a rule makes the next."""
    rng = np.random.default_rng(seed)
    found: Rounds = [{"global": rng.normal(size=width).astype(np.float32)}]
    weights, memory = rng.dirichlet(np.ones(len(LEARNERS))), {}
    for t in range(1, rounds + 1):
        start = found[-1]["global"]
        common = rng.normal(size=width)
        models = {
            name: (start + step / t * (common + rng.normal(size=width))).astype(np.float32)
            for name in LEARNERS
            if (t, name) not in absent
        }
        share = np.array([w for name, w in zip(LEARNERS, weights, strict=True) if name in models])
        mean = np.average(np.stack(list(models.values())), axis=0, weights=share)
        end = mean if rule is None else rule(start, mean, memory)
        found.append({**models, "global": end.astype(np.float32)})
    return found


def summaries(rounds: Rounds, errors: Errors | None = None) -> list[dict[str, ModelSummary]]:
    def summarise(t: int, name: str, values: np.ndarray) -> ModelSummary:
        error = (errors or {}).get((t, name), 6.0)
        return ModelSummary(f"{t}/{name}", values.tobytes().hex(), values.astype(float), error)

    return [{n: summarise(t, n, values) for n, values in models.items()} for t, models in enumerate(rounds)]


def found(rounds: Rounds, errors: Errors | None = None) -> dict[int, dict[str, str]]:
    return {t: dict(row) for t, row in faulty_models(summaries(rounds, errors), GUESS).items()}


def momentum(start: np.ndarray, mean: np.ndarray, memory: dict) -> np.ndarray:
    memory["v"] = 0.9 * memory.get("v", 0) + (mean - start)
    return start + memory["v"]


def adam(start: np.ndarray, mean: np.ndarray, memory: dict) -> np.ndarray:
    memory["m"] = 0.9 * memory.get("m", 0) + 0.1 * (mean - start)
    memory["v"] = 0.99 * memory.get("v", 0) + 0.01 * (mean - start) ** 2
    return start + 0.1 * memory["m"] / (np.sqrt(memory["v"]) + 1e-3)


def personal(start: np.ndarray, mean: np.ndarray, memory: dict) -> np.ndarray:
    return np.where(np.arange(len(start)) < len(start) // 4, start, mean)


def noisy(start: np.ndarray, mean: np.ndarray, memory: dict) -> np.ndarray:
    rng = memory.setdefault("rng", np.random.default_rng(99))
    return mean + 0.01 * rng.normal(size=len(mean))


RULES = {
    "mean": None,
    "half a step": lambda start, mean, memory: start + 0.5 * (mean - start),
    "momentum": momentum,
    "adam": adam,
    "layers of one's own": personal,
    "noise": noisy,
}


@pytest.mark.parametrize("step", [1e-4, 0.05, 2.0])
@pytest.mark.parametrize("rule", RULES)
def test_every_rule_of_aggregation_passes(rule: str, step: float) -> None:
    for seed in range(5):
        for width in (30, 400):
            rounds = history(seed, rule=RULES[rule], step=step, width=width)
            assert found(rounds) == {}
            assert found(rounds[:2]) == {}
            alone = [{n: v for n, v in models.items() if n in ("a", "global")} for models in rounds]
            assert found(alone) == {}


def test_learners_that_come_and_go_pass() -> None:
    absent = ((1, "a"), (2, "a"), (2, "b"), (2, "c"), (4, "d"))
    assert found(history(absent=absent)) == {}
    lone = [{"global": models["global"], "a": models["global"]} for models in history()]
    assert found([{"global": lone[0]["global"]}, *lone[1:]]) == {}


def test_predictions_that_are_no_ages_leave_a_learner_out() -> None:
    errors = {(2, "b"): np.nan, (3, "c"): 400.0, (4, "d"): 29.0}
    reasons = found(history(), errors)
    assert {t: list(row) for t, row in reasons.items()} == {2: ["b"], 3: ["c"]}
    assert reasons[2]["b"] == "its model predicts NaN or infinite numbers"
    assert "is 400 off on average, but the model before it was 6 off, and" in reasons[3]["c"]


def test_an_untrained_model_is_no_standard() -> None:
    assert found(history(), {(0, "global"): 62.0, (1, "a"): 60.0, (1, "global"): 55.0}) == {}


@pytest.mark.parametrize(
    ("errors", "words"),
    [
        ({(0, "global"): np.nan}, "0/global predicts NaN"),
        ({(3, "global"): np.nan}, "3/global predicts NaN"),
        ({(3, "global"): 90.0}, "3/global is 90 off"),
    ],
)
def test_global_models_that_predict_no_ages_are_refused(errors: Errors, words: str) -> None:
    with pytest.raises(TranscriptError, match=words):
        found(history(), errors)


def test_files_that_are_no_training_are_left_out() -> None:
    rounds = history()
    rounds[2]["a"] = rounds[1]["global"]
    rounds[3]["b"] = rounds[1]["global"]
    rounds[4]["c"] = rounds[2]["c"]
    rounds[3]["d"] = rounds[3]["a"]
    reasons = found(rounds)
    assert {t: sorted(row) for t, row in reasons.items()} == {2: ["a"], 3: ["a", "b", "d"], 4: ["c"]}
    assert reasons[2]["a"] == reasons[3]["b"] == "its model is the global model of round 1: it did not train"
    assert reasons[4]["c"] == "its model is the same as its own of round 2"
    assert reasons[3]["a"] == "its model is the same as d's of round 3"


def test_a_learner_that_outweighs_all_others_is_the_global_model_and_stays() -> None:
    rounds = history()
    for models in rounds[1:]:
        models["a"] = models["global"]
    assert found(rounds) == {}


def differences(rounds: Rounds, *names: str) -> Rounds:
    return [
        {n: v - rounds[t - 1]["global"] if t and n in names else v for n, v in models.items()}
        for t, models in enumerate(rounds)
    ]


@pytest.mark.parametrize("step", [0.01, 0.3, 2.0])
@pytest.mark.parametrize("rule", ["mean", "half a step"])
def test_differences_of_all_learners_are_refused(rule: str, step: float) -> None:
    for seed in range(3):
        rounds = differences(history(seed, step=step, rule=RULES[rule]), *LEARNERS)
        errors = {(t, n): 60.0 for t in range(5) for n in LEARNERS}
        with pytest.raises(
            AllDifferencesError, match=r"1/a holds differences from the global model.*all learners"
        ):
            found(rounds, errors)


def test_differences_of_one_learner_leave_it_out() -> None:
    errors = {(t, "b"): 60.0 for t in range(5)}
    reasons = found(differences(history(), "b"), errors)
    assert {t: list(row) for t, row in reasons.items()} == {t: ["b"] for t in (1, 2, 3, 4)}
    assert "holds differences" in reasons[1]["b"]


def test_a_global_model_that_is_a_difference_is_refused() -> None:
    rounds = differences(history(), "global")
    with pytest.raises(TranscriptError, match="1/global holds differences"):
        found(rounds, {(1, "global"): 25.0})


def test_training_that_makes_parameters_small_passes() -> None:
    rounds = history(rounds=1)
    assert found([rounds[0], {name: 0.3 * values for name, values in rounds[1].items()}]) == {}


def renumbered(rounds: Rounds, late: int) -> Rounds:
    """Return a history whose global models stand one round too late, or too early."""
    ends = [models["global"] for models in rounds]
    moved = [
        {**models, "global": ends[t - late]} for t, models in enumerate(rounds) if 1 <= t < len(ends) + late
    ]
    return [rounds[0], *moved]


@pytest.mark.parametrize("rounds", [3, 5])
@pytest.mark.parametrize("step", [0.001, 0.05, 2.0])
@pytest.mark.parametrize(("late", "words"), [(1, "round before.*too high"), (-1, "round after.*too low")])
def test_global_models_of_another_round_are_refused(late: int, words: str, step: float, rounds: int) -> None:
    with pytest.raises(TranscriptError, match=words):
        found(renumbered(history(step=step, rounds=rounds), late))


def test_a_global_model_that_never_changes_is_refused() -> None:
    for rounds in (history(rounds=1), history()):
        still = [{**models, "global": rounds[0]["global"]} for models in rounds]
        with pytest.raises(TranscriptError, match="all later ones are the initial model"):
            found(still)
    nobody = [dict.fromkeys(models, rounds[0]["global"]) for models in rounds]
    assert {t: sorted(row) for t, row in found(nobody).items()} == {t: list(LEARNERS) for t in range(1, 5)}
