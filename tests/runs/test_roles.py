from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from memberscan.cohort.cells import MISSING
from memberscan.cohort.ids import alike
from memberscan.errors import BadInputError, DataLeakageError, RolesError, TooFewSubjectsError
from memberscan.runs import Role, Roles
from memberscan.runs.names import can_name_a_learner
from memberscan.runs.roles import natural_order

ids = st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=12)


def distinct(people: dict[str, object]) -> bool:
    """Return whether no two ids are probably one person."""
    return not alike(list(people))


ids = ids.map(str.strip).filter(lambda text: text not in MISSING)


@given(
    st.lists(ids, min_size=1, max_size=60, unique=True),
    st.floats(0.01, 0.99),
    st.floats(0, 0.9),
    st.integers(0, 2**32 - 1),
)
def test_every_subject_is_drawn_into_one_role_and_the_shares_are_right(
    subjects: list[str], members: float, validation: float, seed: int
) -> None:
    roles = Roles.draw(subjects, members=members, validation=validation, rng=np.random.default_rng(seed))
    drawn = {role: roles.subjects(role) for role in Role}
    assert list(roles.of) == subjects
    assert sorted(subject for group in drawn.values() for subject in group) == sorted(subjects)
    inside = len(drawn[Role.MEMBER]) + len(drawn[Role.VALIDATION])
    assert abs(inside - members * len(subjects)) <= 0.5
    assert abs(len(drawn[Role.VALIDATION]) - validation * inside) <= 0.5


def test_every_subject_is_as_likely_a_member_as_any_other() -> None:
    subjects = [f"sub-{n}" for n in range(20)]
    rng = np.random.default_rng(0)
    draws = [Roles.draw(subjects, members=0.4, validation=0.25, rng=rng) for _ in range(2000)]
    share = np.mean([[roles.of[s] is Role.MEMBER for s in subjects] for roles in draws], axis=0)
    assert np.abs(share - 0.3).max() < 5 * np.sqrt(0.3 * 0.7 / 2000)


def test_equal_generators_draw_equal_roles_and_others_do_not() -> None:
    def draw(seed: int) -> Roles:
        rng = np.random.default_rng(seed)
        return Roles.draw([f"s{n}" for n in range(40)], members=0.5, validation=0.1, rng=rng)

    assert draw(1) == draw(1) != draw(2)
    assert draw(1).fingerprint == draw(1).fingerprint != draw(2).fingerprint


@pytest.mark.parametrize(
    ("members", "validation"),
    [(0.0, 0.0), (1.0, 0.0), (-1, 0.0), (float("nan"), 0.0), (0.5, 1.0), (0.5, -0.1)],
)
def test_shares_out_of_range_are_errors(members: float, validation: float) -> None:
    with pytest.raises(BadInputError, match="share"):
        Roles.draw(["a", "b"], members=members, validation=validation, rng=np.random.default_rng(0))


@given(st.dictionaries(ids, st.sampled_from(Role), min_size=1, max_size=20).filter(distinct))
def test_roles_survive_the_file_whatever_the_ids(
    tmp_path_factory: pytest.TempPathFactory, of: dict[str, Role]
) -> None:
    path = tmp_path_factory.mktemp("roles") / "roles.tsv"
    Roles(of).write(path)
    assert Roles.read(path) == Roles(of)
    assert path.stat().st_mode & 0o777 == 0o600


@given(st.permutations([("a b", Role.MEMBER), ("c/d", Role.NONMEMBER), ("é", Role.VALIDATION)]))
def test_the_fingerprint_does_not_depend_on_the_order(pairs: list[tuple[str, Role]]) -> None:
    assert Roles(dict(pairs)).fingerprint == Roles(dict(sorted(pairs))).fingerprint


def write(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


def test_a_csv_with_other_columns_and_loose_spelling_is_read(tmp_path: Path) -> None:
    roles = Roles.read(
        write(tmp_path / "r.csv", "site,subject,role\nA,x, Member \nB,y,NON-MEMBER\nB,y,non-member\n")
    )
    assert roles.of == {"x": Role.MEMBER, "y": Role.NONMEMBER}


def test_a_subject_on_two_sides_is_leakage_and_is_named(tmp_path: Path) -> None:
    path = write(tmp_path / "r.tsv", "subject\trole\nsub é\tmember\nb\tmember\nsub é\tnon-member\n")
    with pytest.raises(DataLeakageError, match=r"r\.tsv.*'sub é' is both member and non-member"):
        Roles.read(path)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "subject\trole\na\ttraining\n",
            "unknown role 'training'; use one of member, non-member, validation",
        ),
        ("subject\trole\na\t\n", "unknown role ''"),
        ("id\trole\na\tmember\n", "no column subject"),
        ("name\tside\na\tmember\n", "no column role and subject"),
        ("", "cannot be read as a table"),
        ("subject\tsubject\trole\n", "several columns"),
    ],
)
def test_malformed_files_are_errors_that_name_the_file(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(RolesError, match=rf"r\.tsv.*{message}"):
        Roles.read(write(tmp_path / "r.tsv", text))


def test_a_missing_file_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(RolesError, match="does not exist"):
        Roles.read(tmp_path / "roles.tsv")


def test_roles_follow_the_cohort_and_drop_who_was_excluded() -> None:
    roles = Roles({"c": Role.MEMBER, "lost": Role.MEMBER, "a": Role.NONMEMBER})
    kept = roles.restrict(["a", "b", "c"], absent=["lost"])
    assert list(kept.of.items()) == [("a", Role.NONMEMBER), ("c", Role.MEMBER)]


def test_a_subject_that_the_cohort_never_had_is_an_error_that_shows_both() -> None:
    roles = Roles({f"{n}": Role.MEMBER for n in range(7)})
    with pytest.raises(RolesError, match=r"7 subjects .*'4', \.\.\.\).*\['sub-1', 'sub-2'\]"):
        roles.restrict(["sub-1", "sub-2"])


@pytest.mark.parametrize(
    ("members", "nonmembers", "enough"), [(10, 10, True), (9, 10, False), (50, 9, False)]
)
def test_an_audit_needs_ten_a_side(members: int, nonmembers: int, enough: bool) -> None:
    of = {f"m{n}": Role.MEMBER for n in range(members)} | {f"n{n}": Role.NONMEMBER for n in range(nonmembers)}
    if enough:
        Roles(of).require_both_sides()
    else:
        with pytest.raises(TooFewSubjectsError, match=f"{members} members and {nonmembers} non-members"):
            Roles(of).require_both_sides()


FEDERATED = Roles(
    {"a": Role.MEMBER, "b": Role.NONMEMBER, "c": Role.MEMBER, "d": Role.MEMBER, "e": Role.NONMEMBER},
    {"a": "site-10", "b": "site-3", "c": "site-2", "d": "site-10"},
)


def test_learners_are_those_that_hold_members_in_natural_order() -> None:
    assert FEDERATED.learners == ("site-2", "site-10")
    assert FEDERATED.members_of("site-10") == ["a", "d"]
    assert FEDERATED.members_of("site-3") == []
    assert Roles({"a": Role.MEMBER}).learners == ()


names = st.text(st.sampled_from("ab01-"), min_size=1).filter(can_name_a_learner)


@given(
    st.dictionaries(ids, st.tuples(st.sampled_from(Role), st.none() | names), min_size=1, max_size=12).filter(
        distinct
    )
)
def test_learners_survive_the_file(
    tmp_path_factory: pytest.TempPathFactory, rows: dict[str, tuple[Role, str | None]]
) -> None:
    learner = {subject: name for subject, (_, name) in rows.items() if name is not None}
    roles = Roles({subject: role for subject, (role, _) in rows.items()}, learner)
    path = tmp_path_factory.mktemp("roles") / "roles.tsv"
    roles.write(path)
    again = Roles.read(path)
    assert again == roles
    assert again.fingerprint == roles.fingerprint


def test_the_fingerprint_knows_who_holds_whom_and_not_in_which_order() -> None:
    turned = Roles(dict(reversed(FEDERATED.of.items())), dict(reversed(FEDERATED.learner.items())))
    assert turned.fingerprint == FEDERATED.fingerprint
    elsewhere = Roles(FEDERATED.of, {**FEDERATED.learner, "a": "site-2"})
    assert len({r.fingerprint for r in (FEDERATED, elsewhere, Roles(FEDERATED.of))}) == 3


def test_a_subject_of_two_learners_is_leakage_and_is_named(tmp_path: Path) -> None:
    path = write(tmp_path / "r.tsv", "subject\trole\tlearner\ns\tmember\tA\nt\tmember\tB\ns\tmember\tB\n")
    with pytest.raises(
        DataLeakageError, match=r"r\.tsv: subject 's' is held by both A and B; .* one learner"
    ):
        Roles.read(path)


def test_a_subject_without_a_learner_may_be_written_in_several_ways(tmp_path: Path) -> None:
    text = "subject\trole\tlearner\na\tmember\t A \nb\tnon-member\tn/a\nc\tnon-member\t\nd\tnon-member\tnan\n"
    roles = Roles.read(write(tmp_path / "r.tsv", text))
    assert roles.learner == {"a": "A"}
    assert set(roles.of) == set("abcd")


def test_learners_follow_the_cohort() -> None:
    kept = FEDERATED.restrict(["d", "c"], absent=["a", "b", "e"])
    assert list(kept.learner.items()) == [("d", "site-10"), ("c", "site-2")]


@given(st.lists(names, max_size=12))
def test_natural_order_depends_on_nothing_but_the_names(given_names: list[str]) -> None:
    order = natural_order(given_names)
    assert sorted(order) == sorted(set(given_names))
    assert natural_order(reversed(given_names)) == order


def test_numbers_are_sorted_as_numbers_and_equal_ones_by_their_spelling() -> None:
    assert natural_order(["b2", "a10", "a9", "a", "a01", "a1", "10", "9"]) == (
        "9", "10", "a", "a01", "a1", "a9", "a10", "b2",
    )  # fmt: skip


@pytest.mark.parametrize("variant", ["S0001", "s1", "s0001.0", "s\u200b0001"])
def test_a_person_in_two_roles_under_variants_of_the_id_is_leakage(tmp_path: Path, variant: str) -> None:
    ids = ["s0001", variant] if "." not in variant else ["0001", "1.0"]
    path = tmp_path / "r.tsv"
    path.write_text(f"subject\trole\n{ids[0]}\tmember\n{ids[1]}\tnon-member\n")
    with pytest.raises(DataLeakageError, match=r"r\.tsv: subjects .* member and non-member"):
        Roles.read(path)
    path.write_text(f"subject\trole\n{ids[0]}\tmember\n{ids[1]}\tmember\n")
    with pytest.raises(RolesError, match="probably one person; write each person's id in one way"):
        Roles.read(path)


def test_ids_roles_and_learners_are_stripped_and_missing_codes_are_no_ids(tmp_path: Path) -> None:
    path = tmp_path / "r.tsv"
    path.write_text("subject \trole\tlearner\n s1 \tMember \tsite-1 \ns2\tnon-member\tNA\n")
    assert Roles.read(path) == Roles({"s1": Role.MEMBER, "s2": Role.NONMEMBER}, {"s1": "site-1"})
    path.write_text("subject\trole\ns1\tmember\nn/a\tnon-member\n")
    with pytest.raises(RolesError, match=r"row 3 has no subject .written 'n/a'."):
        Roles.read(path)


def test_learners_are_ordered_by_their_numbers_however_long() -> None:
    assert natural_order(["site-10", "site-2", "site-" + "9" * 5000]) == (
        "site-2",
        "site-10",
        "site-" + "9" * 5000,
    )


@pytest.mark.parametrize("learners", [("a", "Global"), ("a", "A"), ("a", "site b")])
def test_a_learner_that_no_file_can_be_named_by_is_refused(tmp_path: Path, learners: tuple[str, str]) -> None:
    rows = "".join(f"{n}\tmember\t{name}\n" for n, name in enumerate(learners))
    (tmp_path / "roles.tsv").write_text(f"subject\trole\tlearner\n{rows}")
    with pytest.raises(RolesError, match=r"roles\.tsv: a learner cannot be called .* a letter or a digit"):
        Roles.read(tmp_path / "roles.tsv")
