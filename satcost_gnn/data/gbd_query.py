"""The query language of GBD, translated to SQL with parameters.

The language is that of gbd-tools 5 (https://github.com/Udopia/gbd): constraints such as ``family = crypto``,
``variables > 1000``, ``family like %hard%``, ``clauses < (4 * variables)`` and ``result != None``, joined by ``and``,
``or`` and ``not``. As there, ``not`` extends to the end of its parenthesis, and ``and`` binds tighter than ``or``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from satcost_gnn.errors import ConfigError

_NAME = r"[a-zA-Z][a-zA-Z0-9_]*"
_COLUMN = re.compile(rf"(?:({_NAME}):)?({_NAME})")
_COMPARISON = re.compile(r"!=|<=|>=|=|<|>")
_LIKE = re.compile(r"(like|unlike)(?![a-zA-Z0-9_])", re.IGNORECASE)
_NUMBER = re.compile(r"-?[0-9]+(?:\.[0-9]+)?(?![A-Za-z0-9_])")
_TEXT = re.compile(r"'([^']+)'|\"([^\"]+)\"|([a-zA-Z0-9_.\-/,:+=@]+)")
_PERCENT = re.compile("%")
_OPEN = re.compile(r"\(")
_CLOSE = re.compile(r"\)")
_END = re.compile(r"\Z")
_WORD = re.compile(r"(and|or|not)(?![a-zA-Z0-9_])", re.IGNORECASE)
_OPERATOR = re.compile(r"[-+*/]")
#: SQL of the hash of the instance that a condition is about.
INSTANCE = "every.hash"


@dataclass(frozen=True)
class Feature:
    """Where a feature is kept.

    Parameters
    ----------
    column
        SQL of its value in the joined row; of a feature with several values, of a row of ``table``.
    table
        SQL of its own table, ``(hash, value)``; None for a feature with one value.
    """

    column: str
    table: str | None = None


def to_sql(query: str, places: Mapping[str, Mapping[str, Feature]]) -> tuple[str, list[str | float]]:
    """Translate a query.

    Parameters
    ----------
    query
        In GBD's language; an empty one selects everything.
    places
        Database -> its features by name; of a feature that several have, the first one's counts.

    Returns
    -------
    str, list
        The condition, and the parameters of its question marks.

    Raises
    ------
    ConfigError
        If it is no query, or no database has such a feature.
    """
    if not query.strip():
        return "1", []
    parser = _Parser(query, places)
    return parser.parsed(), parser.values


class _Parser:
    """Recursive descent over the text of a query."""

    def __init__(self, query: str, places: Mapping[str, Mapping[str, Feature]]) -> None:
        self._query = query
        self._places = places
        self._at = 0
        self.values: list[str | float] = []

    def parsed(self) -> str:
        """Return the condition; its parameters are in ``values`` then."""
        found = self._expression()
        if not self._take(_END):
            raise self._error("'and', 'or' or the end")
        return found

    def _take(self, pattern: re.Pattern[str]) -> re.Match[str] | None:
        while self._query[self._at : self._at + 1].isspace():
            self._at += 1
        found = pattern.match(self._query, self._at)
        if found:
            self._at = found.end()
        return found

    def _error(self, expected: str) -> ConfigError:
        rest = self._query[self._at : self._at + 20]
        found = repr(rest) if rest else "the end"
        return ConfigError(
            f"--query: found {found} at character {self._at + 1} of {self._query!r}; expected {expected}"
        )

    def _expression(self) -> str:
        """Constraints joined by ``and`` and ``or``, whose precedence is left to SQL."""
        parts = [self._operand()]
        while True:
            before = self._at
            word = self._take(_WORD)
            if word is None or word[1].lower() == "not":
                self._at = before
                return " ".join(parts)
            parts += [word[1].upper(), self._operand()]

    def _operand(self) -> str:
        before = self._at
        word = self._take(_WORD)
        if word is not None and word[1].lower() == "not":
            return f"NOT ({self._expression()})"
        self._at = before
        if self._take(_OPEN):
            return self._closed(self._expression())
        return self._constraint()

    def _closed(self, inner: str) -> str:
        if not self._take(_CLOSE):
            raise self._error("')'")
        return f"({inner})"

    def _feature(self) -> Feature:
        found = self._take(_COLUMN)
        if found is None:
            raise self._error("the name of a feature")
        database, name = found[1] or "", found[2]
        # GBD also takes the context of a database before the colon, which its name begins with.
        for known, inside in self._places.items():
            if name in inside and (not database or known == database or known.startswith(database + "_")):
                return inside[name]
        there = sorted({one for inside in self._places.values() for one in inside})
        raise ConfigError(f"--query: found feature {found[0]!r}; expected one of {', '.join(there)}")

    def _constraint(self) -> str:
        feature = self._feature()
        if like := self._take(_LIKE):
            before = "%" if self._take(_PERCENT) else ""
            text = self._text()
            after = "%" if self._take(_PERCENT) else ""
            return self._of_values(feature, "LIKE", before + text + after, like[1].lower() == "unlike")
        comparison = self._take(_COMPARISON)
        if comparison is None:
            raise self._error("=, !=, <, >, <=, >=, like or unlike")
        number = self._number()
        if number is not None:
            return self._held(feature, f"CAST({feature.column} AS FLOAT) {comparison[0]} {number}")
        text = self._text()
        if text.lower() == "none":
            return self._of_nothing(feature, comparison[0])
        if comparison[0] in ("=", "!="):
            return self._of_values(feature, "=", text, comparison[0] == "!=")
        self.values.append(text)
        return self._held(feature, f"{feature.column} {comparison[0]} ?")

    def _text(self) -> str:
        found = self._take(_TEXT)
        if found is None:
            raise self._error("a text or a number")
        return found[1] or found[2] or found[3]

    def _of_values(self, feature: Feature, operator: str, value: str, other: bool) -> str:
        """The feature has such a value; or, if ``other``, none of its values is such."""
        self.values.append(value)
        if feature.table is None:
            one = f"{feature.column} {operator} ?"
            return f"NOT ({one})" if other else one
        inside = f"(SELECT hash FROM {feature.table} WHERE {feature.column} {operator} ?)"
        return f"{INSTANCE} {'NOT IN' if other else 'IN'} {inside}"

    def _held(self, feature: Feature, condition: str) -> str:
        """The condition holds of the feature, or of one of its values."""
        if feature.table is None:
            return condition
        return f"{INSTANCE} IN (SELECT hash FROM {feature.table} WHERE {condition})"

    def _of_nothing(self, feature: Feature, operator: str) -> str:
        if operator not in ("=", "!="):
            raise self._error("= or != before None")
        if feature.table is None:
            nothing = f"({feature.column} IS NULL OR {feature.column} = 'None')"
        else:
            nothing = f"{INSTANCE} NOT IN (SELECT hash FROM {feature.table})"
        return nothing if operator == "=" else f"NOT {nothing}"

    def _number(self) -> str | None:
        """A number, or arithmetic in parentheses."""
        if self._take(_OPEN):
            parts = [self._factor()]
            while operator := self._take(_OPERATOR):
                parts += [operator[0], self._factor()]
            return self._closed(" ".join(parts))
        if number := self._take(_NUMBER):
            self.values.append(float(number[0]))
            return "?"
        return None

    def _factor(self) -> str:
        number = self._number()
        if number is not None:
            return number
        feature = self._feature()
        if feature.table is not None:
            raise self._error("a feature with one value for an instance before it")
        return f"CAST({feature.column} AS FLOAT)"
