"""What a section of a page is: a folder with the data that it shows and its template."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

C = TypeVar("C", contravariant=True)


@dataclass(frozen=True)
class Section(Generic[C]):
    """One section of a page.

    Parameters
    ----------
    module
        ``__name__`` of its package; the folder of that package holds ``template.html.j2``.
    anchor
        The id of its element, to which the contents of the page link.
    link
        What the contents of the page call it.
    data
        Returns what the template shows, under the name ``section``; None where the section does not apply.
    styles
        Style sheets that it needs beside the page's, as paths below this package.
    """

    module: str
    anchor: str
    link: str
    data: Callable[[C], object | None]
    styles: tuple[str, ...] = ()

    @property
    def template(self) -> str:
        """Path of its template below this package."""
        return f"sections/{self.module.rpartition('.')[2]}/template.html.j2"
