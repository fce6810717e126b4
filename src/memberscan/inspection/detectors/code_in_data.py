"""Data files that would run commands when they are opened by the usual libraries."""

from __future__ import annotations

import re
from collections.abc import Iterator

from memberscan.inspection.content import InspectionFinding
from memberscan.inspection.detectors.base import Detector, FileContext
from memberscan.inspection.nodes import Node
from memberscan.inspection.values import Instance

_RUNS = re.compile(
    r"^(os|posix|nt|subprocess|sys|shutil|socket|pty|runpy|ctypes|importlib|webbrowser|commands|code)\."
    r"|^(builtins|__builtin__)\.(eval|exec|compile|open|__import__|getattr|input|breakpoint)$"
)


class CodeInData(Detector):
    """Finds calls of functions that run programs or change files."""

    def __init__(self, file: FileContext) -> None:
        super().__init__(file)
        self._calls: list[tuple[str, str]] = []

    def see(self, node: Node) -> None:
        """Look at the name of a class or function."""
        if isinstance(node.value, Instance) and _RUNS.search(node.value.class_name):
            self._calls.append((node.place, node.value.class_name))

    def findings(self) -> Iterator[InspectionFinding]:
        """Yield one finding for the file."""
        if self._calls:
            place, name = self._calls[0]
            yield self.file.finding(
                "code in data",
                "look",
                place,
                f"Opening this file the usual way calls {name}, which can run programs or change files.",
                "Do not open it; save the model again in a format without code, such as safetensors or ONNX.",
            )
