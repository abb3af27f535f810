"""vmgen-build: one short INI recipe becomes ready machines."""

__version__ = "0.1.0"
