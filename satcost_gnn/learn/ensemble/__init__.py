"""Mixtures of estimators, and what is done out of distribution."""
