"""Want of memory is known under every name, and says nothing of tables."""

from __future__ import annotations

import errno
from collections.abc import Callable

import duckdb
import numpy as np
import pyarrow as pa
import pytest

from fvlm_data.errors import MachineError
from fvlm_data.memory import lacks_memory
from fvlm_data.store.declared import Context
from fvlm_data.store.queries import with_readable_tables

PLUGINS = "Unable to decode as exceptions were raised by all available plugins:\n  "


def caused(error: Exception, cause: Exception) -> Exception:
    error.__cause__ = cause
    return error


def too_large() -> Exception:
    try:
        np.empty(1 << 60, np.uint8)
    except MemoryError as error:
        return error
    raise AssertionError("that fits")


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        too_large(),
        pa.ArrowMemoryError("malloc of size 9 failed"),
        duckdb.OutOfMemoryException("Out of Memory Error: could not allocate block"),
        OSError(errno.ENOMEM, "Cannot allocate memory"),
        RuntimeError("std::bad_alloc"),
        RuntimeError("can't start new thread"),
        RuntimeError(f"{PLUGINS}imagecodecs: "),
        RuntimeError(f"{PLUGINS}gdcm: bad stream\n  pylibjpeg: "),
        RuntimeError(f"{PLUGINS}pylibjpeg: Unable to allocate 3.00 GiB for an array"),
        caused(ValueError("damaged"), caused(KeyError("x"), MemoryError())),
    ],
)
def test_want_of_memory_is_known(error: Exception):
    assert lacks_memory(error)


@pytest.mark.parametrize(
    "error",
    [
        ValueError("damaged"),
        OSError(errno.ENOENT, "No such file"),
        RuntimeError(f"{PLUGINS}imagecodecs: unexpected end of stream"),
        RuntimeError(f"{PLUGINS}gdcm: \n  pylibjpeg: bad marker"),
        caused(ValueError("damaged"), KeyError("x")),
    ],
)
def test_damage_is_no_want_of_memory(error: Exception):
    assert not lacks_memory(error)


def test_tables_for_which_memory_does_not_suffice_stay_as_they_are(context: Context):
    def short() -> None:
        raise duckdb.OutOfMemoryException("Out of Memory Error")

    before = context.store.files("tables/splits")
    work: Callable[[], None] = short
    with pytest.raises(MachineError, match=r"memory did not suffice .*execution\.memory_mb"):
        with_readable_tables(context, ["splits"], work, mend=True)
    assert context.store.files("tables/splits") == before
