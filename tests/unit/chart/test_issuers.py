"""The chart's issuers: as the operator reads them, with nothing opened for them where there are none."""

from typing import Any

import pytest
from tests.unit.chart.rendering import find, render, template

from bartizan.policy import issuers

CORP = (
    "issuers[0].name=corp",
    "issuers[0].url=https://login.corp.example/realms/ai",
    "issuers[0].groupsClaim=groups",
    "issuers[0].algorithms={ES256,RS256}",
    "issuers[0].allowPrivate={10.20.0.0/16}",
    "issuers[0].maxLifetimeSeconds=1000000",
)
FINE = (*CORP[:-1], "issuers[0].maxLifetimeSeconds=7200")


def _environment(*values: str) -> str:
    (container,) = find(render(*values), "Deployment")["spec"]["template"]["spec"]["containers"]
    (found,) = [item["value"] for item in container["env"] if item["name"] == "BARTIZAN_ISSUERS"]
    return str(found)


def _egress(*values: str) -> list[dict[str, Any]]:
    rules: list[dict[str, Any]] = find(render(*values), "NetworkPolicy")["spec"]["egress"]
    return rules


def test_the_operator_reads_what_the_chart_writes() -> None:
    (found,) = issuers.parse(_environment(*FINE))
    assert (found.name, found.url, found.groups_claim) == ("corp", "https://login.corp.example/realms/ai", "groups")
    assert (found.algorithms, found.max_lifetime_seconds) == (("ES256", "RS256"), 7200)
    assert [str(network) for network in found.allow_private] == ["10.20.0.0/16"]
    assert issuers.parse(_environment()) == ()


def test_the_operators_network_opens_with_the_first_issuer_only() -> None:
    closed, opened = _egress(), _egress(*FINE, "networkPolicy.issuers.cidrs={10.20.0.0/16}")
    (added,) = [rule for rule in opened if rule not in closed]
    assert added == {"ports": [{"port": 443, "protocol": "TCP"}], "to": [{"ipBlock": {"cidr": "10.20.0.0/16"}}]}
    assert _egress("networkPolicy.issuers.cidrs={10.20.0.0/16}") == closed


@pytest.mark.parametrize(
    "values",
    [
        CORP,
        (*FINE, "issuers[0].url=http://login.corp.example"),
        (*FINE, "issuers[0].url=https://user@login.corp.example"),
        (*FINE, "issuers[0].algorithms={HS256}"),
        (*FINE, "issuers[0].algorithms={none}"),
        (*FINE, "issuers[0].name=Corp"),
        (*FINE, "issuers[0].jwksUri=https://login.corp.example/keys"),
        ("issuers[0].name=corp",),
    ],
)
def test_a_senseless_issuer_is_refused_by_the_schema(values: tuple[str, ...]) -> None:
    done = template(*values)
    assert done.returncode != 0
    assert "issuers" in done.stderr
