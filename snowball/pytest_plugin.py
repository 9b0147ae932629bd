"""A fixture for a program's own tests: `def test_training(snowball_check): snowball_check(setup)`.

pytest loads this wherever Snowball is installed, so nothing heavy is imported before the fixture is used.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from .checks import Verdict

__all__ = ["snowball_check"]


@pytest.fixture
def snowball_check() -> Callable[..., Verdict]:
    """Check a program: its `setup` function, or the dict that gives; the test fails where a finding is an error.

    Findings may be waived by name with a reason: `snowball_check(setup, waive={"no-nonlinearity": "it is PCA"})`.
    """

    def check(
        setup: Callable[[], Mapping[str, Any]] | Mapping[str, Any], waive: Mapping[str, str] | None = None
    ) -> Verdict:
        from .checks import check_program

        result = check_program(setup if isinstance(setup, Mapping) else setup())
        errors = [f for f in result.findings if f.severity == "error" and f.check not in (waive or {})]
        if errors:
            pytest.fail("\n".join(str(finding) for finding in errors), pytrace=False)
        return result

    return check
