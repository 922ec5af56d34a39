"""Statements of the hot path, compiled once: Django's ORM composes its SQL anew each time, which
takes longer than the database does (seen: 2 ms of CPU for the one row of a model).

What is compiled comes from models and querysets, so that rules and columns are written in one
place. Values travel as parameters. Signals of models are not sent.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar, cast
from uuid import UUID

from django.db import DEFAULT_DB_ALIAS, connection, connections, models
from django.db.models.expressions import RawSQL

M = TypeVar("M", bound=models.Model)

_Row = Sequence[Any]
_PLAIN_TYPES: Sequence[tuple[type[models.Field[Any, Any]], type]] = (
    (models.CharField, str),
    (models.TextField, str),
    (models.IntegerField, int),
    (models.FloatField, float),
    (models.BooleanField, bool),
)
_Field = models.Field[Any, Any]

_ROWS_AT_ONCE = 256
# Both databases take these values as Python has them.
_AS_THEY_ARE = (models.CharField, models.TextField, models.IntegerField, models.FloatField)


class _Mark:
    """Stands for a value that is given when the statement runs."""

    def __init__(self, name: str) -> None:
        self.name = name


@dataclass(frozen=True, slots=True)
class _Compiled:
    sql: str
    parameters: tuple[Any, ...]
    converters: list[tuple[int, list[Callable[..., Any]], Any]]

    def rows(self, values: dict[str, Any]) -> list[_Row]:
        given = [
            _plain(values[each.name]) if isinstance(each, _Mark) else each
            for each in self.parameters
        ]
        with connection.cursor() as cursor:
            cursor.execute(self.sql, given)
            return converted(cursor.fetchall(), self.converters)


class Select:
    """The rows of a `values_list`. `build` makes the queryset from values known by their names.

    They are ids and texts, one for a `%s` each: no lists, no `None`.
    """

    def __init__(self, *names: str, build: Callable[..., models.QuerySet[Any, Any]]) -> None:
        self._names = names
        self._build = build
        self._compiled: dict[str, _Compiled] = {}

    def rows(self, **values: Any) -> list[_Row]:
        compiled = self._compiled.get(connection.vendor)
        if compiled is None:
            marks = {name: RawSQL("%s", (_Mark(name),)) for name in self._names}
            compiled = self._compiled[connection.vendor] = _compile(self._build(**marks))
        return compiled.rows(values)


class SelectWith(Generic[M]):
    """The first row of a queryset over `model`, with what its foreign key `related` names."""

    def __init__(
        self,
        model: type[M],
        related: str,
        *names: str,
        build: Callable[..., models.QuerySet[M]],
    ) -> None:
        self._model = model
        self._related = related
        self._select = Select(*names, build=lambda **values: self._columns(build(**values)))

    def first(self, **values: Any) -> M | None:
        found = self._select.rows(**values)
        if not found:
            return None
        own = _columns(self._model)
        instance = self._model.from_db(DEFAULT_DB_ALIAS, own, found[0][: len(own)])
        other = self._other()
        theirs = other.from_db(DEFAULT_DB_ALIAS, _columns(other), found[0][len(own) :])
        setattr(instance, self._related, theirs)
        return instance

    def _columns(self, rows: models.QuerySet[M]) -> models.QuerySet[M, Any]:
        theirs = [f"{self._related}__{name}" for name in _columns(self._other())]
        return rows.values_list(*_columns(self._model), *theirs)[:1]

    def _other(self) -> type[models.Model]:
        field = self._model._meta.get_field(self._related)  # noqa: SLF001 documented API
        return cast("type[models.Model]", field.related_model)


def insert(*rows: models.Model) -> None:
    """Write new rows of one model in one statement; raises IntegrityError."""
    model = type(rows[0])
    # Not by its stand-in, which looks for the thread's own at every use.
    here = connections[DEFAULT_DB_ALIAS]
    statement, fields = _insert(model, len(rows), here.vendor)
    with here.cursor() as cursor:
        cursor.execute(
            statement,
            [_prepared(field, field.pre_save(row, True), here) for row in rows for field in fields],
        )
    for row in rows:
        row._state.adding, row._state.db = False, DEFAULT_DB_ALIAS  # noqa: SLF001 documented


def insert_rows(
    model: type[models.Model], names: Sequence[str], rows: Sequence[Sequence[Any]]
) -> None:
    """Write many new rows of one model, given as values of the fields `names`; the other fields
    take their defaults. Raises IntegrityError. Ten times as fast as instances and `bulk_create`.
    """
    here = connections[DEFAULT_DB_ALIAS]
    steps = _preparation(model, tuple(names), here)
    start = 0
    while start < len(rows):
        # Powers of two, so that there are few statements to compose, whatever the number of rows.
        size = min(_ROWS_AT_ONCE, 1 << ((len(rows) - start).bit_length() - 1))
        statement, _fields = _insert(model, size, here.vendor)
        values = [step(row) for row in rows[start : start + size] for step in steps]
        with here.cursor() as cursor:
            cursor.execute(statement, values)
        start += size


def _preparation(
    model: type[models.Model], names: tuple[str, ...], here: Any
) -> list[Callable[[Sequence[Any]], Any]]:
    """For each column, what makes its value of a row."""

    def given(place: int) -> Callable[[Sequence[Any]], Any]:
        return lambda row: row[place]

    def prepared(place: int, field: _Field) -> Callable[[Sequence[Any]], Any]:
        prepare = field.get_db_prep_save

        def step(row: Sequence[Any]) -> Any:
            value = row[place]
            return None if value is None else prepare(value, here)

        return step

    def constant(value: Any) -> Callable[[Sequence[Any]], Any]:
        return lambda _row: value

    steps: list[Callable[[Sequence[Any]], Any]] = []
    for field in _given_fields(model):
        if field.name not in names:
            steps.append(constant(field.get_db_prep_save(field.get_default(), here)))
        elif isinstance(field, _AS_THEY_ARE) and type(field).__module__.startswith("django."):
            steps.append(given(names.index(field.name)))
        else:
            steps.append(prepared(names.index(field.name), field))
    return steps


def update(model: type[models.Model], *, where: dict[str, Any], changes: dict[str, Any]) -> int:
    """Set `changes` in the rows that match; how many did. None in `where` means NULL."""
    statement, fields = _update(model, tuple(changes), (), _asked(where), connection.vendor)
    with connection.cursor() as cursor:
        cursor.execute(statement, _values(fields, [*changes.values(), *_given(where)]))
        return int(cursor.rowcount)


def delete(model: type[models.Model], *, where: dict[str, Any]) -> None:
    """Delete the rows that match, and nothing that points to them. None in `where` means NULL."""
    statement, fields = _delete(model, _asked(where), connection.vendor)
    with connection.cursor() as cursor:
        cursor.execute(statement, _values(fields, _given(where)))


def update_returning(
    model: type[M],
    *,
    where: dict[str, Any],
    changes: dict[str, Any] | None = None,
    raised: dict[str, int] | None = None,
) -> M | None:
    """One UPDATE of one row that also brings the row: `changes` are set, `raised` are added to.

    The row is locked from here to the end of the transaction. None when nothing matched. All
    names are fields of `model`; values travel as parameters.
    """
    changes, raised = changes or {}, raised or {}
    names = tuple(changes), tuple(raised), _asked(where)
    statement, fields = _update(model, *names, connection.vendor)
    columns, converters = _returned(model, connection.vendor)
    values = [*changes.values(), *raised.values(), *_given(where)]
    with connection.cursor() as cursor:
        cursor.execute(f"{statement} RETURNING {columns}", _values(fields, values))
        found = cursor.fetchone()
    if found is None:
        return None
    return model.from_db(DEFAULT_DB_ALIAS, _columns(model), converted([found], converters)[0])


def converted(rows: list[_Row], converters: list[tuple[int, list[Any], Any]]) -> list[_Row]:
    """`rows` with the values of Python where the database has none (SQLite: ids, JSON, times)."""
    if not converters:
        return rows
    here = connections[DEFAULT_DB_ALIAS]
    found: list[_Row] = []
    for row in rows:
        values = list(row)
        for place, steps, expression in converters:
            for step in steps:
                values[place] = step(values[place], expression, here)
        found.append(values)
    return found


def _compile(rows: models.QuerySet[Any, Any]) -> _Compiled:
    # A connection of its own that is never opened: converters live as long as the process.
    compiler: Any = rows.query.get_compiler(connection=connection.copy())
    sql, parameters = compiler.as_sql()
    selected = [each[0] for each in compiler.select[: compiler.col_count]]
    converters = [
        (place, steps, expression)
        for place, (steps, expression) in compiler.get_converters(selected).items()
    ]
    return _Compiled(sql, tuple(parameters), converters)


@functools.cache
def _columns(model: type[models.Model]) -> list[str]:
    return [field.attname for field in _fields(model)]


def _fields(model: type[models.Model]) -> Sequence[_Field]:
    return cast("Sequence[_Field]", model._meta.concrete_fields)  # noqa: SLF001 documented


def _given_fields(model: type[models.Model]) -> Sequence[_Field]:
    """Those of a new row that the database does not number by itself."""
    return [field for field in _fields(model) if not isinstance(field, models.AutoField)]


@functools.cache
def _returned(model: type[models.Model], _vendor: str) -> tuple[str, list[tuple[int, Any, Any]]]:
    quote = connection.ops.quote_name
    compiled = _compile(model._base_manager.values_list(*_columns(model)))  # noqa: SLF001
    return ", ".join(quote(str(each.column)) for each in _fields(model)), compiled.converters


@functools.cache
def _insert(model: type[models.Model], rows: int, _vendor: str) -> tuple[str, Sequence[_Field]]:
    quote = connection.ops.quote_name
    fields = _given_fields(model)
    columns = ", ".join(quote(str(each.column)) for each in fields)
    one = f"({', '.join(['%s'] * len(fields))})"
    table = quote(model._meta.db_table)  # noqa: SLF001 documented
    values = ", ".join([one] * rows)
    return f"INSERT INTO {table} ({columns}) VALUES {values}", fields  # noqa: S608 names of models


@functools.cache
def _update(
    model: type[models.Model],
    changed: tuple[str, ...],
    raised: tuple[str, ...],
    where: tuple[tuple[str, bool], ...],
    _vendor: str,
) -> tuple[str, list[_Field]]:
    fields = [_field(model, name) for name in (*changed, *raised)]
    sets = [f"{_column(model, name)} = %s" for name in changed]
    sets += ["{0} = {0} + %s".format(_column(model, name)) for name in raised]
    conditions, asked = _conditions(model, where)
    table = connection.ops.quote_name(model._meta.db_table)  # noqa: SLF001 documented
    return f"UPDATE {table} SET {', '.join(sets)} WHERE {conditions}", [*fields, *asked]  # noqa: S608


@functools.cache
def _delete(
    model: type[models.Model], where: tuple[tuple[str, bool], ...], _vendor: str
) -> tuple[str, list[_Field]]:
    conditions, fields = _conditions(model, where)
    table = connection.ops.quote_name(model._meta.db_table)  # noqa: SLF001 documented
    return f"DELETE FROM {table} WHERE {conditions}", fields  # noqa: S608 names of models


def _conditions(
    model: type[models.Model], where: tuple[tuple[str, bool], ...]
) -> tuple[str, list[_Field]]:
    conditions = [
        f"{_column(model, name)} = %s" if is_given else f"{_column(model, name)} IS NULL"
        for name, is_given in where
    ]
    return " AND ".join(conditions), [_field(model, name) for name, is_given in where if is_given]


def _field(model: type[models.Model], name: str) -> _Field:
    return cast("_Field", model._meta.get_field(name))  # noqa: SLF001 documented


def _column(model: type[models.Model], name: str) -> str:
    return connection.ops.quote_name(str(_field(model, name).column))


def _asked(where: dict[str, Any]) -> tuple[tuple[str, bool], ...]:
    """The names in `where`, each with whether a value is given for it."""
    return tuple((name, value is not None) for name, value in where.items())


def _given(where: dict[str, Any]) -> list[Any]:
    return [value for value in where.values() if value is not None]


def _values(fields: Sequence[_Field], values: Sequence[Any]) -> list[Any]:
    here = connections[DEFAULT_DB_ALIAS]
    return [_prepared(field, value, here) for field, value in zip(fields, values, strict=True)]


def _prepared(field: _Field, value: Any, here: Any) -> Any:
    """What the database is given for `value`.

    Texts and numbers it takes as they are: asking the field takes some ten calls for each, and a
    turn has a hundred of them.
    """
    if value is None or type(value) is _plain_type(field):
        return value
    return field.get_db_prep_save(value, here)


@functools.cache
def _plain_type(field: _Field) -> type | None:
    """The type of values that `field` hands on untouched, None if there is none."""
    return next((plain for kind, plain in _PLAIN_TYPES if isinstance(field, kind)), None)


def _plain(value: Any) -> Any:
    if isinstance(value, UUID) and not connection.features.has_native_uuid_field:
        return value.hex
    return value
