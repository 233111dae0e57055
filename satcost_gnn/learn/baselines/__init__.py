"""The classical estimators that everything else is measured against."""
