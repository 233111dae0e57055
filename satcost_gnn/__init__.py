"""Search cost estimation for SAT solvers.

The data flow is the package layout: ``formula`` (what the instance is), ``search`` (what a real solver does at the
start), ``models`` and ``estimators`` (from both to a cost distribution), ``data`` (labels and splits), ``evaluation``
and ``portfolio`` (what to do with a prediction). Importing the package is cheap: nothing here loads torch.
"""

__version__ = "0.1.0"

__all__ = ["__version__"]
