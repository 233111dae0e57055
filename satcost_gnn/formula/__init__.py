"""What an instance is: reading a CNF into arrays, its identity, its static features and its graph."""

from satcost_gnn.formula.cnf import Formula
from satcost_gnn.formula.dimacs import ReadLimits, parse_dimacs, read_dimacs, write_dimacs

__all__ = ["Formula", "ReadLimits", "parse_dimacs", "read_dimacs", "write_dimacs"]
