"""A table of named values, checked key by key: of the configuration, and of the files of a checkpoint."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Self

from pydantic import BaseModel, ConfigDict, ValidationError, ValidationInfo, model_validator

from satcost_gnn.errors import ConfigError


class Section(BaseModel):
    """A table: fixed once read, no keys beyond its own."""

    # Most tables are not read by most commands: each is built when it is first needed.
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False, defer_build=True)

    #: Key of an earlier version -> key today. Both are read, only the latter is written.
    former_keys: ClassVar[Mapping[str, str]] = {}

    @model_validator(mode="before")
    @classmethod
    def _with_keys_of_today(cls, values: Any, info: ValidationInfo) -> Any:
        if not isinstance(values, Mapping):
            return values
        former = [key for key in values if key in cls.former_keys and cls.former_keys[key] not in values]
        if isinstance(info.context, list):
            info.context.extend((key, cls.former_keys[key]) for key in former)
        return {cls.former_keys[key] if key in former else key: value for key, value in values.items()}

    @classmethod
    def checked(
        cls,
        values: Mapping[str, Any] | Self | None,
        source: str = "settings",
        former: list[tuple[str, str]] | None = None,
    ) -> Self:
        """Build the section from plain values.

        Parameters
        ----------
        values
            Keys of earlier versions (:attr:`former_keys`) are read like those of today.
        source
            Where they come from, for errors.
        former
            Takes each such key that was found, and the one of today.

        Raises
        ------
        ConfigError
            If a key is unknown or missing, or a value is of the wrong type or out of range.
        """
        if isinstance(values, cls):
            return values
        try:
            return cls.model_validate(dict(values or {}), context=former)
        except ValidationError as error:
            raise ConfigError(f"{source}: {'; '.join(problems(cls, error))}") from None


def section_at(section: type[BaseModel], place: tuple[int | str, ...]) -> type[BaseModel]:
    """Return the section that the key at a place belongs to."""
    for step in place[:-1]:
        field = section.model_fields.get(str(step))
        if field is None or not isinstance(field.annotation, type) or not issubclass(field.annotation, BaseModel):
            break
        section = field.annotation
    return section


def problems(section: type[BaseModel], error: ValidationError) -> list[str]:
    """Return a text for each problem: the key, what was found, what is expected."""
    lines = []
    for problem in error.errors():
        place = problem["loc"]
        key = ".".join(str(step) for step in place) or "the whole table"
        if problem["type"] == "extra_forbidden":
            known = ", ".join(section_at(section, place).model_fields)
            lines.append(f"found unknown key {key!r}; expected one of: {known}")
        elif problem["type"] == "missing":
            lines.append(f"found no key {key!r}, which has no default; add it")
        else:
            message = problem["msg"].removeprefix("Value error, ")
            value = repr(problem["input"])
            value = value if len(value) < 300 else value[:297] + "..."
            lines.append(f"found {key} = {value}: {message[:1].lower()}{message[1:]}")
    return lines
