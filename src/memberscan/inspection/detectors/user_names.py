"""Paths with the names of those who made the files."""

from __future__ import annotations

import re
from collections.abc import Iterator

from memberscan.inspection.content import InspectionFinding
from memberscan.inspection.detectors.base import Detector, FileContext
from memberscan.inspection.detectors.texts import texts_of
from memberscan.inspection.nodes import Node
from memberscan.report import words

_PATH = re.compile(r"(?:/home/|/Users/|[A-Z]:\\{1,2}Users\\{1,2})([A-Za-z][\w.-]{1,31})(?=[/\\])")
_NOBODY = re.compile(
    r"^(runner|runneradmin|root|circleci|travis|vsts\w*|conda|user\w*|username|me|you|name|yourname|your\w*|jovyan|ubuntu|"
    r"docker|appuser|build\w*|jenkins|admin\w*|public|shared|default|guest|ec2-user|foo|bar|john|jane|alice|bob|someone|xxx|.*user)$",
    re.IGNORECASE,
)


class UserNames(Detector):
    """Finds home directories in texts."""

    def __init__(self, file: FileContext) -> None:
        super().__init__(file)
        self._names: dict[str, str] = {}

    def see(self, node: Node) -> None:
        """Search the texts of a node."""
        for place, text in texts_of(node):
            if "/home/" in text or "Users" in text:
                for match in _PATH.finditer(text):
                    if not _NOBODY.match(match[1]):
                        self._names.setdefault(match[1], place)

    def findings(self) -> Iterator[InspectionFinding]:
        """Yield one finding for the file."""
        if self._names and not self.file.program:
            yield self.file.finding(
                "user names",
                "note",
                next(iter(self._names.values())),
                f"Paths with {words.people(len(self._names), 'name', 'names')} of users who made the file.",
                "Write paths relative to the release.",
            )
