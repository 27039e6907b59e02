"""API keys: each opens the objects of one tenant."""

from __future__ import annotations

import hashlib
import hmac
import secrets
import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence

from sqlalchemy import CursorResult, delete, select

from postproc.errors import PostprocError
from postproc.service.store.database import Database
from postproc.service.store.tables import ApiKey, now

DEFAULT_TENANT = "default"
_MOST_REMEMBERED = 4096
_PREFIX = 8  # hex digits of the digest: to find a key by, and to call it by


class Keys:
    """The keys of a service.

    A key is 256 random bits, so its SHA-256 digest, which is all that is kept, cannot be guessed back.

    Parameters
    ----------
    database : Database
        Where the digests are.
    given : mapping of str to str
        Further keys and their tenants, which are not written down: those of the environment.
    """

    def __init__(self, database: Database, given: Mapping[str, str] | None = None) -> None:
        self._database = database
        self._given = [(_digest(key), tenant) for key, tenant in (given or {}).items()]
        self._lock = threading.Lock()
        self._last: OrderedDict[str, str] = OrderedDict()  # tenants by digests that were valid lately

    def tenant_of(self, key: str) -> str | None:
        """Return whose key this is, or None."""
        digest = _digest(key)
        with self._database.reading() as session:
            rows = session.execute(
                select(ApiKey.digest, ApiKey.tenant).where(ApiKey.prefix == digest[:_PREFIX])
            )
            known = [(row.digest, row.tenant) for row in rows]
        found = None
        for other, tenant in (*known, *self._given):
            if hmac.compare_digest(digest, other):
                found = tenant
        self._remember(digest, found)
        return found

    def last_tenant_of(self, key: str) -> str | None:
        """Return whose key this was when it was looked up last, without looking it up: it may be invalid."""
        return self._last.get(_digest(key))

    def add(self, tenant: str) -> str:
        """Make a key of a tenant and return it: the only time that it is seen."""
        if not tenant.strip() or not tenant.isprintable():
            raise PostprocError(f"keys: expected a name of printable characters, got {tenant!r}")
        key = secrets.token_urlsafe(32)
        self._keep(tenant, key)
        return key

    def all(self) -> Sequence[ApiKey]:
        """Return the rows of all keys, the oldest first."""
        with self._database.reading() as session:
            return session.scalars(select(ApiKey).order_by(ApiKey.id)).all()

    def remove(self, prefix: str) -> None:
        """Make a key invalid at once; `prefix` is the first eight hex digits of its digest.

        Raises
        ------
        PostprocError
            If there is no such key.
        """
        with self._database.writing() as session:
            result = session.execute(delete(ApiKey).where(ApiKey.prefix == prefix))
        if isinstance(result, CursorResult) and result.rowcount == 0:
            raise PostprocError(f"keys: there is no key {prefix!r}; `postproc keys list` shows them")

    def has_any(self) -> bool:
        """Tell whether there is any key."""
        return bool(self._given or self.all())

    def ensure(self, hand_over: Callable[[str], None]) -> None:
        """Make a key of the default tenant where there is none at all.

        It is handed over before it is valid: what ends in between leaves no key that opens and nobody has.

        Parameters
        ----------
        hand_over : callable
            Takes the key to the operator; if it raises, there is no key.
        """
        if self.has_any():
            return
        key = secrets.token_urlsafe(32)
        hand_over(key)
        self._keep(DEFAULT_TENANT, key)

    def _remember(self, digest: str, tenant: str | None) -> None:
        with self._lock:
            self._last.pop(digest, None)
            if tenant is not None:
                self._last[digest] = tenant
                if len(self._last) > _MOST_REMEMBERED:
                    self._last.popitem(last=False)

    def _keep(self, tenant: str, key: str) -> None:
        digest = _digest(key)
        with self._database.writing() as session:
            session.add(ApiKey(tenant=tenant, prefix=digest[:_PREFIX], digest=digest, create_date=now()))


def _digest(key: str) -> str:
    return hashlib.sha256(key.encode("utf-8", "surrogateescape")).hexdigest()
