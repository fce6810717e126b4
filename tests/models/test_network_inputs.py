"""Networks that take covariates beside the image, from the cohort to the audit."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import save_file
from torch import Tensor, nn

from memberscan import audit, import_run
from memberscan.cohort import Cohort
from memberscan.cohort.beside import with_covariates
from memberscan.errors import BadInputError, ModelError
from memberscan.models.gradients import capture, parameter_layers
from memberscan.models.inputs import as_inputs, batches, predict_scans
from memberscan.models.network_inputs import NetworkInputs, parse_codes
from memberscan.runs import Role, Roles, Run
from memberscan.threat import Access, ThreatModel

PEOPLE, GRID = 60, (7, 8, 9)
MODEL, PREDICTOR = f"{__name__}:network", f"{__name__}:by_hand"
TAKEN = ("image", "sex", "teeth")
CODES = {"sex": {"F": -1.0, "M": 1.0}}


class Both(nn.Module):
    """A network that takes two numbers beside the image."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv3d(1, 4, 3)
        self.hidden = nn.Linear(6, 8)
        self.head = nn.Linear(8, 1)

    def forward(self, image: Tensor, sex: Tensor, teeth: Tensor) -> Tensor:
        pooled = self.conv(image).relu().mean((2, 3, 4))
        joined = torch.cat([pooled, sex, teeth / 32], dim=1)
        return 60 + 10 * self.head(torch.tanh(self.hidden(joined))).squeeze(1)


def network() -> nn.Module:
    torch.manual_seed(0)
    return Both()


def by_hand(image: np.ndarray, sex: np.ndarray, teeth: np.ndarray) -> np.ndarray:
    return 60 + image.mean((1, 2, 3, 4)) + sex[:, 0] + teeth[:, 0] / 32


@pytest.fixture(scope="module")
def cohort(tmp_path_factory: pytest.TempPathFactory) -> Cohort:
    rng = np.random.default_rng(0)
    people = pd.DataFrame({"sex": rng.choice(["F", "M"], PEOPLE), "teeth": rng.integers(20, 33, PEOPLE)})
    return Cohort.from_arrays(
        rng.normal(size=(PEOPLE, *GRID)),
        tmp_path_factory.mktemp("beside") / "cohort",
        subjects=[f"p{n:02d}" for n in range(PEOPLE)],
        ages=rng.uniform(40, 80, PEOPLE).round(1),
        covariates=people,
    )


@pytest.fixture(scope="module")
def roles(cohort: Cohort) -> Roles:
    return Roles({name: (Role.MEMBER, Role.NONMEMBER)[n % 2] for n, name in enumerate(cohort.subjects)}, {})


def imported(cohort: Cohort, roles: Roles, path: Path, **options: object) -> Run:
    weights = path.parent / "weights.safetensors"
    save_file(network().state_dict(), weights)
    given = {"inputs": TAKEN, "codes": CODES} | options
    return import_run(path, cohort=cohort, model=MODEL, roles=roles, weights=weights, **given)


def test_each_argument_is_what_the_cohort_holds(cohort: Cohort) -> None:
    scans = cohort.scans.index.tolist()[::-7]
    packed = as_inputs(NetworkInputs(TAKEN, CODES).of(cohort), scans)
    image, sex, teeth = NetworkInputs(TAKEN, CODES).apart(packed)
    torch.testing.assert_close(image, as_inputs(cohort, scans), rtol=0, atol=0)
    known = cohort.scans.loc[scans]
    assert sex.tolist() == [[{"F": -1.0, "M": 1.0}[level]] for level in known["sex"]]
    assert teeth.tolist() == [[number] for number in known["teeth"]]


@given(st.permutations(("image", "a", "b", "c")), st.sampled_from([(5,), (2, 3, 4, 5), (1, 7, 8, 9)]))
def test_the_order_is_that_of_forward(names: list[str], shape: tuple[int, ...]) -> None:
    values = {name: float(n) for n, name in enumerate(("a", "b", "c"), 1)}
    taken = NetworkInputs(tuple(names), {})
    parts = [torch.full((2, 1, *shape[1:]), values[name]) for name in taken.covariates]
    image = torch.randn(2, *shape)
    for name, given_ in zip(names, taken.apart(torch.cat([image, *parts], dim=1)), strict=True):
        expected = image if name == "image" else torch.full((2, 1), values[name])
        torch.testing.assert_close(given_, expected, rtol=0, atol=0)


@pytest.mark.parametrize("channels", [0, 2])
def test_images_with_channels_and_rows_of_features_get_more_of_them(tmp_path: Path, channels: int) -> None:
    shape = (4, channels, *GRID) if channels else (4, *GRID)
    made = Cohort.from_arrays(
        np.random.default_rng(1).normal(size=shape), tmp_path / "c", subjects=list("abcd"),
        ages=[40, 50, 60, 70], covariates=pd.DataFrame({"dose": [1.0, 2.0, 3.0, 4.0]}),
    )  # fmt: skip
    more = with_covariates(made, ["dose"], {})
    assert more.shape == (max(channels, 1) + 1, *GRID)
    assert more.read(["d"]).shape == (1, *more.shape)
    assert more.fingerprint == made.fingerprint


def test_of_a_table_covariates_are_more_columns(tmp_path: Path) -> None:
    rows = pd.DataFrame(
        {"id": list("abcd"), "age": [40, 50, 60, 70], "x": [0.5, 1.5, 2.5, 3.5], "sex": list("FMFM")}
    )
    rows.to_csv(tmp_path / "t.csv", index=False)
    made = Cohort.from_table(tmp_path / "t.csv", tmp_path / "c", subject="id", age="age", features=["x"])
    more = with_covariates(made, ["sex"], {"sex": {"F": 0, "M": 1}})
    scans = made.scans.index[made.scans["subject_id"] == "d"].tolist()
    assert more.shape == (2,)
    assert more.read(scans).tolist() == [[3.5, 1.0]]
    image, sex = NetworkInputs(("image", "sex"), {}).apart(torch.from_numpy(more.read(scans)))
    assert (image.tolist(), sex.tolist()) == ([[3.5]], [[1.0]])


def test_an_imported_run_predicts_what_the_network_does(cohort: Cohort, roles: Roles, tmp_path: Path) -> None:
    run = imported(cohort, roles, tmp_path / "run")
    scans = cohort.scans.index.tolist()
    again = Run.open(run.path, model=MODEL)
    assert again.spec == run.spec
    found = predict_scans(again.load(), again.cohort(), scans)[:, 0]
    known = cohort.scans.loc[scans]
    sex = torch.tensor(known["sex"].map(CODES["sex"]).to_numpy(np.float32))[:, None]
    teeth = torch.tensor(known["teeth"].to_numpy(np.float32))[:, None]
    with torch.no_grad():
        expected = network()(as_inputs(cohort, scans), sex, teeth)
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_gradients_of_each_scan_are_autograd_s(cohort: Cohort, roles: Roles, tmp_path: Path) -> None:
    run = imported(cohort, roles, tmp_path / "run")
    model, data = run.load(), run.cohort()
    ((inputs, ages),) = batches(data, data.scans.index.tolist()[:5], 5)
    layers = parameter_layers(model)
    assert layers == ["conv", "hidden", "head"]
    found = capture(model, inputs, ages, layers=layers).gradients
    for n in range(5):
        model.zero_grad()
        ((model(inputs[n : n + 1]) - ages[n]) ** 2).sum().backward()
        for layer in layers:
            parts = [parameter.grad.flatten() for parameter in model.get_submodule(layer).parameters()]
            torch.testing.assert_close(found[layer][n], torch.cat(parts), rtol=1e-4, atol=1e-3)


def test_it_is_audited_with_its_weights(cohort: Cohort, roles: Roles, tmp_path: Path) -> None:
    run = imported(cohort, roles, tmp_path / "run")
    result = audit(run.path, threat=ThreatModel(access=Access.WEIGHTS), model=MODEL)
    tried = {finding["attack"] for finding in result.content["findings"]}
    assert {"error", "gradient-magnitude", "gradient:conv1", "gradient:output"} <= tried


def test_a_predictor_gets_them_too(cohort: Cohort, roles: Roles, tmp_path: Path) -> None:
    run = import_run(
        tmp_path / "run", cohort=cohort, predictor=PREDICTOR, roles=roles, inputs=TAKEN, codes=CODES
    )
    scans = cohort.scans.index.tolist()[:4]
    found = predict_scans(run.load(), run.cohort(), scans)[:, 0]
    known = cohort.scans.loc[scans]
    expected = 60 + cohort.read(scans).mean((1, 2, 3)) + known["sex"].map(CODES["sex"]) + known["teeth"] / 32
    np.testing.assert_allclose(found, expected, rtol=1e-6)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"inputs": ("image",), "codes": {}}, r"name what its forward\(\) takes beside the image"),
        ({"inputs": ("image", "sex", "weight")}, "'weight' beside the image, but that is no covariate"),
        ({"codes": {}}, r"'sex' is text; .*--codes sex:F=0,M=1"),
        ({"codes": {"sex": {"F": 0}}}, "gives no number for 'sex' = 'M'"),
        ({"inputs": ("image", "sex"), "codes": {"teeth": {"1": 1}}}, "the network does not take it"),
        ({"inputs": ("image", "age"), "codes": {}}, "what the network predicts"),
        ({"inputs": ("sex", "teeth")}, "name the image once"),
        ({"inputs": ("image", "sex", "sex")}, "each covariate once"),
        ({"inputs": ("image", "")}, "name the image once"),
    ],
)
def test_what_does_not_fit_is_refused(
    cohort: Cohort, roles: Roles, tmp_path: Path, options: dict[str, object], message: str
) -> None:
    with pytest.raises((ModelError, BadInputError), match=message):
        imported(cohort, roles, tmp_path / "run", **options)
    assert not (tmp_path / "run").exists()


def test_errors_name_the_shapes_of_all_arguments(cohort: Cohort, roles: Roles, tmp_path: Path) -> None:
    with pytest.raises(
        ModelError, match=r"enters as \(n, 1\), \(n, 1, 7, 8, 9\), \(n, 1\), and predictions leave"
    ):
        imported(cohort, roles, tmp_path / "run", inputs=("sex", "image", "teeth"))


def test_networks_of_memberscan_take_the_image_alone(cohort: Cohort, roles: Roles, tmp_path: Path) -> None:
    save_file({}, tmp_path / "w.safetensors")
    with pytest.raises(ModelError, match="takes the image alone"):
        import_run(
            tmp_path / "run", cohort=cohort, model="cnn3d", roles=roles, weights=tmp_path / "w.safetensors",
            inputs=("image", "teeth"),
        )  # fmt: skip


def test_an_unknown_value_is_refused_and_the_scan_named(tmp_path: Path) -> None:
    made = Cohort.from_arrays(
        np.random.default_rng(1).normal(size=(3, *GRID)), tmp_path / "c", subjects=list("abc"),
        ages=[40, 50, 60], covariates=pd.DataFrame({"dose": [1.0, None, 3.0]}),
    )  # fmt: skip
    more = with_covariates(made, ["dose"], {})
    scans = made.scans.index.tolist()
    assert len(more.read([scans[0], scans[2]])) == 2
    with pytest.raises(
        BadInputError, match=f"'dose' beside the image, but it is unknown for the scan '{scans[1]}'"
    ):
        more.read(scans)


@pytest.mark.parametrize(
    ("texts", "codes"),
    [
        (["sex:F=0,M=1"], {"sex": {"F": 0.0, "M": 1.0}}),
        (["site:a=b=2", "sex:1=0,2=1"], {"site": {"a=b": 2.0}, "sex": {"1": 0.0, "2": 1.0}}),
    ],
)
def test_codes_as_written(texts: list[str], codes: dict[str, dict[str, float]]) -> None:
    assert parse_codes(texts) == codes


@pytest.mark.parametrize(
    "texts",
    [["sex"], ["sex:"], ["sex:F"], ["sex:F=x"], [":F=1"], ["s:F=0", "s:F=1"], ["s:F=0,F=1"], ["s:=1"]],
)
def test_codes_that_are_not_understood(texts: list[str]) -> None:
    with pytest.raises(ModelError, match="sex:F=0,M=1"):
        parse_codes(texts)


def test_codes_of_a_column_of_numbers_are_written_as_people_do(tmp_path: Path) -> None:
    made = Cohort.from_arrays(
        np.random.default_rng(1).normal(size=(3, *GRID)), tmp_path / "c", subjects=list("abc"),
        ages=[40, 50, 60], covariates=pd.DataFrame({"sex": [1.0, 2.0, 1.0]}),
    )  # fmt: skip
    assert with_covariates(made, ["sex"], parse_codes(["sex:1=0,2=1"])).beside["sex"].tolist() == [
        0.0,
        1.0,
        0.0,
    ]
