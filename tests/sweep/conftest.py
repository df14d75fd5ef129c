"""The database server that several workers share."""

from collections.abc import Iterator

import postgres
import pytest


@pytest.fixture(scope="session")
def postgres_url() -> Iterator[str]:
    """`postgresql://…` of a server that the session starts, with an empty database."""
    failure = None if postgres.binaries() else postgres.install()
    binaries = postgres.binaries()
    if binaries is None:
        pytest.skip(f"{failure or 'PostgreSQL was not found'}: {postgres.INSTALL}")
    with postgres.server(binaries) as url:
        yield url
