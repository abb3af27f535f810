"""crypt(3), from the standard library as long as it has it, then from the package that took it over."""

from __future__ import annotations

import sys

if sys.version_info >= (3, 13):
    from crypt_r import crypt
else:
    from crypt import crypt

__all__ = ["crypt"]
