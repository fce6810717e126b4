"""The formats that are read, one file each."""

from __future__ import annotations

from typing import Final

from memberscan.inspection.readers.archives import Compressed, Packed, Tar, Zip
from memberscan.inspection.readers.arrays import Npy, Npz
from memberscan.inspection.readers.base import Reader
from memberscan.inspection.readers.dicom import Dicom
from memberscan.inspection.readers.excel import Excel
from memberscan.inspection.readers.hdf5 import Hdf5
from memberscan.inspection.readers.images import Image
from memberscan.inspection.readers.json_yaml import Ini, Json, Toml, Yaml
from memberscan.inspection.readers.machine_code import MachineCode
from memberscan.inspection.readers.matlab import Matlab
from memberscan.inspection.readers.nifti import Mgh, Nifti
from memberscan.inspection.readers.notebooks import Notebook
from memberscan.inspection.readers.onnx_files import Onnx
from memberscan.inspection.readers.pdf import Pdf
from memberscan.inspection.readers.pickles import Pickle
from memberscan.inspection.readers.r_files import RFile
from memberscan.inspection.readers.safetensors_files import Safetensors
from memberscan.inspection.readers.software_data import SoftwareData, Translation
from memberscan.inspection.readers.tables import ColumnFile, Table
from memberscan.inspection.readers.text import Text
from memberscan.inspection.readers.torch_files import TorchFile
from memberscan.inspection.readers.unknown import Unknown

READERS: Final[tuple[Reader, ...]] = (
    # Formats within zip archives and compressed files come before those.
    TorchFile(),
    Npy(),
    Npz(),
    Safetensors(),
    Dicom(),
    Nifti(),
    Mgh(),
    Image(),
    Pdf(),
    Hdf5(),
    RFile(),
    Pickle(),
    Matlab(),
    Onnx(),
    Excel(),
    Zip(),
    Tar(),
    Compressed(),
    Packed(),
    ColumnFile(),
    MachineCode(),
    SoftwareData(),
    Translation(),
    # Formats of text come from the most to the least particular.
    Notebook(),
    Json(),
    Yaml(),
    Toml(),
    Ini(),
    Table(),
    Text(),
    Unknown(),
)
"""All readers; a file is read by the first that knows it."""
