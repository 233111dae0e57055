"""From a CNF to what estimators read: preprocessing, its cache, and the instance they are given."""
