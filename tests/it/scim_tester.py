"""Runs scim2-tester against the server at argv[1] with the bearer token $SCIM_TOKEN; prints what it finds wrong."""

import os
import sys

import httpx2
from scim2_client.engines.httpx2 import SyncSCIMClient
from scim2_tester import Status, check_server

http = httpx2.Client(
    base_url=sys.argv[1],
    headers={"Authorization": f"Bearer {os.environ['SCIM_TOKEN']}"},
    timeout=20,
    trust_env=False,
)
results = check_server(SyncSCIMClient(http))
bad = [one for one in results if one.status in (Status.ERROR, Status.CRITICAL)]
for one in bad:
    print(f"{one.status.name} {one.title}: {one.reason}")
done = [one for one in results if one.status not in (Status.SKIPPED,)]
print(f"{len(done)} checks, {len(bad)} wrong")
sys.exit(1 if bad else 0)
