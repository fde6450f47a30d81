"""The story, scene by scene: a model that can only be reached through its guard, with a key, within limits."""

import base64
import json
import re
from collections.abc import Callable

from demo import cast
from demo.scene import Scenes
from demo.stage import MONITORING, NAMESPACE, STRANGERS, SYSTEM

EXAMPLE = "manifests/examples/demo.yaml"
EXAMPLE_IMAGE = "localhost/bartizan-demo-model:dev"
HOST = f"demo.{NAMESPACE}.svc:8080"
NS = f"-n {NAMESPACE}"


def tell(scenes: Scenes) -> None:
    """Every scene, in order; raises StoryError at the first that does not show what it promises."""
    for scene in SCENES:
        scene(scenes)


def apply(scenes: Scenes) -> None:
    scenes.title("One manifest, and the model stands behind a guard")
    scenes.run(f"cat {EXAMPLE}", lines=45)
    _apply_example(scenes)
    scenes.run(f"kubectl wait --for=condition=Ready mdep/demo {NS} --timeout=90s")
    scenes.run(f"kubectl get mdep {NS}")
    scenes.run(f"kubectl get netpol,deploy,svc,sa,secret {NS}")
    cast.leave(scenes.stage)
    cast.enter(scenes.stage)


def answer(scenes: Scenes) -> None:
    scenes.title(
        "A client with a key gets an answer, whole and streamed (OpenAI's SDK, configured by its Secret alone)"
    )
    whole = scenes.run(f"kubectl exec {NS} chat-ui -- python3 ask.py 'hello from a client'")
    scenes.check("answer: hello from a client" in whole, "the model answered through its guard")
    stream = scenes.run(f"kubectl exec {NS} chat-ui -- python3 ask.py --stream 'one two three'")
    scenes.check("one| two| three" in stream, "the stream came in chunks")


def refuse_keys(scenes: Scenes) -> None:
    scenes.title("No key, or a wrong one: 401")
    none = scenes.run(f"kubectl exec {NS} chat-ui -- python3 call.py {HOST} /v1/chat/completions --method POST")
    scenes.check(none.startswith("401"), "without a key there is no answer")
    wrong = scenes.run(f"kubectl exec {NS} chat-ui -- python3 ask.py --key btzn_AAAAAAAAAAAAAAAA.guessed hello")
    scenes.check("AuthenticationError 401" in wrong, "nor with a guessed one")


def refuse_paths(scenes: Scenes) -> None:
    scenes.title("Another path, even one that the model's server has: 404")
    for path in ("/health", "/control/release", "/v1/models/../../control/release"):
        refused = scenes.run(f"kubectl exec {NS} chat-ui -- python3 call.py {HOST} {path}")
        scenes.check(refused.startswith("404"), f"{path} is not there")


def limit(scenes: Scenes) -> None:
    scenes.title("Over the limit (10 requests a minute for each client): 429, and when to come back")
    asked = scenes.run(f"kubectl exec {NS} batch -- python3 ask.py --times 12 hello")
    scenes.check(asked.count("answer:") == 10, "ten requests were answered")  # noqa: PLR2004
    scenes.check(re.search(r"RateLimitError 429: .* Retry-After: \d+", asked), "the rest were told to wait")


def limit_tokens(scenes: Scenes) -> None:
    scenes.title(
        "Over the token budget (1000 tokens of answers a minute for each client): 429, before the model is asked"
    )
    scenes.say("Each request says at most 500 tokens and is charged what it says: 400. A third might pass the budget.")
    asked = scenes.run(f"kubectl exec {NS} chat-ui -- python3 ask.py --times 3 '/count 400'")
    scenes.check(asked.count("answer: 1 2 3") == 2, "two answers fit")  # noqa: PLR2004
    scenes.check(re.search(r"RateLimitError 429: Too many tokens.* Retry-After: \d+", asked), "the third must wait")


def audit(scenes: Scenes) -> None:
    scenes.title("What the guard has written down: who asked, what was decided, what it cost, and not a word of it")
    logs = f"kubectl logs {NS} -l bartizan.dev/endpoint=demo -c bartizan-guard"
    told = scenes.run(f"{logs} --tail=2")
    lines = [json.loads(line) for line in told.splitlines()]
    scenes.check(all(line["audit"] in ("decision", "outcome") for line in lines), "a decision, and how it went out")
    scenes.check("/count" not in told and "hello" not in told, "and nothing of what was said")
    scenes.say("Each line holds the hash of the one before: a line that is changed or taken out shows.")
    verified = scenes.run(f"{logs} --tail=-1 | bartizan audit verify", in_shell=True)
    scenes.check("whole" in verified, "the chain is whole")


def scan(scenes: Scenes) -> None:
    scenes.title("Round the guard, straight to the pod: nothing")
    address = scenes.stage.kubectl("get", "pod", "-n", NAMESPACE, "-l", "bartizan.dev/endpoint=demo", "-o", _IP).strip()
    scenes.say("Every TCP port of the pod's address, from a pod of another namespace.")
    stranger = scenes.run(f"kubectl exec -n {STRANGERS} stranger -- python3 scan.py {address}")
    scenes.check(_found(stranger) == [], "a stranger finds no open port")
    scenes.say("From a declared client of the same namespace: the guard's port and nothing else.")
    client = scenes.run(f"kubectl exec {NS} chat-ui -- python3 scan.py {address}")
    scenes.check(_found(client) == [8080], "a declared client finds the guard, and not the model")


def attack(scenes: Scenes) -> None:
    scenes.title("Somebody deletes the network policy and opens the Service: shut again")
    before = scenes.stage.get("netpol", "demo", "-n", NAMESPACE)["metadata"]["uid"]
    scenes.run(f"kubectl delete netpol demo {NS} --wait=false")
    scenes.run(f"""kubectl patch svc demo {NS} -p '{{"spec": {{"type": "NodePort"}}}}'""")

    def is_shut() -> bool:
        policies = scenes.stage.get("netpol", "-n", NAMESPACE)["items"]
        alive = [item for item in policies if "deletionTimestamp" not in item["metadata"]]
        service = scenes.stage.get("svc", "demo", "-n", NAMESPACE)["spec"]["type"]
        return service == "ClusterIP" and [item["metadata"]["uid"] == before for item in alive] == [False]

    scenes.until(is_shut, "a new policy stands, the Service is closed", seconds=10)
    scenes.until(lambda: "DriftRepaired" in _events(scenes), "an event says so", seconds=10)
    events = scenes.run(f"kubectl get events {NS} --field-selector type=Warning,involvedObject.kind=ModelDeployment")
    scenes.check(
        "PolicyDeletionAnswered" in events and "kubectl-patch" in events, "what was done, and by what it calls itself"
    )


def rotate(scenes: Scenes) -> None:
    scenes.title("keyEpoch raised: the old key is dead")
    old = _key(scenes)
    clients = f'[{{"name": "chat-ui", "keyEpoch": {_epoch(scenes) + 1}}}, {{"name": "batch"}}]'
    scenes.run(f"""kubectl patch mdep demo {NS} --type=merge -p '{{"spec": {{"access": {{"clients": {clients}}}}}}}'""")

    def is_dead() -> bool:
        return _call(scenes, old).startswith("401")

    scenes.until(is_dead, "the old key is refused", seconds=15)
    scenes.check(_key(scenes) != old, "the Secret holds a new key")
    scenes.check(_call(scenes, _key(scenes)).startswith("200"), "the new key is taken")


def look(scenes: Scenes) -> None:
    scenes.title("What one sees: the resource, its conditions, events, metrics")
    scenes.run(f"kubectl get mdep {NS} -o wide")
    described = scenes.run(f"kubectl describe mdep demo {NS}", lines=140)
    scenes.check("SpecAccepted" in described and "AllGuardsInSync" in described, "conditions say what holds")
    scenes.run(f"kubectl get events {NS} --field-selector involvedObject.kind=ModelDeployment")
    guard = scenes.stage.kubectl("get", "pod", "-n", NAMESPACE, "-l", "bartizan.dev/endpoint=demo", "-o", _IP).strip()
    metrics = scenes.run(_scrape(f"{guard}:9090", "bartizan_guard_requests"))
    scenes.check(metrics.startswith("200"), "the monitoring namespace may read the guard's metrics")
    operator = f"bartizan-operator-metrics.{SYSTEM}.svc:9090"
    metrics = scenes.run(_scrape(operator, "_total{"))
    scenes.check("bartizan_operator_reconciles_total" in metrics, "and the operator's")


SCENES: tuple[Callable[[Scenes], None], ...] = (
    apply,
    answer,
    refuse_keys,
    refuse_paths,
    limit,
    limit_tokens,
    audit,
    scan,
    attack,
    rotate,
    look,
)

_IP = "jsonpath={.items[0].status.podIP}"


def _apply_example(scenes: Scenes) -> None:
    """With the image that was built just now: the example names it by a tag that tells a reader more."""
    edits = [f"s|{EXAMPLE_IMAGE}|{scenes.stage.images.model}|"]
    if (epoch := _epoch(scenes)) > 1:
        edits.append(f"s|- name: chat-ui$|- {{name: chat-ui, keyEpoch: {epoch}}}|")
    scenes.say("Applied with the image that was built just now, whose tag follows from its content.")
    changes = " ".join(f"-e '{edit}'" for edit in edits)
    scenes.run(f"sed {changes} {EXAMPLE} | kubectl apply -f -", in_shell=True)


def _epoch(scenes: Scenes) -> int:
    """A story that is told again goes on with the epoch of the last one: epochs never go back."""
    items = scenes.stage.get("mdep", "-n", NAMESPACE)["items"]
    clients = items[0]["spec"]["access"]["clients"] if items else []
    return max([client["keyEpoch"] for client in clients if client["name"] == "chat-ui"], default=1)


def _found(printed: str) -> list[int] | None:
    """The ports that a whole scan found open."""
    scanned = re.fullmatch(r"65535 ports tried, .*; open: (\[.*\])", printed.strip())
    return list(json.loads(scanned[1])) if scanned else None


def _events(scenes: Scenes) -> str:
    return scenes.stage.kubectl("get", "events", "-n", NAMESPACE)


def _key(scenes: Scenes) -> str:
    secret = scenes.stage.get("secret", "demo.chat-ui", "-n", NAMESPACE)
    return base64.b64decode(secret["data"]["OPENAI_API_KEY"]).decode()


def _call(scenes: Scenes, key: str) -> str:
    command = ["python3", "call.py", HOST, "/v1/models", "--key", key]
    return scenes.stage.kubectl("exec", "-n", NAMESPACE, "chat-ui", "--", *command)


def _scrape(address: str, part: str) -> str:
    return f"kubectl exec -n {MONITORING} scraper -- python3 call.py {address} /metrics --grep {part} --lines 12"
