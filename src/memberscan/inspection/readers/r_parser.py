"""The parser of the package rdata, with raw vectors, which it lacks, and with bounded expansions.

This module needs rdata to be imported.
"""

from __future__ import annotations

from typing import Any, Final

from rdata.parser import DEFAULT_ALTREP_MAP, RObject, RObjectInfo, RObjectType
from rdata.parser import parse_data as _parse_data
from rdata.parser._binary import ParserBinary
from rdata.parser._xdr import ParserXDR

_MOST: Final = 50_000_000
"""Most values of a sequence that is written as its ends."""
_RAW, _WEAK = 24, 23
_PERSISTENT, _PACKAGE, _UNBOUND = 247, 250, 252
_COMPILED: Final = frozenset({2, 6, 21, 239, 240, 243, 244})
"""Types whose flags come before them in compiled functions."""


class _Representations(dict[bytes, Any]):
    """How alternative representations of vectors are expanded; unknown ones stay as their state."""

    def __missing__(self, name: bytes) -> Any:
        return lambda state: (RObjectInfo(RObjectType.VEC, False, False, False, 0, 0), [state])

    def __getitem__(self, name: bytes) -> Any:
        expand = super().__getitem__(name)
        return lambda state: expand(_bounded(state)) if name.startswith(b"compact_") else expand(state)


def _bounded(state: RObject) -> RObject:
    if not 0 <= state.value[0] <= _MOST:
        raise ValueError("a sequence in it is too long")
    return state


class _More:
    """Adds what the package's parsers of binary files do not know."""

    file: Any
    parse_int: Any
    _parse_vector_value: Any
    _order = "big"

    def parse_R_object(
        self, reference_list: Any = None, bytecode_rep_list: Any = None, info_int: int | None = None
    ) -> RObject:
        """Return the next object."""
        references = [] if reference_list is None else reference_list
        if info_int not in _COMPILED:
            flags = self.file.read(4)
            self.file.seek(-len(flags), 1)
            kind = int.from_bytes(flags, self._order) & 255  # type: ignore[arg-type]
            if kind in (_RAW, _WEAK, _PERSISTENT, _PACKAGE, _UNBOUND):
                return self._other(kind, references, bytecode_rep_list)
        found: RObject = super().parse_R_object(references, bytecode_rep_list, info_int)  # type: ignore[misc]
        return found

    def _other(self, kind: int, references: list[RObject], repeated: Any) -> RObject:
        # The flags are described in R Internals, section "Serialization Formats".
        flags = self.parse_int()
        made = RObject(RObjectInfo(RObjectType.NILVALUE, False, False, False, 0, 0), None, None)
        if kind == _RAW:
            made.info.type = RObjectType.RAW
            made.value = self.file.read(max(0, self.parse_int()))
        elif kind in (_PERSISTENT, _PACKAGE):
            self.parse_int()
            made.info.type = RObjectType.STR
            made.value = self._parse_vector_value(references, repeated)
            references.append(made)
            return made
        elif kind == _WEAK:
            references.append(made)
        if flags & 0x200:
            made.attributes = self.parse_R_object(references, repeated)
        return made


class _Xdr(_More, ParserXDR):
    pass


class _Binary(_More, ParserBinary):
    def __init__(self, data: memoryview, **options: Any) -> None:
        super().__init__(data, **options)
        self._order = "little" if self.byteorder == "<" else "big"


def parse(content: bytes) -> RObject:
    """Return the object in an expanded rds file, or the list of variables of an RData file.

    Raises
    ------
    Exception
        Of any type, if the file is damaged.
    """
    data = memoryview(content)
    data = data[5:] if content[:2] == b"RD" else data
    parsers = {b"X\n": _Xdr, b"B\n": _Binary}
    kind = parsers.get(bytes(data[:2]))
    representations = _Representations(DEFAULT_ALTREP_MAP)
    if kind is None:
        return _parse_data(content, altrep_constructor_dict=representations, extension=".rds").object
    parser = kind(data[2:], expand_altrep=True, altrep_constructor_dict=representations)
    found: RObject = parser.parse_all().object
    if parser.file.read(1):
        raise ValueError("there is more after the object, which is not read")
    return found
