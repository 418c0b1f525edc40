# ruff: noqa: INP001, T201  # a script of the containers
"""Gives InfluxDB its buckets with their retention, and tokens that may do no more than they must: ``influx-setup``.

The gateway may write, Grafana may read. Running it again changes only what is not so: a token that is still taken is
kept, retention follows ``EDGEFLEET_FEATURES_DAYS`` and ``EDGEFLEET_ALERTS_DAYS``.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal
from urllib.error import HTTPError
from urllib.parse import urlencode
from urllib.request import Request, urlopen

from deploy.compose.init_secrets import Vault

URL: Final = "http://influxdb:8086"
ORG: Final = "edgefleet"
BUCKETS: Final = {
    "edgefleet": ("EDGEFLEET_FEATURES_DAYS", 90.0),
    "edgefleet-alerts": ("EDGEFLEET_ALERTS_DAYS", 730.0),
}
"""Buckets, the variable that says how many days they keep their points, and its default."""
TOKENS: Final[dict[str, tuple[str, Literal["read", "write"]]]] = {
    "gateway/influx.token": ("edgefleet gateway", "write"),
    "grafana/influx.token": ("edgefleet Grafana", "read"),
}
TIMEOUT_S: Final = 10.0
UNAUTHORIZED: Final = 401


@dataclass(frozen=True, slots=True, kw_only=True)
class Influx:
    """The API of one InfluxDB, under one token."""

    url: str
    token: str

    def call(self, method: str, path: str, body: object = None, **query: str) -> Any:
        """Return the answer to one request."""
        address = f"{self.url}/api/v2/{path}" + (f"?{urlencode(query)}" if query else "")
        headers = {"Authorization": f"Token {self.token}", "Content-Type": "application/json"}
        data = None if body is None else json.dumps(body).encode()
        request = Request(address, data, headers, method=method)  # noqa: S310  # our own address
        with urlopen(request, timeout=TIMEOUT_S) as answer:  # noqa: S310
            return json.load(answer)

    def accepts(self) -> bool:
        """Tell whether the server knows the token."""
        try:
            self.call("GET", "buckets", limit="1")
        except HTTPError as error:
            if error.code != UNAUTHORIZED:
                raise
            return False
        return True


def set_up(vault: Vault, environment: Mapping[str, str], url: str = URL) -> None:
    """Make buckets and tokens as they should be."""
    admin = Influx(url=url, token=vault.read("influxdb/admin.token"))
    org_id = admin.call("GET", "orgs", org=ORG)["orgs"][0]["id"]
    buckets = [
        _bucket(admin, org_id, name, float(environment.get(variable) or days))
        for name, (variable, days) in BUCKETS.items()
    ]
    for file, (description, action) in TOKENS.items():
        token = vault.read(file)
        if not (token and Influx(url=url, token=token).accepts()):
            vault.write(file, _token(admin, org_id, description, action, buckets))


def _bucket(admin: Influx, org_id: str, name: str, days: float) -> str:
    """Return the id of a bucket that keeps its points for so long."""
    retention = [{"type": "expire", "everySeconds": round(days * 86400)}]
    found = admin.call("GET", "buckets", name=name, orgID=org_id)["buckets"]
    if not found:
        bucket_id: str = admin.call("POST", "buckets", {"orgID": org_id, "name": name, "retentionRules": retention})[
            "id"
        ]
        return bucket_id
    bucket_id = found[0]["id"]
    if [rule["everySeconds"] for rule in found[0]["retentionRules"]] != [retention[0]["everySeconds"]]:
        admin.call("PATCH", f"buckets/{bucket_id}", {"retentionRules": retention})
    return bucket_id


def _token(admin: Influx, org_id: str, description: str, action: str, buckets: list[str]) -> str:
    """Return a new token for some buckets."""
    resources = [{"type": "buckets", "id": bucket_id, "orgID": org_id} for bucket_id in buckets]
    permissions = [{"action": action, "resource": resource} for resource in resources]
    wanted = {"orgID": org_id, "description": description, "permissions": permissions}
    token: str = admin.call("POST", "authorizations", wanted)["token"]
    return token


if __name__ == "__main__":
    set_up(Vault(), os.environ)
    print("buckets and tokens are as they should be")
