"""All files of a dossier that follow from its inputs and its declaration, as bytes."""

from __future__ import annotations

from typing import Any

from memberscan import __version__
from memberscan.dossier.declaration import Declaration
from memberscan.dossier.deriving import derive
from memberscan.dossier.exports import EXPORTS
from memberscan.dossier.page import render
from memberscan.dossier.sources import INPUTS, Sources
from memberscan.files import sha256_of, to_json
from memberscan.output_directory import REQUEST

DECLARATION = f"{INPUTS}/declaration.json"
JSON, PAGE, PDF = "dossier.json", "dossier.html", "dossier.pdf"


def request_of(sources: Sources, declaration: Declaration) -> dict[str, Any]:
    """Return what decides the content of a dossier, for its request; it holds no path of the machine."""
    declared = declaration.dump()
    return {
        "command": "dossier",
        "memberscan": __version__,
        "inputs": [given.described.sha256 for given in sources.given],
        "declaration": {key: declared[key] for key in ("context", "name", "note", "exports")},
        "date": declaration.date,
    }


def outputs_of(sources: Sources, declaration: Declaration) -> dict[str, bytes]:
    """Return the bytes of every file of the dossier but its manifest and its PDF, by name.

    The same inputs and declaration give the same bytes with the same version of memberscan.
    """
    content = derive(sources, declaration)
    written = to_json(content.dump()).encode()
    return {
        REQUEST: to_json(request_of(sources, declaration)).encode(),
        DECLARATION: to_json(declaration.dump()).encode(),
        **{given.file: given.data for given in sources.given},
        JSON: written,
        PAGE: render(content, sha256_of(written)).encode(),
        **{
            f"exports/{name}/{file}": data
            for name in declaration.exports
            for file, data in EXPORTS[name](sources, content).items()
        },
    }
