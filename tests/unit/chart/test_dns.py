"""The cluster's DNS as the chart's values name it, all the way into an endpoint's policy."""

from tests.unit.chart import rendering
from tests.unit.controller import worlds

from bartizan.controller import settings
from bartizan.controller.builders import network_policy
from bartizan.controller.tools import surroundings

EGRESS = [{"to": [{"ipBlock": {"cidr": "10.0.0.0/8"}}], "ports": [{"port": 443}]}]


def operator_settings(*values: str) -> settings.Settings:
    """As the operator reads them from the environment and arguments that the chart gives it."""
    pod = rendering.find(rendering.render(*values), "Deployment")["spec"]["template"]["spec"]
    container = pod["containers"][0]
    variables = {item["name"]: item.get("value", "bartizan-system") for item in container.get("env", ())}
    return settings.load(variables, container.get("args", ["operator"])[1:])


def test_an_endpoint_with_egress_reaches_the_dns_that_the_chart_names() -> None:
    named = operator_settings("dns.namespace=dns-system", "dns.podLabels.k8s-app=null", "dns.podLabels.app=coredns")
    policy = network_policy.build(worlds.wish(network={"egress": EGRESS}), surroundings(named))
    assert policy["spec"]["egress"][-1] == {
        "to": [
            {
                "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "dns-system"}},
                "podSelector": {"matchLabels": {"app": "coredns"}},
            }
        ],
        "ports": [{"protocol": "UDP", "port": 53}, {"protocol": "TCP", "port": 53}],
    }


def test_without_egress_there_is_no_dns() -> None:
    policy = network_policy.build(worlds.wish(), surroundings(operator_settings("dns.namespace=dns-system")))
    assert policy["spec"]["egress"] == []
