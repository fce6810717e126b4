"""Images of people: volumes, thumbnails, figures of notebooks."""

from __future__ import annotations

import re
from collections.abc import Iterator

import numpy as np

from memberscan.inspection.content import InspectionFinding
from memberscan.inspection.detectors.base import Detector, FileContext
from memberscan.inspection.detectors.id_patterns import ids_in
from memberscan.inspection.nodes import Node
from memberscan.inspection.values import Picture
from memberscan.report import words

_NOT_OF_A_PERSON = re.compile(
    r"(?<![a-z])(?<!space-)(?:mni|icbm|template|atlas|mask|average|avg|talairach|colin27|fsaverage|parcel|"
    r"parcellation|label|aal|harvard|schaefer|juelich|prior|tpm|synthetic|phantom)s?(?![a-z])",
    re.IGNORECASE,
)
"""Words in the names of templates and masks. A person's image in the space of a template is no template."""
_OFTEN_DRAWN = re.compile(
    r"\.(html?|xhtml|svg|css|jinja2?|j2|md|png|jpe?g|gif|tiff?|webp|bmp|ico)$", re.IGNORECASE
)
"""Web pages and image files, most of which are icons and figures."""
_VOLUMES = {"nifti", "analyze", "mgh", "minc", "dicom"}
_SHORTEST, _SHORTEST_ALONE = 8, 16
"""Fewest voxels along each axis of volumes, and of one volume alone."""
_MAGIC = (b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"GIF8")
"""First bytes of PNG, JPEG and GIF."""


class Pictures(Detector):
    """Finds images in files, and files that are images."""

    def __init__(self, file: FileContext) -> None:
        super().__init__(file)
        self._volumes: list[tuple[str, Picture]] = []
        self._embedded: list[str] = []
        self._arrays: list[tuple[str, tuple[int, ...]]] = []

    def see(self, node: Node) -> None:
        """Look for an image."""
        if isinstance(node.value, Picture):
            if node.value.format in _VOLUMES:
                self._volumes.append((node.place, node.value))
            else:
                self._embedded.append(node.place)
        elif isinstance(node.value, bytes) and node.value.startswith(_MAGIC):
            self._embedded.append(node.place)
        elif isinstance(node.value, np.ndarray) and _may_be_volumes(node.name, node.value):
            self._arrays.append((node.place, node.value.shape))

    def findings(self) -> Iterator[InspectionFinding]:
        """Yield a finding for volumes, and one for embedded images."""
        known = next(ids_in(self.file.name), None) is not None
        if self._volumes and (known or not _NOT_OF_A_PERSON.search(self.file.name)):
            place, volume = self._volumes[0]
            shape = " x ".join(map(str, volume.shape))
            yield self.file.finding(
                "images of people",
                "leaks" if known else "look",
                place,
                f"An image in the format {volume.format}" + (f" with {shape} voxels." if shape else "."),
                "Remove it, unless it is a template, or of somebody who agreed; faces can be recognised.",
                people=len(self._volumes),
            )
        if self._arrays and not self.file.program and not _NOT_OF_A_PERSON.search(self.file.name):
            place, sizes = self._arrays[0]
            yield self.file.finding(
                "images of people",
                "look",
                place,
                f"An array of {' x '.join(map(str, sizes))} numbers, which may be images of people.",
                "Remove it if it holds scans; compare it with the cohort (--cohort) to be sure.",
                people=sizes[0] if len(sizes) > 3 else 1,
            )
        if self._embedded and not self.file.program:
            drawn = _OFTEN_DRAWN.search(self.file.name) is not None
            yield self.file.finding(
                "pictures",
                "note" if drawn else "look",
                self._embedded[0],
                f"{words.people(len(self._embedded), 'image')}, which only a person can judge.",
                "Look at them: slices of brains and scatter plots are about people.",
            )


def _may_be_volumes(name: str, array: np.ndarray) -> bool:
    """Return whether an array may be a volume or several: three long axes at the end, and not named a weight.

    The kernels of convolutions are short in the last axes.
    """
    if array.ndim not in (3, 4, 5) or re.search(r"(weight|bias|kernel|embeddings?)$", name):
        return False
    shortest = _SHORTEST_ALONE if array.ndim == 3 else _SHORTEST
    return all(length >= shortest for length in array.shape[-3:])
