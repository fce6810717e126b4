from __future__ import annotations

import json

from memberscan.requests import differences, in_words


def test_nested_options_are_named_by_their_path_and_equal_as_json_has_them() -> None:
    asked = {"threat": {"leaked": 0.5, "rounds": None}, "attacks": ("error",), "threads": 2}
    assert not differences(json.loads(json.dumps(asked)), {**asked, "threads": 8})
    changes = differences(asked, {"threat": {"leaked": 0.3, "rounds": 5}, "attacks": ["error", "gap"]})
    assert changes == {
        "attacks": (["error"], ["error", "gap"]),
        "threat leaked": (0.5, 0.3),
        "threat rounds": (None, 5),
    }
    assert in_words(changes) == (
        "attacks was error and is now error, gap; threat leaked was 0.5 and is now 0.3; "
        "threat rounds was not set and is now 5"
    )


def test_words_show_no_seed_no_digest_and_no_python() -> None:
    said = in_words(
        {
            "membership_seed": (7_331, 4),
            "weights": ("0f" * 16, "1e" * 16),
            "pseudonyms": (True, False),
            "options": ([], [{"name": "error", "sign": -1}]),
        }
    )
    assert said == (
        "membership seed is different; weights is different; pseudonyms was on and is now off; "
        "options was nothing and is now name error sign -1"
    )
    assert "7331" not in said and "7_331" not in said
