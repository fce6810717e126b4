"""Files of pickles: compressed, several in one, of joblib, cloudpickle and dill, and hostile ones."""

from __future__ import annotations

import bz2
import collections
import datetime
import decimal
import fractions
import gzip
import lzma
import pathlib
import pickle
import sys
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cloudpickle
import numpy as np
import pytest

from memberscan.errors import BadInputError, MissingExtraError, TooLargeError
from memberscan.inspection.readers.base import Item, Partly
from memberscan.inspection.readers.byte_stream import ByteStream
from memberscan.inspection.readers.pickles import Pickle
from memberscan.inspection.sources import Source

from .pickle_lab import budget, found, instances, loaded, plain, reader_of, source_of, values

VALUE = {"id": ["sub-01", "sub-02"], "age": [61.5, 72.25]}
COMPRESSIONS: dict[str, Callable[[bytes], bytes]] = {
    "gzip": gzip.compress,
    "zlib": zlib.compress,
    "bzip2": bz2.compress,
    "xz": lzma.compress,
    "lzma": lambda data: lzma.compress(data, lzma.FORMAT_ALONE),
    "gzip twice": lambda data: gzip.compress(data[:20]) + gzip.compress(data[20:]),
}


def test_one_pickle_is_the_whole_file() -> None:
    for protocol in range(6):
        data = pickle.dumps(VALUE, protocol=protocol)
        assert isinstance(reader_of(source_of(data, "model")), Pickle)
        assert values(data) == {"": VALUE}


@pytest.mark.parametrize("compress", COMPRESSIONS.values(), ids=COMPRESSIONS.keys())
def test_compressed_pickles_are_known_and_read(compress: Callable[[bytes], bytes], tmp_path: Path) -> None:
    data = compress(pickle.dumps([VALUE, "x" * 3_000_000], protocol=4))
    path = tmp_path / "model.bin"
    path.write_bytes(data)
    for given in (data, path):
        assert values(given)[""][0] == VALUE
    with pytest.raises(BadInputError):
        found(data[: len(data) // 2], "model.pkl")


def test_lz4_needs_its_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "lz4.frame", None)
    data = b"\x04\x22\x4d\x18 and more"
    assert not isinstance(reader_of(source_of(data, "model.lz4")), Pickle)
    source = source_of(data, "model.joblib")
    assert isinstance(reader_of(source), Pickle)
    with pytest.raises(MissingExtraError, match="lz4"):
        list(Pickle().read(source))


def test_several_pickles_are_numbered() -> None:
    data = pickle.dumps(VALUE) + pickle.dumps([1], protocol=0) + pickle.dumps("x", protocol=2)
    assert values(data) == {"[0]": VALUE, "[1]": [1], "[2]": "x"}


def test_what_was_read_before_a_damage_is_kept() -> None:
    damaged = pickle.dumps(VALUE) + pickle.dumps(["sub-03", "sub-04", 5.0], protocol=2)[:-6]
    items: list[Any] = []
    with pytest.raises(BadInputError):
        items.extend(Pickle().read(source_of(damaged)))
    assert items[0] == Item("[0]", VALUE)
    assert items[1].place == "[1] aside"
    assert "sub-03" in str(items[1].value)


def test_calls_whose_results_are_dropped_are_found() -> None:
    items = found(b"\x80\x02cos\nsystem\n(S'x'\ntR0N.")
    assert items[0] == Item("", None)
    assert items[1][0] == "aside"
    assert [instance.class_name for item in items for instance in instances(item[1])] == ["os.system"]


def test_values_of_python_become_plain() -> None:
    value = [
        datetime.datetime(2001, 2, 3, 4, 5, 6, 7),
        datetime.datetime(2001, 2, 3, tzinfo=datetime.UTC),
        datetime.date(2001, 2, 3),
        datetime.time(1, 2, 3),
        datetime.timedelta(days=1, seconds=2),
        collections.OrderedDict(a=1),
        collections.Counter("aab"),
        collections.deque([1, 2], maxlen=3),
        collections.defaultdict(list, {1: [2]}),
        pathlib.PurePosixPath("/data/sub-01"),
        pathlib.PurePosixPath("x/y"),
        bytearray(b"q"),
        1 + 2j,
        decimal.Decimal("1.5"),
    ]
    expected = [
        "2001-02-03T04:05:06.000007",
        "2001-02-03T00:00:00",
        "2001-02-03",
        "01:02:03",
        86402.0,
        {"a": 1},
        {"a": 2, "b": 1},
        [1, 2],
        {1: [2]},
        "/data/sub-01",
        "x/y",
        b"q",
        1 + 2j,
        1.5,
    ]
    for protocol in range(6):
        assert loaded(pickle.dumps(value, protocol=protocol)) == expected
    assert loaded(pickle.dumps(fractions.Fraction(1, 3))).class_name == "fractions.Fraction"
    assert loaded(pickle.dumps(print)).class_name == "builtins.print"


def test_damaged_dates_stay_records() -> None:
    made = loaded(b"cdatetime\ndate\n(C\x04\x07\xd1\x63\x63tR.")
    assert (made.class_name, made.arguments) == ("datetime.date", (b"\x07\xd1\x63\x63",))


def test_functions_of_cloudpickle_show_their_texts() -> None:
    secret = "of the closure"

    def function(argument: str, default: str = "of the default") -> str:
        """Of the docstring."""
        return argument + default + "of the constants" + secret

    made = loaded(cloudpickle.dumps({"f": function, "after": 1}))
    assert made["after"] == 1
    classes = {instance.class_name for instance in instances(made)}
    assert {"cloudpickle.cloudpickle._make_function", "types.CodeType"} <= classes
    text = str(plain(made))
    for part in ("closure", "default", "constants"):
        assert f"of the {part}" in text
    assert "argument" in text
    assert "Of the docstring" in text


def test_functions_of_dill_show_their_texts() -> None:
    made = loaded((Path(__file__).parent / "golden" / "dill-0.4.dill").read_bytes())
    assert "dill._dill._create_function" in {instance.class_name for instance in instances(made)}
    assert "of the constants" in str(plain(made))
    assert "of the default" in str(plain(made))


def test_arrays_beside_a_file_of_old_joblib_are_named() -> None:
    data = (
        b"\x80\x02cjoblib.numpy_pickle\nNDArrayWrapper\n)\x81}"
        b"(U\x08filenameU\x0cmodel_01.npyU\x08subclassNub."
    )
    items = found(data)
    assert isinstance(items[1], Partly)
    assert "model_01.npy" in items[1].reason


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"id,age\nsub-01,61.5\n" * 300,
        b"I am a text.\n",
        b"NNNNNNN",
        b"V" + b"QUJD" * 2000,
        b"{'a': 1}",
        b"(see below)\n",
        b"PK\x03\x04 anything",
        b"\x89HDF\r\n\x1a\n",
        gzip.compress(b"id,age\n" * 10),
        b"\x1f\x8b damaged",
        b"0" * 5000,
        b"PIL/Image.py,sha256=aBc,9419\n" * 300,
        b"cat\ncave\n" * 1000,
        b"(a)\n(b)\n" * 1000,
    ],
)
def test_other_files_are_not_taken_for_pickles(data: bytes) -> None:
    assert not isinstance(reader_of(source_of(data, "file.dat")), Pickle)


def test_names_of_pickles_are_believed_unless_the_bytes_say_otherwise() -> None:
    assert isinstance(reader_of(source_of(b"damaged", "model.pkl")), Pickle)
    assert not isinstance(reader_of(source_of(b"PK\x03\x04", "model.pkl")), Pickle)
    long = pickle.dumps(list(range(3000)), protocol=0)
    assert isinstance(reader_of(source_of(long, "model.sav")), Pickle)


def test_expansion_is_bounded() -> None:
    bomb = gzip.compress(b"\x80\x04\x8e" + (1 << 31).to_bytes(8, "little") + b"\0" * 3_000_000)
    source = Source("x.pkl", len(bomb), bomb, budget(expanded=1_000_000))
    with pytest.raises(TooLargeError):
        list(Pickle().read(source))


def test_truncated_files_of_joblib_end_in_an_error(tmp_path: Path) -> None:
    import joblib

    path = tmp_path / "x.joblib"
    joblib.dump({"x": np.arange(6.0), "o": np.array(["a", None], dtype=object), "y": "z"}, path)
    data = path.read_bytes()
    for end in range(len(data)):
        with pytest.raises((BadInputError, ValueError)):
            list(Pickle().read(source_of(data[:end], "x.joblib")))
    path.write_bytes(data[:-100])
    with pytest.raises((BadInputError, ValueError)):
        list(Pickle().read(source_of(path)))


def test_records_of_joblib_that_declare_too_much_end_in_an_error() -> None:
    def record(shape: Any, code: str = "f8") -> bytes:
        kind = pickle.dumps(np.dtype(code), protocol=2)[2:-1] if code != "no" else b"N"
        return (
            b"\x80\x02cjoblib.numpy_pickle\nNumpyArrayWrapper\n)\x81}(U\x05shape"
            + pickle.dumps(shape, protocol=2)[2:-1]
            + b"U\x05orderU\x01CU\x05dtype"
            + kind
            + b"ub"
        )

    assert values(record((1,)) + b"\0" * 8 + b".")[""] == [0.0]
    for data in (record((1 << 60,)), record((-1,)), record((1,), "no"), record((2**70, 2**70))):
        with pytest.raises((BadInputError, ValueError, OverflowError)):
            found(data + b"\0" * 8 + b".")


def test_numbers_of_a_file_on_disk_are_mapped(tmp_path: Path) -> None:
    path = tmp_path / "numbers"
    path.write_bytes(b"head" + np.arange(6.0).tobytes() + b"end")
    stream = ByteStream(source_of(path))
    assert stream.take(4) == b"head"
    numbers = stream.numbers(np.dtype("f8"), 6)
    assert not numbers.flags.owndata
    assert not numbers.flags.writeable
    assert (numbers.tolist(), stream.take(3), stream.at_end()) == ([0, 1, 2, 3, 4, 5], b"end", True)
    for dtype, count in ((np.dtype("O"), 1), (np.dtype("f8"), -1), (np.dtype("f8"), 1), (np.dtype("V0"), 9)):
        with pytest.raises(BadInputError):
            stream.numbers(dtype, count)
    assert stream.numbers(np.dtype("f8"), 0).size == 0
    (tmp_path / "empty").touch()
    with pytest.raises(BadInputError):
        ByteStream(source_of(tmp_path / "empty")).take(1)


def test_nothing_is_written_or_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for call in ("os\nsystem", "posix\nsystem", "builtins\neval", "subprocess\nPopen", "builtins\nopen"):
        data = f'c{call}\n(S\'__import__("os").system("touch made")\'\ntR.'.encode()
        (item,) = found(data, "x.pkl")
        assert isinstance(item, Item)
        assert item.value.class_name == call.replace("\n", ".")
    assert not list(tmp_path.iterdir())
