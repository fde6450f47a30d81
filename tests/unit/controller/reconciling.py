"""One endpoint in a cluster in memory, and a reconciler to run on it: for what no real API server can be made to do."""

import asyncio
from copy import deepcopy
from datetime import UTC, datetime, timedelta
from typing import Any

from tests.unit.controller import worlds
from tests.unit.controller.fake_cluster import FakeCluster

from bartizan.controller import kinds
from bartizan.controller.api import Api, ApiError, Call, Transport
from bartizan.controller.apply import Applier
from bartizan.controller.builders.guard_container import GUARD
from bartizan.controller.cluster_keys import ClusterKeys
from bartizan.controller.events import Recorder
from bartizan.controller.fetch import published_keys
from bartizan.controller.guards import GuardReport, Guards
from bartizan.controller.identities import Learner
from bartizan.controller.issuer_keys import Issuers
from bartizan.controller.kinds import Kind
from bartizan.controller.reconcile import Reconciler
from bartizan.controller.rollout import Pacer
from bartizan.controller.root_key import RootKeeper
from bartizan.controller.secret_writer import SecretWriter
from bartizan.controller.settings import Settings
from bartizan.controller.soundings import Soundings
from bartizan.controller.tools import Tools, surroundings
from bartizan.controller.usages import Usages
from bartizan.controller.work_queue import Key
from bartizan.controller.workers import Result
from bartizan.policy import keys, names, usage
from bartizan.policy.document import EndpointRef

Live = dict[str, Any]

NAMESPACE, NAME = worlds.IDENTITY.namespace, worlds.IDENTITY.name
KEY = Key(NAMESPACE, NAME)
SETTINGS = Settings(guard_image="example.com/bartizan:v1")
OPEN: Live = {"egress": [{}]}


class Scene:
    """Starts with the endpoint declared, with clients `a` and `b`; `now` and `seconds` move only by hand."""

    def __init__(self, settings: Settings = SETTINGS, *, sees_secrets: bool = False) -> None:
        self.cluster = FakeCluster()
        self.settings = settings
        self.sees_secrets = sees_secrets
        self.now = datetime(2026, 1, 1, tzinfo=UTC)
        self.seconds = 0.0
        self.report: GuardReport | None = None
        """What guards answer; those of `earlier_reports` come before it."""
        self.earlier_reports: list[GuardReport] = []
        self.asked = 0
        self.notices: list[usage.Notice] = []
        """What guards were told of others' usage; they take it while `takes_notices`."""
        self.takes_notices = True
        self.cluster.put(kinds.NAMESPACE, {"metadata": {"name": NAMESPACE}})
        self.declare()
        self.restart()

    def declare(self) -> None:
        """A new life of the ModelDeployment."""
        manifest = worlds.manifest(generation=1)
        del manifest["metadata"]["uid"]
        manifest["spec"]["access"] = {"clients": [{"name": "a"}, {"name": "b"}]}
        manifest |= {"apiVersion": names.API_VERSION, "kind": names.KIND}
        self.cluster.put(kinds.MODEL_DEPLOYMENT, manifest)

    def restart(self, transport: Transport | None = None) -> None:
        """Another process, that remembers nothing; `transport` stands before the cluster."""
        api, clock = Api(transport or self.cluster), lambda: self.seconds
        guards = Guards(api, self._ask, clock=clock)
        usages = Usages(self._tell, clock=clock)
        self.tools = Tools(
            api=api,
            applier=Applier(api, clock=clock),
            secrets=SecretWriter(api, clock=clock, interval_seconds=0),
            guards=guards,
            soundings=Soundings(guards, usages.note, clock=clock),
            usages=usages,
            recorder=Recorder(api, clock=clock, now=lambda: self.now),
            surroundings=surroundings(self.settings),
            pacer=Pacer(self.settings, clock=clock),
            root=RootKeeper(api, self.settings, clock=clock),
            learner=Learner(api, ClusterKeys(api, clock=clock), Issuers((), published_keys, clock=clock)),
            now=lambda: self.now,
            sees_secrets=self.sees_secrets,
        )
        self.reconciler = Reconciler(self.tools)

    async def _ask(self, address: str) -> GuardReport | None:
        assert address
        self.asked += 1
        return self.earlier_reports.pop(0) if self.earlier_reports else self.report

    async def _tell(self, address: str, notice: str) -> bool:
        assert address
        root = self.tools.root.last
        assert root is not None
        document = self.endpoint["metadata"]
        ref = EndpointRef(NAMESPACE, NAME, document["uid"], self.namespace_uid)
        self.notices.append(usage.decode(notice.encode(), keys.signing_key(root).public_key(), ref))
        return self.takes_notices

    def reconcile(self, times: int = 1) -> Result:
        """The last result; time goes on by ten seconds before each, so that nothing that is kept for a while counts."""
        result = Result()
        for _ in range(times):
            self.seconds += 10
            self.now += timedelta(seconds=10)
            result = asyncio.run(self.reconciler.reconcile(KEY))
        return result

    def settle(self) -> "Scene":
        self.reconcile(2)
        return self

    @property
    def endpoint(self) -> Live:
        return self.cluster.must_get(kinds.MODEL_DEPLOYMENT, NAMESPACE, NAME)

    @property
    def namespace_uid(self) -> str:
        return str(self.cluster.must_get(kinds.NAMESPACE, None, NAMESPACE)["metadata"]["uid"])

    def live(self, kind: Kind, suffix: str = "") -> Live:
        return self.cluster.must_get(kind, NAMESPACE, NAME + suffix)

    def has(self, kind: Kind, suffix: str = "") -> bool:
        return self.cluster.get(kind, NAMESPACE, NAME + suffix) is not None

    def condition(self, name: str) -> tuple[str, str, str]:
        """Status, reason and message."""
        (found,) = [item for item in self.endpoint["status"]["conditions"] if item["type"] == name]
        return found["status"], found["reason"], found["message"]

    def edit(self, **spec: Any) -> None:
        self.endpoint["spec"] |= spec
        self.endpoint["metadata"]["generation"] += 1

    def withdraw(self) -> None:
        """Client `b` is no longer named."""
        self.edit(access={"clients": [{"name": "a"}]})

    def delete(self) -> None:
        self.endpoint["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"

    def pod(
        self, name: str = "llama-1", *, labels: Live | None = None, status: Live | None = None, **metadata: Any
    ) -> Live:
        """A running pod of this life, by default as the Deployment would make it."""
        template = (
            deepcopy(self.live(kinds.DEPLOYMENT)["spec"]["template"]["spec"]) if self.has(kinds.DEPLOYMENT) else {}
        )
        own = names.managed_labels(NAME, self.endpoint["metadata"]["uid"]) if labels is None else labels
        guard = {"name": GUARD, "state": {"running": {}}}
        running = {"phase": "Running", "podIP": "192.0.2.1", "initContainerStatuses": [guard]}
        pod = {
            "metadata": {"name": name, "namespace": NAMESPACE, "labels": own, **metadata},
            "spec": template or {"containers": []},
            "status": running if status is None else status,
        }
        return self.cluster.put(kinds.POD, pod)

    def refuse(self, kind: Kind, *methods: str, name: str = "", error: ApiError | None = None) -> None:
        """Every call on such objects, with these methods or any, is answered with the error."""
        answer = error or ApiError(403, "Forbidden", f"{kind.plural} are forbidden: exceeded quota: small")

        def judge(call: Call) -> ApiError | None:
            parts = call.path.split("/")
            is_meant = kind.plural in parts and (not methods or call.method in methods)
            return answer if is_meant and (not name or parts[-1] == name) else None

        self.cluster.refuse = judge

    def open_network(self) -> None:
        self.live(kinds.NETWORK_POLICY)["spec"] |= deepcopy(OPEN)

    @property
    def is_network_shut(self) -> bool:
        return not self.live(kinds.NETWORK_POLICY)["spec"]["egress"]

    def unguard(self) -> None:
        """Takes the guard out of the Deployment's template."""
        self.live(kinds.DEPLOYMENT)["spec"]["template"]["spec"]["initContainers"] = []

    @property
    def is_guarded(self) -> bool:
        return any(
            item["name"] == GUARD for item in self.live(kinds.DEPLOYMENT)["spec"]["template"]["spec"]["initContainers"]
        )
