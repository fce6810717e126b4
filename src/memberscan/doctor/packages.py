"""Which packages memberscan needs, and which of them are installed; read from metadata, without imports."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib import metadata
from types import MappingProxyType

from packaging.requirements import Requirement

PURPOSES: Mapping[str, str] = MappingProxyType(
    {
        "federated": "federations, simulated in one process or deployed",
        "simulation": "--engine ray: learners, references or points of a frontier in parallel",
        "he": "--secure ckks: homomorphic encryption",
        "dp": "--defence dp-sgd and adaptive-dp: differentially private training",
        "onnx": "import --model onnx: models in ONNX files",
        "inspect": "inspect: HDF5, Excel, DICOM, R and YAML files, and the history in git",
    }
)
"""What each extra is for, in words; extras for developers are left out."""


@dataclass(frozen=True)
class Package:
    """A package that memberscan needs.

    Parameters
    ----------
    name
        As on PyPI.
    needed
        The versions that memberscan works with, such as ">=2.6,<2.14".
    installed
        The installed version, or None.
    fits
        Whether a version is installed that is among those needed.
    """

    name: str
    needed: str
    installed: str | None
    fits: bool


@dataclass(frozen=True)
class Extra:
    """An optional part of memberscan.

    Parameters
    ----------
    name
        As in ``pip install 'memberscan[name]'``.
    purpose
        What it is for.
    packages
        The packages that it needs.
    installed
        Whether all of them are installed, in versions that fit.
    """

    name: str
    purpose: str
    packages: tuple[Package, ...]
    installed: bool


def find_packages() -> tuple[Package, ...]:
    """Return the packages that memberscan always needs; none if its own metadata are not installed."""
    return tuple(_package(each) for each in _requirements() if _applies(each, ""))


def find_extras() -> tuple[Extra, ...]:
    """Return the extras for users, and what of each is installed."""
    return tuple(_extra(name, purpose) for name, purpose in PURPOSES.items())


def _extra(name: str, purpose: str) -> Extra:
    own = [each for each in _requirements() if _applies(each, name) and not _applies(each, "")]
    packages = tuple(_package(each) for each in own)
    return Extra(name, purpose, packages, bool(packages) and all(package.fits for package in packages))


def _requirements() -> Iterator[Requirement]:
    try:
        declared = metadata.requires("memberscan")
    except metadata.PackageNotFoundError:
        return
    yield from map(Requirement, declared or ())


def _applies(requirement: Requirement, extra: str) -> bool:
    """Return whether a requirement applies here, with this extra, or with none if it is empty."""
    return requirement.marker is None or requirement.marker.evaluate({"extra": extra})


def _package(requirement: Requirement) -> Package:
    # In reverse order, ">=2.6" comes before "<2.14".
    needed = ",".join(sorted(map(str, requirement.specifier), reverse=True))
    try:
        version = metadata.version(requirement.name)
    except metadata.PackageNotFoundError:
        return Package(requirement.name, needed, None, fits=False)
    # Pre-releases count, as a nightly build of torch works; the bounds still hold for them.
    return Package(
        requirement.name, needed, version, requirement.specifier.contains(version, prereleases=True)
    )
