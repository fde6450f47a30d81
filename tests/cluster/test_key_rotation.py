"""The API server changes the key of its tokens: both count while both are published, then only the new one does."""

from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from tests.cluster.operator.admin import TESTER
from tests.cluster.operator.bench import Bench, Endpoint, operator_kubeconfig, until, workbench
from tests.cluster.operator.test_service_accounts import PROOFS, RUNNER, guarding, make, reason, status, token, told
from tests.localcluster import lifecycle
from tests.unit.guard import running

pytestmark = pytest.mark.cluster


def serve_with(bench: Bench, *keys: bytes) -> None:
    """Starts the API server anew: the first key signs, all of them are published and believed."""
    places = lifecycle.existing(bench.cluster.name).places
    bench.cluster.stop("kube-apiserver")
    (places.certificates / "service-accounts.key").write_bytes(b"\n".join(keys))
    bench.cluster.start("kube-apiserver")


def renew_credentials(bench: Bench) -> None:
    """As kubelets do in time: the tests' own token and the operator's are signed with the new key."""
    bearer = bench.cluster.kubectl("--namespace", TESTER, "create", "token", "tester").strip()
    bench.admin.headers["Authorization"] = f"Bearer {bearer}"
    operator_kubeconfig(bench.cluster, bench.operator_kubeconfig.parent)


def kids(endpoint: Endpoint) -> set[str]:
    return {key["kid"] for key in told(endpoint)["keys"]}


def test_keys_rotate_without_a_gap_and_a_withdrawn_one_goes(tmp_path: Path) -> None:
    new = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    new_key = new.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption())
    with workbench(tmp_path) as bench, running.model(tmp_path) as model:
        old_key = (lifecycle.existing(bench.cluster.name).places.certificates / "service-accounts.key").read_bytes()
        namespace = bench.namespace()
        make(bench, namespace)
        with bench.operator():
            endpoint = bench.endpoint(namespace, access={"clients": RUNNER, "authentication": PROOFS}).wait()
            before = token(endpoint)
            first = kids(endpoint)
        serve_with(bench, new_key, old_key)
        with bench.operator():
            until(lambda: len(kids(endpoint)) == 2 and first < kids(endpoint))
            after = token(endpoint)
            with guarding(endpoint, tmp_path, model) as guard:
                assert [status(guard, text) for text in (before, after)] == [200, 200]
        renew_credentials(bench)
        serve_with(bench, new_key)
        with bench.operator():
            until(lambda: len(kids(endpoint)) == 1)
            assert not kids(endpoint) & first
            with guarding(endpoint, tmp_path, model) as guard:
                assert status(guard, after) == 200
                assert reason(guard, before) == "TokenKeyUnknown"
