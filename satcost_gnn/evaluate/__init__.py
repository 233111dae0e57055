"""Evaluation: how good predictions are, and how good decisions made from them."""
