"""What a document knows about itself: fields, tables, check boxes and how its numbers belong.

Families fill a `Draft`; layouts and questions read it. Every number that follows from others is
noted as a `Relation` between paths, so that a test can do the sums again from what is printed.
Must not know where anything stands.

Source: data synthesis specification, section 9 (`gt`, consistency rules).
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from decimal import Decimal
from typing import Any

from nanovl.core.errors import InputError
from nanovl.synth.business.formats import Locale, cents
from nanovl.synth.business.phrases import english_name, phrases
from nanovl.synth.tables.grid import Cell, Column, Row, Table

__all__ = ["Check", "Draft", "Field", "ItemColumn", "ItemTable", "Relation", "Term"]


@dataclass(frozen=True, kw_only=True)
class Field:
    """A piece of information with a name.

    Attributes:
        path: Where it is in the key-value tree, such as "buyer.name" or "items.0.total".
        name: What questions call it, in English.
        text: As it is printed.
        value: Normalised: dates as YYYY-MM-DD, amounts as numbers.
        kind: "text", "id", "date", "money", "number", "percent" or "time".
        label: As it is printed, "" where it has none.
    """

    path: str
    name: str
    text: str
    value: Any
    kind: str = "text"
    label: str = ""


@dataclass(frozen=True, kw_only=True)
class Check:
    """A box to tick.

    Attributes:
        path: Where it is in the key-value tree.
        group: The question it belongs to, as printed.
        text: What stands beside it.
        is_on: Whether it is ticked.
    """

    path: str
    group: str
    text: str
    is_on: bool


@dataclass(frozen=True, kw_only=True)
class Term:
    """A field in a sum, with its sign."""

    path: str
    sign: int = 1


@dataclass(frozen=True, kw_only=True)
class Relation:
    """How a number follows from others.

    Attributes:
        kind: "sum" (of signed terms), "product" (quantity, price and perhaps a discount in percent
            that is taken off), or "rate" (a share in percent of an amount); products and rates are
            rounded to cents.
        result: Path.
        terms: Paths.
    """

    kind: str
    result: str
    terms: tuple[Term, ...]


@dataclass(frozen=True, kw_only=True)
class ItemColumn:
    """A column of a table of items: its key, its printed header, what is in it."""

    key: str
    label: str
    kind: str = "text"


@dataclass(kw_only=True)
class ItemTable:
    """A table of items.

    Attributes:
        path: Where it is in the key-value tree.
        columns: From left to right.
        rows: Fields of every row, None for an empty cell.
        noun: What a row is, in English.
        title: Printed above, "" for none.
    """

    path: str
    columns: tuple[ItemColumn, ...]
    rows: list[list[Field | None]] = field(default_factory=list)
    noun: str = "item"
    title: str = ""

    @property
    def texts(self) -> list[list[str]]:
        """Printed texts of the body."""
        return [["" if f is None else f.text for f in row] for row in self.rows]

    def column(self, key: str) -> list[Field | None]:
        """The fields of a column.

        Raises:
            InputError: There is no such column.
        """
        for place, column in enumerate(self.columns):
            if column.key == key:
                return [row[place] for row in self.rows]
        raise InputError(f"{self.path}: no column {key!r}")

    @property
    def keys(self) -> tuple[str, ...]:
        """Of the columns."""
        return tuple(c.key for c in self.columns)

    def grid(self) -> Table:
        """The same as a grid, its first column as row headers."""
        cells = [
            Cell(text=c.label, row=0, column=k, role="head") for k, c in enumerate(self.columns)
        ]
        for r, row in enumerate(self.rows, 1):
            for k, found in enumerate(row):
                number = None
                if found is not None and isinstance(found.value, int | float):
                    number = float(found.value)
                text = "" if found is None else found.text
                role = "data" if k else "stub"
                cells.append(Cell(text=text, row=r, column=k, role=role, value=number))
        kinds = {"money": "money", "number": "decimal", "percent": "percent", "date": "date"}
        return Table(
            cells=tuple(cells),
            height=len(self.rows) + 1,
            width=len(self.columns),
            head=1,
            stub=1,
            columns=tuple(
                Column(path=(c.label,), kind=kinds.get(c.kind, "text")) for c in self.columns[1:]
            ),
            rows=tuple(Row(label="" if r[0] is None else r[0].text) for r in self.rows),
            title=self.title,
            corner=self.columns[0].label,
        )


class Draft:
    """A document in the making.

    Args:
        family: Key of the family.
        locale: How it writes.
        rng: The generator of the stream "content".
    """

    def __init__(self, family: str, locale: Locale, rng: random.Random) -> None:
        self.family = family
        self.locale = locale
        self.rng = rng
        self.title = ""
        self.fields: dict[str, Field] = {}
        self.tables: list[ItemTable] = []
        self.checks: list[Check] = []
        self.relations: list[Relation] = []
        self._labels: dict[str, str] = {}

    def words(self, key: str) -> tuple[str, ...]:
        """Alternatives of a phrase in the language of the document."""
        return phrases(key, self.locale.language)

    def pick(self, key: str, **slots: object) -> str:
        """One alternative of a phrase, its slots filled."""
        text = self.rng.choice(self.words(key))
        return text.format(**slots) if slots else text

    def label(self, key: str) -> str:
        """The printed label of a key, the same everywhere in the document."""
        if key not in self._labels:
            self._labels[key] = self.pick(key)
        return self._labels[key]

    def add(
        self,
        path: str,
        text: str,
        value: Any = None,
        kind: str = "text",
        *,
        key: str = "",
        name: str = "",
        label: str | None = None,
    ) -> Field:
        """A new field.

        Args:
            path: Its place; the last part is the key of its label.
            text, value, kind: See `Field`; the value is the text when None.
            key: Of the label, where it is not the last part of the path.
            name: For questions; the English label by default.
            label: Printed label; "" for none.

        Raises:
            InputError: The path is taken.
        """
        if path in self.fields:
            raise InputError(f"{self.family}: field {path!r} exists already")
        key = key or path.rsplit(".", 1)[-1]
        text = " ".join(text.split())
        made = Field(
            path=path,
            name=name or english_name(key),
            text=text,
            value=text if value is None else value,
            kind=kind,
            label=self.label(key) if label is None else label,
        )
        self.fields[path] = made
        return made

    def day(self, path: str, day: date, **more: Any) -> Field:
        """A field with a date."""
        return self.add(path, self.locale.date(day), day.isoformat(), "date", **more)

    def money(self, path: str, amount: Decimal, *, bare: bool = False, **more: Any) -> Field:
        """A field with an amount of money; `bare` prints it without the currency."""
        amount = cents(amount)
        text = self.locale.amount(amount) if bare else self.locale.money(amount)
        return self.add(path, text, float(amount), "money", **more)

    def number(self, path: str, value: Decimal | int, decimals: int = 0, **more: Any) -> Field:
        """A field with a number."""
        shown = float(value) if decimals else int(value)
        return self.add(path, self.locale.number(value, decimals), shown, "number", **more)

    def percent(self, path: str, value: Decimal, **more: Any) -> Field:
        """A field with a rate."""
        return self.add(path, self.locale.percent(value), float(value), "percent", **more)

    def table(self, path: str, columns: Sequence[tuple[str, str]], noun: str) -> ItemTable:
        """A new, empty table; columns are (key, kind)."""
        made = ItemTable(
            path=path,
            columns=tuple(ItemColumn(key=k, label=self.label(k), kind=kind) for k, kind in columns),
            noun=noun,
        )
        self.tables.append(made)
        return made

    def row(self, table: ItemTable, cells: Sequence[tuple[str, Any] | None]) -> None:
        """Append a row; cells are (text, value), None for an empty one."""
        number = len(table.rows)
        row: list[Field | None] = []
        for column, cell in zip(table.columns, cells, strict=True):
            if cell is None:
                row.append(None)
                continue
            text, value = cell
            made = self.add(
                f"{table.path}.{number}.{column.key}",
                text,
                value,
                column.kind,
                name=english_name(column.key),
                label=column.label,
            )
            row.append(made)
        table.rows.append(row)

    def relate(self, kind: str, result: str, *terms: str) -> None:
        """Note how a number follows from others; a path with "-" before it is taken away.

        Raises:
            InputError: A path does not exist.
        """
        found = tuple(Term(path=t.lstrip("-"), sign=-1 if t[0] == "-" else 1) for t in terms)
        for path in (result, *(t.path for t in found)):
            if path not in self.fields:
                raise InputError(f"{self.family}: no field {path!r} to relate")
        self.relations.append(Relation(kind=kind, result=result, terms=found))

    def tick(self, path: str, group: str, text: str, is_on: bool) -> Check:
        """A new check box."""
        made = Check(path=path, group=group, text=text, is_on=is_on)
        self.checks.append(made)
        return made

    def bare(self, path: str) -> Field:
        """A field without its label."""
        return replace(self.fields[path], label="")
