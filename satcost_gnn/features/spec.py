"""What is computed of an instance (:class:`FeatureSpec`, with versions), apart from what that may cost (limits)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Self, TypeVar

from satcost_gnn.errors import ConfigError
from satcost_gnn.formula.compact_graph import GRAPH_VERSION
from satcost_gnn.formula.dimacs import ReadLimits
from satcost_gnn.formula.static_feature_list import STATIC_VERSION
from satcost_gnn.search.plain_run import PlainSettings
from satcost_gnn.search.probe_settings import (
    ONLINE_ADDED,
    ONLINE_VERSION,
    PROBE_REPLICATE_VERSION,
    PROBE_VERSION,
    ProbeSettings,
)
from satcost_gnn.search.random_dives import DIVES_VERSION, DiveSettings

Built = TypeVar("Built")


@dataclass(frozen=True)
class FeatureVersions:
    """Versions of what computes features; an estimator learns from those of one version.

    Parameters
    ----------
    static, online, graph, probe, dives, probe_replicate
        What another version computes means something else.
    online_added
        Raised with each feature of the early search that is added: features are found by name, so that what was
        trained on fewer goes on working.
    release
        Of PySAT, whose solvers are searched with. Another one may search a little differently.
    """

    static: str
    online: str
    online_added: int
    graph: str
    probe: str
    dives: str
    probe_replicate: int
    release: str

    @classmethod
    def today(cls) -> Self:
        """Return those of this package."""
        import pysat

        return cls(
            STATIC_VERSION,
            ONLINE_VERSION,
            ONLINE_ADDED,
            GRAPH_VERSION,
            PROBE_VERSION,
            DIVES_VERSION,
            PROBE_REPLICATE_VERSION,
            pysat.__version__,
        )

    @classmethod
    def from_dict(cls, found: Mapping[str, Any]) -> Self:
        """Build them from a dictionary, as :func:`dataclasses.asdict` makes it; ConfigError for a wrong key."""
        return _built(cls, found, {})

    def differences(self, trained: FeatureVersions) -> list[str]:
        """Return what forbids an estimator that was trained on other versions, one text each."""
        mine, its = asdict(self), asdict(trained)
        found = _differences(
            {name: value for name, value in mine.items() if name not in ("online_added", "release")}, its, "version of "
        )
        if trained.online_added > self.online_added:
            found.append(f"features of the early search up to number {trained.online_added}, here {self.online_added}")
        return found


@dataclass(frozen=True)
class FeatureSpec:
    """What is computed of an instance; part of every checkpoint.

    Parameters
    ----------
    probe
        Settings of the probe, None for no probe. Its budgets say how far the search goes: they belong to what is
        computed.
    dives
        Settings of the random dives that go with the probe, None for none.
    probe_replicate
        Whether an instance that the probe doesn't solve is probed a second time, on a renamed copy.
    plain
        Settings of the plain run that comes before the probe, None for none. Nothing else is made of what it answers.
    max_graph_edges
        Literal occurrences kept in the graph; larger formulas keep a sample of their clauses.
    """

    probe: ProbeSettings | None = field(default_factory=ProbeSettings)
    dives: DiveSettings | None = field(default_factory=DiveSettings)
    probe_replicate: bool = True
    plain: PlainSettings | None = None
    max_graph_edges: int = 200_000

    @classmethod
    def structure(cls) -> Self:
        """Return that of the static features and the graph alone, without any search."""
        return cls(probe=None, dives=None, probe_replicate=False)

    def key(self) -> str:
        """Return a short text that changes whenever the outcome may change: for keys of caches."""
        probe = self.probe.key() if self.probe is not None else "no-probe"
        dives = f"-{self.dives.key()}" if self.probe is not None and self.dives is not None else ""
        # The word is that of the first version: another one would make every cached instance anew.
        replicate = f"-again{PROBE_REPLICATE_VERSION}" if self.probe is not None and self.probe_replicate else ""
        plain = f"-{self.plain.key()}" if self.plain is not None else ""
        features = f"s{STATIC_VERSION}-o{ONLINE_VERSION}.{ONLINE_ADDED}-g{GRAPH_VERSION}-e{self.max_graph_edges}"
        return f"{features}-{probe}{dives}{replicate}{plain}"

    def differences(self, trained: FeatureSpec) -> list[str]:
        """Return what forbids an estimator that was trained on what another specification computes, one text each."""
        return _differences(asdict(self), asdict(trained))

    @classmethod
    def from_dict(cls, found: Mapping[str, Any]) -> Self:
        """Build it from nested dictionaries, as :func:`dataclasses.asdict` makes them; ConfigError for a wrong key."""
        return _built(cls, found, {"probe": ProbeSettings, "plain": PlainSettings, "dives": DiveSettings})


@dataclass(frozen=True)
class PreprocessLimits:
    """What preprocessing of one instance may cost.

    Parameters
    ----------
    read
        Limits on reading the file.
    graph_size_limit
        Literal occurrences beyond which no graph is built at all; None for no limit but those on reading.
    cpu_s, wall_s, memory_mb
        Limits of the child that does all of it; of CPU time for all children together, should one not come to its end.
    """

    read: ReadLimits = field(default_factory=ReadLimits)
    graph_size_limit: int | None = None
    cpu_s: float = 120.0
    wall_s: float = 300.0
    memory_mb: int = 8192

    @classmethod
    def from_dict(cls, found: Mapping[str, Any]) -> Self:
        """Build them from nested dictionaries, see :func:`dataclasses.asdict`; ConfigError for a wrong key."""
        return _built(cls, found, {"read": ReadLimits})


@dataclass(frozen=True)
class PreprocessSettings:
    """How instances are turned into what the estimators see: what is computed, and what it may cost."""

    features: FeatureSpec = field(default_factory=FeatureSpec)
    limits: PreprocessLimits = field(default_factory=PreprocessLimits)

    @property
    def searches_s(self) -> float:
        """CPU seconds that the searches of one input may take; reading and features are seldom as long."""
        features = self.features
        plain_s = features.plain.cpu_s if features.plain is not None else 0.0
        probe_s = features.probe.cpu_s if features.probe is not None else 0.0
        return min(plain_s + probe_s * (2 if features.probe_replicate else 1), self.limits.cpu_s)

    def with_features(self, **changes: Any) -> Self:
        """Return it with fields of :attr:`features` changed."""
        return replace(self, features=replace(self.features, **changes))

    def with_limits(self, **changes: Any) -> Self:
        """Return it with fields of :attr:`limits` changed."""
        return replace(self, limits=replace(self.limits, **changes))


def _built(cls: type[Built], found: Mapping[str, Any], parts: Mapping[str, Any]) -> Built:
    try:
        return cls(
            **{
                name: parts[name](**value) if name in parts and value is not None else value
                for name, value in found.items()
            }
        )
    except TypeError as error:
        raise ConfigError(f"preprocessing settings: {error}") from None


def _differences(mine: Mapping[str, Any], its: Mapping[str, Any], above: str = "") -> list[str]:
    """Return where nested values differ."""
    found = []
    for name, value in mine.items():
        other = its.get(name)
        if isinstance(value, Mapping) and isinstance(other, Mapping):
            found += _differences(value, other, f"{above}{name}.")
        elif value != other:
            found.append(f"{above}{name}: {_shown(other)}, here {_shown(value)}")
    return found


def _shown(value: object) -> object:
    return "some" if isinstance(value, Mapping) else "none" if value is None else value
