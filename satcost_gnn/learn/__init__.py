"""Estimators: one contract for everything that predicts a cost, from a constant to the network."""
