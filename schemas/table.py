"""What a table is: a row dataclass whose annotated fields carry the pyarrow schema."""

from __future__ import annotations

import dataclasses
import numbers
from dataclasses import dataclass
from itertools import chain
from operator import attrgetter
from typing import TYPE_CHECKING, Any, get_type_hints

import numpy as np
import pyarrow as pa

if TYPE_CHECKING:
    from collections.abc import Sequence


class SchemaError(ValueError):
    """A row does not fit its table."""


@dataclass(frozen=True, slots=True)
class Column:
    """Type, meaning and unit of one column.

    `allowed` lists the only values it may hold. A column that is not `compared` may differ
    between two runs over the same inputs (which shard holds a sample, which run wrote a row) and
    is no part of an item's content.
    """

    type: pa.DataType
    description: str
    unit: str = ""
    nullable: bool = False
    allowed: tuple[str, ...] = ()
    compared: bool = True


@dataclass(frozen=True, slots=True)
class Table:
    """A table of the store.

    `row` is the frozen dataclass of one row. `replaced_by` names the column whose value says
    which item a row belongs to: a commit replaces all rows of an item at once. `primary_key`
    is unique. `partition_by` lists the Delta partition columns.
    """

    name: str
    description: str
    row: type
    primary_key: tuple[str, ...]
    replaced_by: str
    columns: dict[str, Column]
    partition_by: tuple[str, ...] = ()

    @property
    def schema(self) -> pa.Schema:
        """The pyarrow schema, unit and description in each field's metadata."""
        return pa.schema(
            [
                pa.field(
                    name,
                    column.type,
                    nullable=column.nullable,
                    metadata={"description": column.description, "unit": column.unit},
                )
                for name, column in self.columns.items()
            ]
        )

    def to_arrow(self, rows: Sequence[Any]) -> pa.Table:
        """Rows as a pyarrow table that fits the schema exactly.

        Raises:
            SchemaError: a row is of another kind, a value has the wrong type, is missing, or
                is not one of the allowed ones; the message names table, column and row number,
                never the value.
        """
        for number, row in enumerate(rows):
            if type(row) is not self.row:
                raise SchemaError(
                    f"table {self.name}, row {number}: found a {type(row).__name__}, "
                    f"expected a {self.row.__name__}"
                )
        values = _transposed(rows, tuple(self.columns))
        arrays = [self._array(name, values[name]) for name in self.columns]
        return pa.Table.from_arrays(arrays, schema=self.schema)

    def _array(self, name: str, values: list[Any]) -> pa.Array:
        column = self.columns[name]
        if not _all_fit(values, column):
            self._refuse(name, values)
        try:
            return pa.array(values, type=column.type)
        except (ValueError, TypeError, OverflowError):
            # the library's message quotes the value
            raise SchemaError(
                f"table {self.name}: column {name} holds values that are not {column.type}"
            ) from None

    def _refuse(self, name: str, values: list[Any]) -> None:
        """Name the first value that does not fit, if there is one."""
        column = self.columns[name]
        for number, value in enumerate(values):
            if value is None and not column.nullable:
                raise SchemaError(
                    f"table {self.name}, row {number}: column {name} is missing, "
                    f"expected {column.type}"
                )
            if value is not None and not _fits(value, column.type):
                raise SchemaError(
                    f"table {self.name}, row {number}: column {name} holds a "
                    f"{type(value).__name__} that is no {column.type}"
                )
            if column.allowed and value is not None and value not in column.allowed:
                raise SchemaError(
                    f"table {self.name}, row {number}: column {name} holds a value outside "
                    f"{', '.join(column.allowed)}"
                )


def _transposed(rows: Sequence[Any], names: tuple[str, ...]) -> dict[str, list[Any]]:
    """Values of rows by column."""
    if not rows or len(names) == 1:
        return {name: [getattr(row, name) for row in rows] for name in names}
    columns = zip(*map(attrgetter(*names), rows), strict=True)
    return {name: list(values) for name, values in zip(names, columns, strict=True)}


def _all_fit(values: list[Any], column: Column) -> bool:
    """Whether all values are plainly of the column, told by their types taken together.

    A million values are checked in a few passes; what is not plain is looked at one by one.
    """
    if column.nullable:
        values = [value for value in values if value is not None]
    if column.allowed and not set(filter(_is_text, values)) <= set(column.allowed):
        return False
    return _plain(values, column.type)


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


def _plain(values: list[Any], kind: pa.DataType) -> bool:
    found = set(map(type, values))
    if pa.types.is_list(kind):
        flat = chain.from_iterable(values) if found <= {tuple, list} else None
        return flat is not None and _plain(list(flat), kind.value_type)
    if pa.types.is_struct(kind):
        names = {kind.field(i).name: kind.field(i).type for i in range(kind.num_fields)}
        return (
            found <= {dict}
            and all(value.keys() == names.keys() for value in values)
            and all(_plain([value[name] for value in values], names[name]) for name in names)
        )
    if pa.types.is_string(kind):
        return found <= {str}
    if pa.types.is_boolean(kind):
        return found <= {bool}
    return found <= ({int} if pa.types.is_integer(kind) else {int, float})


def _fits(value: Any, kind: pa.DataType) -> bool:
    """Whether a value is of an Arrow type as it stands.

    pyarrow alone would cut 1.5 to 1, take a text for a list of its letters, and let None stand
    within a list.
    """
    if pa.types.is_list(kind):
        return isinstance(value, tuple | list) and all(_fits(v, kind.value_type) for v in value)
    if pa.types.is_struct(kind):
        fields = {kind.field(i).name: kind.field(i).type for i in range(kind.num_fields)}
        return (
            isinstance(value, dict)
            and value.keys() == fields.keys()
            and all(_fits(v, fields[name]) for name, v in value.items())
        )
    if pa.types.is_string(kind):
        return isinstance(value, str)
    if pa.types.is_boolean(kind):
        return isinstance(value, bool | np.bool_)
    if isinstance(value, bool | np.bool_):
        return False
    whole = isinstance(value, numbers.Integral)
    return whole if pa.types.is_integer(kind) else isinstance(value, numbers.Real)


def table(
    name: str,
    row: type,
    *,
    primary_key: tuple[str, ...],
    replaced_by: str,
    partition_by: tuple[str, ...] = (),
) -> Table:
    """Build the table of a row dataclass whose fields are all `Annotated[type, Column(...)]`."""
    hints = get_type_hints(row, include_extras=True)
    columns = {
        field.name: next(m for m in hints[field.name].__metadata__ if isinstance(m, Column))
        for field in dataclasses.fields(row)
    }
    description = " ".join((row.__doc__ or "").split())
    return Table(name, description, row, primary_key, replaced_by, columns, partition_by)


STRING = pa.string()
BOOL = pa.bool_()
INT32 = pa.int32()
INT64 = pa.int64()
FLOAT64 = pa.float64()
STRINGS = pa.list_(pa.string())
INT32S = pa.list_(pa.int32())
INT64S = pa.list_(pa.int64())
FLOAT64S = pa.list_(pa.float64())
