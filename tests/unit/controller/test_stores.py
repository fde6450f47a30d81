"""Stores: named by the installation, read from one value, and handed to the guards of those who choose them."""

import base64
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from tests.unit.chart.rendering import CHART, helm
from tests.unit.controller.reconciling import SETTINGS, Scene

from bartizan.controller import kinds, settings, stores
from bartizan.controller.settings import SettingsError
from bartizan.controller.stores import Credential, Store
from bartizan.policy.document import SharedStore

if TYPE_CHECKING:
    from subprocess import CompletedProcess

GOOD: dict[str, Any] = {"name": "limits", "address": "10.96.0.50", "port": 6379}
TLS = {"serverName": "valkey.svc", "ca": "-----BEGIN CERTIFICATE-----"}
PODS = {"pods": {"namespace": "valkey", "labels": {"app": "valkey"}}}


def read(*items: Any) -> tuple[Store, ...]:
    return stores.read(json.dumps(items))


def test_what_is_said_is_read() -> None:
    assert stores.read("") == ()
    assert read(GOOD, {**GOOD, "name": "b", "address": "fd00::7", **TLS, **PODS}) == (
        Store("limits", SharedStore("10.96.0.50", 6379)),
        Store("b", SharedStore("fd00::7", 6379, "valkey.svc", TLS["ca"]), "valkey", (("app", "valkey"),)),
    )


@pytest.mark.parametrize(
    ("items", "message"),
    [
        ([GOOD, GOOD], "two stores of one name"),
        ([{**GOOD, "host": "x"}], "a store has name, address and port"),
        ([{"name": "limits"}], "a store has name, address and port"),
        (["limits"], "a store has name, address and port"),
        ([{**GOOD, "name": "Limits"}], "'Limits' is not a store's name"),
        ([{**GOOD, "name": "../etc"}], "'../etc' is not a store's name"),
        ([{**GOOD, "address": "valkey.svc"}], "is not an IP address, and guards resolve no names"),
        ([{**GOOD, "address": "169.254.169.254"}], "no address of a server that pods share"),
        ([{**GOOD, "address": "127.0.0.1"}], "no address of a server that pods share"),
        ([{**GOOD, "address": "0.0.0.0"}], "no address of a server that pods share"),
        ([{**GOOD, "port": "6379"}], "'6379' is not a port"),
        ([{**GOOD, "port": 0}], "0 is not a port"),
        ([{**GOOD, "serverName": "x"}], "TLS needs both serverName and ca"),
        ([{**GOOD, "pods": {"namespace": "x"}}], "pods needs a namespace and at least one label"),
        ([GOOD] * 17, "is not a list of up to 16 stores"),
    ],
)
def test_what_makes_no_sense_is_refused_with_the_variables_name(items: list[Any], message: str) -> None:
    environment = {"BARTIZAN_GUARD_IMAGE": "x", "BARTIZAN_STORES": json.dumps(items)}
    with pytest.raises(SettingsError, match=r"BARTIZAN_STORES.*" + message.replace("(", r"\(")):
        settings.load(environment)


def test_a_credential_is_read_from_files_and_shown_to_nobody(tmp_path: Path) -> None:
    folder = tmp_path / "limits"
    folder.mkdir()
    assert stores.credential(tmp_path, "limits") == Credential()
    (folder / "password").write_text("not a secret\n")
    (folder / "username").write_text("guards")
    found = stores.credential(tmp_path, "limits")
    assert found == Credential("guards", "not a secret")
    assert "secret" not in repr(found)


def secret(scene: Scene) -> dict[str, str]:
    data = scene.live(kinds.SECRET, ".guard.bartizan")["data"]
    return {name: base64.b64decode(text).decode() for name, text in data.items()}


def payload(scene: Scene) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(base64.urlsafe_b64decode(secret(scene)["document.jws"].split(".")[1] + "=="))
    return found


def test_guards_of_who_chooses_a_store_get_its_address_signed_and_its_credential_beside(tmp_path: Path) -> None:
    (tmp_path / "limits").mkdir()
    (tmp_path / "limits" / "password").write_text("not a secret")
    chosen = settings.load(
        {
            "BARTIZAN_GUARD_IMAGE": SETTINGS.guard_image,
            "BARTIZAN_STORES": json.dumps([GOOD]),
            "BARTIZAN_STORE_CREDENTIALS": str(tmp_path),
        }
    )
    scene = Scene(chosen).settle()
    template = scene.live(kinds.DEPLOYMENT)["spec"]["template"]
    assert (set(secret(scene)), "store" in payload(scene), scene.is_network_shut) == ({"document.jws"}, False, True)
    scene.edit(limits={"store": "limits"})
    scene.tools.store_credential = lambda name: stores.credential(tmp_path, name)
    scene.settle()
    assert payload(scene)["store"] == {"address": "10.96.0.50", "port": 6379, "server_name": "", "ca": ""}
    assert secret(scene)["store-password"] == "not a secret"
    assert scene.live(kinds.NETWORK_POLICY)["spec"]["egress"][0]["ports"] == [{"protocol": "TCP", "port": 6379}]
    assert scene.live(kinds.DEPLOYMENT)["spec"]["template"] == template, "no pod is restarted for it"
    scene.edit(limits={})
    scene.settle()
    assert (set(secret(scene)), "store" in payload(scene), scene.is_network_shut) == ({"document.jws"}, False, True)


def test_a_store_that_is_not_there_leaves_the_gate_as_it_is_and_is_said() -> None:
    scene = Scene().settle()
    scene.edit(limits={"store": "elsewhere"})
    scene.settle()
    assert ("store" in payload(scene), scene.is_network_shut) == (False, True)
    assert scene.condition("LimitsExact")[:2] == ("False", "StoreUnknown")


def chart(*given: dict[str, Any]) -> "CompletedProcess[str]":
    values = ("--set-json", f"stores={json.dumps(given)}")
    return helm("template", "bartizan", str(CHART), "--namespace", "bartizan-system", *values)


@pytest.mark.parametrize(
    "change",
    [
        {"credentialSecret": None},
        {"address": "valkey.svc"},
        {"port": "6379"},
        {"password": "in plain sight"},
        {"serverName": "x"},
        {"pods": {"namespace": "valkey", "labels": {}}},
    ],
    ids=str,
)
def test_the_chart_refuses_what_makes_no_sense(change: dict[str, Any]) -> None:
    given = {**GOOD, "credentialSecret": "valkey-limits", **change}
    assert "/stores/0" in chart({name: value for name, value in given.items() if value is not None}).stderr


def test_the_charts_value_reaches_the_operator_as_it_is_read_and_no_secret_does() -> None:
    given = {**GOOD, **TLS, **PODS, "credentialSecret": "valkey-limits"}
    done = chart(given)
    assert done.returncode == 0, done.stderr
    (deployment,) = [item for item in yaml.safe_load_all(done.stdout) if item and item["kind"] == "Deployment"]
    pod = deployment["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    environment = {item["name"]: item.get("value", "") for item in container["env"]}
    assert stores.read(environment["BARTIZAN_STORES"]) == read({**GOOD, **TLS, **PODS})
    (mount,) = [item for item in container["volumeMounts"] if item["name"] == "store-limits"]
    assert mount["mountPath"] == f"{environment['BARTIZAN_STORE_CREDENTIALS']}/limits"
    (volume,) = [item for item in pod["volumes"] if item["name"] == "store-limits"]
    assert volume["secret"]["secretName"] == "valkey-limits"
