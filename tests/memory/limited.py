"""Opens hostile files in a forked process whose address space is limited by the operating system.

Run as a program it is given a folder with good files and one for the hostile ones; it imports everything,
forks, and prints what became of each case as a line of JSON. When a case ends its process, the next ones go
on in another.
"""

from __future__ import annotations

import ctypes
import gc
import json
import os
import resource
import signal
import sys
import time
import traceback
import warnings
from pathlib import Path
from typing import Any

from . import of_arrays, of_federations, of_people, of_references, of_releases, of_runs
from .cases import CASES, Case

assert of_arrays and of_federations and of_people and of_references and of_releases

LIMIT = 400 << 20
"""Bytes that a reader may take beyond those that its process has."""
SECONDS = 20
"""After these of processor time a case is ended."""
LARGEST = 1_200_000
"""Bytes that the files of a case may take on the disk, together."""


def became(case: Case, good: Path, folder: Path) -> dict[str, Any]:
    """Make the files of a case, read them under the limit, and return what became of it."""
    folder.mkdir()
    os.chdir(folder)
    given = case.prepare(good, folder)
    size = sum(p.lstat().st_blocks * 512 for p in folder.rglob("*") if not _is_good(p))
    error, chain = None, list[BaseException]()
    before = _limit()
    try:
        case.read(given)
    except BaseException as raised:
        error, chain = raised, _chain(raised)
    taken = _kilobytes("VmHWM") - before
    resource.setrlimit(resource.RLIMIT_AS, (resource.RLIM_INFINITY,) * 2)
    words = [f"{type(each).__name__}: {str(each)[:300]}" for each in chain]
    place = "".join(traceback.format_tb(error.__traceback__)[-3:]) if error else ""
    kinds = [kind.__name__ for kind in type(error).__mro__] if error else []
    return {"kinds": kinds, "chain": words, "place": place, "megabytes": taken >> 10, "size": size}


def _is_good(path: Path) -> bool:
    """Tell whether a file is a copy of a good one; copies are made as links."""
    return path.is_dir() or path.lstat().st_nlink > 1


def _limit() -> int:
    """Limit this process, and return how many kilobytes it has now."""
    gc.collect()
    # What earlier cases have freed goes back, so that no case can take it unnoticed.
    ctypes.CDLL(None).malloc_trim(0)
    used = int(resource.getrusage(resource.RUSAGE_SELF).ru_utime)
    resource.setrlimit(resource.RLIMIT_CPU, (used + SECONDS, resource.RLIM_INFINITY))
    resource.setrlimit(resource.RLIMIT_AS, ((_kilobytes("VmSize") << 10) + LIMIT, resource.RLIM_INFINITY))
    # This sets the peak, VmHWM, to what is used now.
    Path("/proc/self/clear_refs").write_text("5")
    return _kilobytes("VmRSS")


def _kilobytes(name: str) -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(f"{name}:"))


def _chain(error: BaseException | None) -> list[BaseException]:
    found: list[BaseException] = []
    while error is not None and error not in found:
        found.append(error)
        error = error.__cause__ or error.__context__
    return found


def read_all(names: list[str], good: Path, scratch: Path) -> None:
    """Read cases in a forked process, and go on in another after one that ended it."""
    out, into = os.pipe()
    child = os.fork()
    if not child:
        os.close(out)
        # Otherwise Python would end here by the signal that it was told to ignore.
        signal.signal(signal.SIGXCPU, signal.SIG_DFL)
        # What the imports made is not looked through again and again.
        gc.collect()
        gc.freeze()
        for place, name in enumerate(names):
            started = time.process_time()
            outcome = became(CASES[name], good, scratch / f"{len(names)}-{place}")
            outcome |= {"name": name, "status": 0, "seconds": time.process_time() - started}
            os.write(into, f"{json.dumps(outcome)}\n".encode())
        os._exit(0)
    os.close(into)
    done = 0
    with os.fdopen(out) as stream:
        for line in stream:
            print(line, end="", flush=True)
            done += 1
    _, status = os.waitpid(child, 0)
    if done < len(names):
        print(json.dumps({"name": names[done], "status": status}), flush=True)
        read_all(names[done + 1 :], good, scratch)


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    of_runs.warm(Path(sys.argv[1]))
    wanted = sys.argv[3] if len(sys.argv) > 3 else ""
    read_all([name for name in CASES if wanted in name], Path(sys.argv[1]), Path(sys.argv[2]))
