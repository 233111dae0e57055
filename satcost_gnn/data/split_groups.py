"""Which instances belong together: groups that no split divides, and blocks of families."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from fnmatch import fnmatchcase

from satcost_gnn.data.schema import ManifestRow

# Families (shell patterns) that are left out together. A family that is not listed is a block of its own.
BLOCKS: Mapping[str, tuple[str, ...]] = {
    "random-ksat": (
        "satlib-uf-random3sat",
        "satlib-uuf-random3sat",
        "satlib-large-random",
        "satlib-cbs-backbone",
        "satlib-jnh",
        "satlib-aim",
        "satcomp-random-ksat",
        "random-ksat",
        "regular-ksat",
        "planted-ksat",
        "modular-ksat",
        "powerlaw-ksat",
        "two-plus-p",
    ),
    "model-counting": ("mccomp2022-*",),
    "sampling-circuits": ("sampling-*", "circuit-iscas", "satlib-bf", "satlib-ssa"),
    "bayesnet": ("bayesnet-*",),
    "feature-models": ("featuremodel-*",),
    # The MD4 and MD5 instances are mixed up in their labels; the others are one cipher each.
    "md4-md5": ("crypto-md4", "crypto-md5", "md4-preimage"),
    "sha1": ("crypto-sha1",),
    "sha256": ("crypto-sha256*",),
    # Bivium is Trivium with two of its three registers.
    "trivium": ("crypto-trivium", "crypto-bivium", "trivium-state"),
    "feedback-registers": ("crypto-lfsr-misc", "filter-generator"),
    "parity": (
        "satlib-dubois",
        "satlib-pret",
        "satlib-parity",
        "proofcomplexity-urq-clq-myc",
        "tseitin",
        "tseitin-grid",
        "parity-orders",
        "parity-noisy",
        "random-xor",
        "clique-colouring",
    ),
    "pigeonhole": (
        "php-*",
        "pigeonhole",
        "pigeons-per-hole",
        "perfect-matching",
        "math-mutilated-chessboard",
    ),
    "colouring": (
        "satlib-flat-coloring",
        "satlib-swgcp-morphed",
        "satlib-gcp-large",
        "graph-coloring-dimacs",
        "math-chromatic-plane",
        "graph-colouring",
        "regular-colouring",
        "flat-colouring",
    ),
    "latin-squares": ("latin-*", "puzzles", "quasigroup-*", "sudoku"),
    "ramsey": ("math-ramsey-*", "math-green", "ramsey", "van-der-waerden", "schur"),
    "clique": ("math-keller", "clique"),
    "arithmetic": (
        "multiplier-factoring",
        "factoring",
        "multiplier-miter",
        "adder-miter",
        "count-miter",
        "mixed-boolean-arithmetic",
        "subset-sum",
    ),
    "sorting": ("lec-sorting", "sorter-miter"),
    "bounded-model-checking": ("bmc-*",),
    "planning": ("planning-*", "satlib-hanoi"),
    "shop-scheduling": ("scheduling-jobshop", "shop-scheduling"),
    # Left-overs of competitions: a little of everything.
    "competition-mixture": ("misc-satcomp", "satcomp-industrial-small", "crypto-satcomp-misc"),
}

# What a file's name says of its kind, where labels of families were found to be wrong or mixed. Such an instance is
# left out of the split by family unless both agree, since it would leak its kin into training.
_NAMED_BLOCKS: tuple[tuple[re.Pattern[str], str], ...] = tuple(
    (re.compile(pattern), block)
    for pattern, block in (
        (r"unif-k\d|(?<![a-z])uu?f\d+-\d|RTI_k\d|hgen\d", "random-ksat"),
        (r"grid_\d+_\d+_\w{8}_\d{9}", "counting-grid-wmc"),
        (r"sgen\d", "small-unsat"),
        (r"(?<![a-z])par(8|16|32)-|mod2c?-rand3bip|Urq", "parity"),
        (r"(?<![a-z])md[45][-_]|cms-scheel-md[45]", "md4-md5"),
        (r"prime_?\d{3}|(?<![a-z])longmult", "arithmetic"),
        (r"queen\d+-\d+-\d+|(?<![a-z])flat\d+-\d+", "colouring"),
        (r"(?<![a-z])sudoku", "latin-squares"),
    )
)


def block_of_family(family: str) -> str:
    """Return the block of families that ``family`` is left out with: itself unless :data:`BLOCKS` says otherwise.

    A family of cubes (``cube-FAMILY`` or ``cubes-FAMILY``) belongs to the block of the family that was cut.
    """
    name = re.sub(r"^cubes?-", "", family)
    for block, patterns in BLOCKS.items():
        if any(fnmatchcase(name, pattern) for pattern in patterns):
            return block
    return name


def named_block(path: str | None) -> str | None:
    """Return the block that a file's name speaks for, None if it says nothing."""
    if path is None:
        return None
    name = path.rsplit("/", 1)[-1]
    return next((block for pattern, block in _NAMED_BLOCKS if pattern.search(name)), None)


def recipe_source(recipe: str) -> str:
    """Return what a recipe is a variant of: the recipe or identity of a cube's parent, without any shuffling.

    >>> recipe_source("cube:literals=3_-17,parent=tseitin:degree=4,n=30,shuffle=5,seed=1")
    'tseitin:degree=4,n=30,seed=1'
    """
    while recipe.startswith("cube:") and ",parent=" in recipe:
        recipe = recipe.partition(",parent=")[2]
    return re.sub(r"(?<=[:,])shuffle=[^,]*,?", "", recipe).rstrip(",")


def relations(row: ManifestRow) -> Iterator[tuple[str, str]]:
    """Yield what ties the row to others: a node and what the tie is called in a message."""
    yield f"isohash:{row.isohash}", f"isohash {row.isohash}"
    if row.parent is not None:
        yield f"instance:{row.parent}", f"parent {row.parent}"
    if row.recipe is not None:
        source = recipe_source(row.recipe)
        yield (f"recipe:{source}" if ":" in source else f"instance:{source}"), f"source {source}"


def group_instances(manifest: Iterable[ManifestRow]) -> dict[str, str]:
    """Return for each instance the name of its group: the smallest identity in it.

    Isomorphic copies, an instance and its cubes (also when the parent itself is not in the manifest), and shuffled
    copies of one generated formula share a group; so does whatever two such ties connect.
    """
    from scipy.cluster.hierarchy import DisjointSet  # here: it takes a quarter of a second to load

    rows = list(manifest)
    sets = DisjointSet()
    for row in rows:
        sets.add(f"instance:{row.instance}")
        for node, _ in relations(row):
            sets.add(node)
            sets.merge(f"instance:{row.instance}", node)
    smallest: dict[str, str] = {}
    for instance in sorted(row.instance for row in rows):
        smallest.setdefault(sets[f"instance:{instance}"], instance)
    return {row.instance: smallest[sets[f"instance:{row.instance}"]] for row in rows}


def family_blocks(manifest: Iterable[ManifestRow]) -> dict[str, str]:
    """Return for each instance its block of families; a cube is in the block of its oldest ancestor in the manifest."""
    rows = {row.instance: row for row in manifest}
    blocks: dict[str, str] = {}
    for row in rows.values():
        seen = {row.instance}
        ancestor = row
        while ancestor.parent in rows and ancestor.parent not in seen:
            ancestor = rows[ancestor.parent]
            seen.add(ancestor.instance)
        blocks[row.instance] = block_of_family(ancestor.family)
    return blocks
