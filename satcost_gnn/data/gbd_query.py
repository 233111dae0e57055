"""The query language of GBD, translated to SQL with parameters.

The language is that of gbd-tools 5 (https://github.com/Udopia/gbd): constraints such as ``family = crypto``,
``variables > 1000``, ``family like %hard%``, ``clauses < (4 * variables)`` and ``result != None``, joined by ``and``,
``or`` and ``not``. As there, ``not`` extends to the end of its parenthesis, and ``and`` binds tighter than ``or``.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from satcost_gnn.errors import ConfigError

_NAME = r"[a-zA-Z][a-zA-Z0-9_]*"
_COLUMN = re.compile(rf"(?:({_NAME}):)?({_NAME})")
_COMPARISON = re.compile(r"!=|<=|>=|=|<|>")
_LIKE = re.compile(r"(like|unlike)(?![a-zA-Z0-9_])", re.IGNORECASE)
_NUMBER = re.compile(r"-?[0-9]+(?:\.[0-9]+)?(?![A-Za-z0-9_])")
_TEXT = re.compile(r"'([^']+)'|\"([^\"]+)\"|([a-zA-Z0-9_.\-/,:+=@]+)")
_PERCENT = re.compile("%")
_WORD = re.compile(r"(and|or|not)(?![a-zA-Z0-9_])", re.IGNORECASE)
_OPERATOR = re.compile(r"[-+*/]")


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


def to_sql(query: str, find: Callable[[str, str], Feature], instance: str) -> tuple[str, list[str | float]]:
    """Translate a query.

    Parameters
    ----------
    query
        In GBD's language; an empty one selects everything.
    find
        Takes the name of a database (empty for any) and of a feature, and says where it is.
    instance
        SQL of the instance's hash.

    Returns
    -------
    str, list
        The condition, and the parameters of its question marks.

    Raises
    ------
    ConfigError
        If it is no query, or ``find`` knows no such feature.
    """
    return _Parser(query, find, instance).parsed() if query.strip() else ("1", [])


class _Parser:
    """Recursive descent over the text of a query."""

    def __init__(self, query: str, find: Callable[[str, str], Feature], instance: str) -> None:
        self._query = query
        self._find = find
        self._instance = instance
        self._at = 0
        self._values: list[str | float] = []

    def parsed(self) -> tuple[str, list[str | float]]:
        """Return the condition and its parameters."""
        found = self._expression()
        self._skip()
        if self._at < len(self._query):
            raise self._error("'and', 'or' or the end")
        return found, self._values

    def _skip(self) -> None:
        while self._at < len(self._query) and self._query[self._at].isspace():
            self._at += 1

    def _take(self, pattern: re.Pattern[str]) -> re.Match[str] | None:
        self._skip()
        found = pattern.match(self._query, self._at)
        if found:
            self._at = found.end()
        return found

    def _next_is(self, character: str) -> bool:
        self._skip()
        return self._query.startswith(character, self._at)

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
        if self._next_is("("):
            self._at += 1
            inner = self._expression()
            self._close()
            return f"({inner})"
        return self._constraint()

    def _close(self) -> None:
        if not self._next_is(")"):
            raise self._error("')'")
        self._at += 1

    def _feature(self) -> Feature:
        found = self._take(_COLUMN)
        if found is None:
            raise self._error("the name of a feature")
        return self._find(found[1] or "", found[2])

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
        if self._next_is("("):
            term = self._term()
            return self._of_numbers(feature, comparison[0], term)
        if number := self._take(_NUMBER):
            self._values.append(float(number[0]))
            return self._of_numbers(feature, comparison[0], "?")
        text = self._text()
        if text.lower() == "none":
            return self._of_nothing(feature, comparison[0])
        if comparison[0] in ("=", "!="):
            return self._of_values(feature, "=", text, comparison[0] == "!=")
        self._values.append(text)
        return self._held(feature, f"{feature.column} {comparison[0]} ?")

    def _text(self) -> str:
        found = self._take(_TEXT)
        if found is None:
            raise self._error("a text or a number")
        return found[1] or found[2] or found[3]

    def _of_values(self, feature: Feature, operator: str, value: str, other: bool) -> str:
        """The feature has such a value; or, if ``other``, none of its values is such."""
        self._values.append(value)
        if feature.table is None:
            one = f"{feature.column} {operator} ?"
            return f"NOT ({one})" if other else one
        inside = f"(SELECT hash FROM {feature.table} WHERE {feature.column} {operator} ?)"
        return f"{self._instance} {'NOT IN' if other else 'IN'} {inside}"

    def _of_numbers(self, feature: Feature, operator: str, number: str) -> str:
        return self._held(feature, f"CAST({feature.column} AS FLOAT) {operator} {number}")

    def _held(self, feature: Feature, condition: str) -> str:
        """The condition holds of the feature, or of one of its values."""
        if feature.table is None:
            return condition
        return f"{self._instance} IN (SELECT hash FROM {feature.table} WHERE {condition})"

    def _of_nothing(self, feature: Feature, operator: str) -> str:
        if operator not in ("=", "!="):
            raise self._error("= or != before None")
        if feature.table is None:
            nothing = f"({feature.column} IS NULL OR {feature.column} = 'None')"
        else:
            nothing = f"{self._instance} NOT IN (SELECT hash FROM {feature.table})"
        return nothing if operator == "=" else f"NOT {nothing}"

    def _term(self) -> str:
        """Arithmetic in parentheses."""
        if not self._next_is("("):
            raise self._error("'('")
        self._at += 1
        parts = [self._factor()]
        while operator := self._take(_OPERATOR):
            parts += [operator[0], self._factor()]
        self._close()
        return f"({' '.join(parts)})"

    def _factor(self) -> str:
        if self._next_is("("):
            return self._term()
        if number := self._take(_NUMBER):
            self._values.append(float(number[0]))
            return "?"
        feature = self._feature()
        if feature.table is not None:
            raise self._error("a feature with one value for an instance before it")
        return f"CAST({feature.column} AS FLOAT)"


def placed(features: Mapping[str, Mapping[str, Feature]]) -> Callable[[str, str], Feature]:
    """Return what finds a feature among those of several databases, the first ones first.

    Parameters
    ----------
    features
        Database -> its features by name.
    """

    def find(database: str, name: str) -> Feature:
        # GBD also takes the context of a database before the colon, which its name begins with.
        for known, inside in features.items():
            if name in inside and (not database or known == database or known.startswith(database + "_")):
                return inside[name]
        there = sorted({one for inside in features.values() for one in inside})
        wanted = f"{database}:{name}" if database else name
        raise ConfigError(f"--query: found feature {wanted!r}; expected one of {', '.join(there)}")

    return find
