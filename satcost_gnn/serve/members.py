"""The estimators of a checkpoint as a graph of named members: each is stored once and says what others it consists of.

A mixture of the network and a forest is a member whose parts are two other members; the network alone is a member too,
and can be asked like any other.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import Field

from satcost_gnn.errors import DamagedFileError
from satcost_gnn.runtime.stored_files import sha256
from satcost_gnn.section import Section

if TYPE_CHECKING:
    from satcost_gnn.serve.checkpoint import Checkpoint

#: Estimators that run on a device and predict in several units.
NETWORK = "gnn"
#: What is no estimator, but a part of some: tells what is unlike the training data.
DETECTOR = "ood_detector"


class Member(Section):
    """What a checkpoint says of one of its members, whose files are in the directory of its name.

    Parameters
    ----------
    kind
        Name of the estimator in the registry, or :data:`DETECTOR`.
    parts
        Role -> name of the member that has it.
    """

    kind: str
    parts: dict[str, str] = Field(default_factory=dict)


class MemberStore:
    """Writes members into the directory of a checkpoint that is being made."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        #: What has been written.
        self.members: dict[str, Member] = {}
        self._names: dict[int, str] = {}
        self._contents: dict[str, str] = {}
        # Objects that are written stay alive, so that none takes another's place in memory.
        self._kept: list[Any] = []

    def add(self, name: str, member: Any) -> str:
        """Write an estimator and what it consists of; return the name it has, which is an earlier one of the same.

        Its parts that are not written yet are called after it and their roles.
        """
        # Imported here, as below: opening a checkpoint is to load little.
        from satcost_gnn.learn.base import Estimator

        shared = getattr(member, "shared", member)
        if id(shared) in self._names:
            return self._names[id(shared)]
        parts = member.parts() if isinstance(member, Estimator) else {}
        named = {role: self.add(f"{name}.{role}", part) for role, part in parts.items()}
        place = self.directory / name
        place.mkdir(parents=True)
        if isinstance(member, Estimator):
            member.save(place, with_parts=False)
        else:
            member.save(place)
        files = [f"{path.name} {sha256(path)}" for path in sorted(place.iterdir())]
        content = str([*files, *sorted(named.items())])
        if content in self._contents:
            shutil.rmtree(place)
        else:
            self._contents[content] = name
            self.members[name] = Member(kind=member.name, parts=named)
        self._names[id(shared)] = self._contents[content]
        self._kept.append(shared)
        return self._contents[content]


class Members:
    """Reads members of a checkpoint for predictions in one unit, each once; networks run on the device."""

    def __init__(self, checkpoint: Checkpoint, unit: str, device: str = "auto") -> None:
        self.checkpoint, self.unit, self.device = checkpoint, unit, device
        self._read: dict[str, Any] = {}

    def get(self, name: str) -> Any:
        """Return a member with all its parts.

        Raises
        ------
        CheckpointError
            If the checkpoint has none of that name, or a file of it or of a part is damaged.
        """
        if name not in self._read:
            from satcost_gnn.learn.registry import load_part

            known: Mapping[str, Member] = self.checkpoint.config.members
            if name not in known:
                raise DamagedFileError(f"{self.checkpoint.directory}: found no member {name!r}")
            member, place = known[name], self.checkpoint.member(name)
            options: dict[str, Any] = {}
            if member.kind == NETWORK:
                options = {"unit": self.unit, "device": self.device}
            elif member.parts:
                options = {"parts": {role: self.get(part) for role, part in member.parts.items()}}
            self._read[name] = load_part(member.kind, place, **options)
        return self._read[name]


def with_parts(members: Mapping[str, Member], name: str) -> set[str]:
    """Return the names of a member and of all that it consists of.

    Raises
    ------
    ValueError
        If one of them is not a member, or consists of itself.
    """

    def reach(name: str, above: tuple[str, ...]) -> set[str]:
        if name not in members or name in above:
            raise ValueError(f"{name!r} is no member, or consists of itself")
        return {name}.union(*(reach(part, (*above, name)) for part in members[name].parts.values()))

    return reach(name, ())
