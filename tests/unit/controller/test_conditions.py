"""Conditions: what is claimed of an endpoint follows from what was found, and the worst is said first."""

from dataclasses import replace
from typing import Any

import pytest
from tests.unit.controller import worlds

from bartizan.controller import conditions
from bartizan.controller.apply import Did, Outcome
from bartizan.controller.builders import guard_document
from bartizan.controller.findings import Findings
from bartizan.controller.guards import GuardReport, GuardState, TlsReport
from bartizan.controller.verdict import MAX_MESSAGE, Verdict
from bartizan.policy.document import RequestWindow, SharedStore, TokenWindow
from bartizan.policy.model import Problem, Weakness
from bartizan.policy.reasons import EXPLANATIONS, Reason

WISH = worlds.wish()
TEMPLATE = worlds.template(WISH)
GATED = worlds.pod(spec=TEMPLATE["spec"])
BARE = worlds.pod("bare", spec={"containers": []})
DOCUMENT = guard_document.build(WISH, worlds.ROOT, {}, replicas=1)
UP = worlds.deployment(1, replicas=1, updatedReplicas=1, availableReplicas=1)


def _findings(**fields: Any) -> Findings:
    return Findings(**{"deployment": WISH, "pod_template": TEMPLATE, **fields})


def _ready(findings: Findings, **parts: Any) -> tuple[bool | None, Reason]:
    verdict = conditions.ready(worlds.world(**{"deployment": UP, "pods": [GATED], **parts}), findings)
    return verdict.status, verdict.reason


def test_all_well_is_ready() -> None:
    assert _ready(_findings()) == (True, Reason.ENDPOINT_READY)


@pytest.mark.parametrize(
    ("fields", "parts", "reason"),
    [
        ({"taken": ["x"], "is_root_lost": True, "failure": "y"}, {}, Reason.NAME_TAKEN),
        ({"is_root_lost": True, "failure": "y"}, {}, Reason.ROOT_LOST),
        ({"failure": "y"}, {}, Reason.APPLY_FAILED),
        ({}, {"manifest": worlds.manifest(deletionTimestamp="now")}, Reason.DELETING),
        ({}, {"pods": [GATED, BARE]}, Reason.PODS_NOT_GATED),
        ({"deployment": None, "pod_template": None}, {"pods": []}, Reason.SPEC_REFUSED),
        ({"deployment": worlds.wish("scaled-to-zero")}, {"pods": []}, Reason.SCALED_TO_ZERO),
        ({}, {"deployment": worlds.deployment(1)}, Reason.PODS_NOT_READY),
        ({}, {"deployment": None}, Reason.PODS_NOT_READY),
    ],
)
def test_what_is_wrong_is_not_ready_and_says_so(fields: dict[str, Any], parts: dict[str, Any], reason: Reason) -> None:
    assert _ready(_findings(**fields), **parts) == (False, reason)


def test_a_change_that_was_written_just_now_is_not_ready_by_what_was_seen_before_it() -> None:
    grown = {"metadata": {"generation": 2}, "spec": {"replicas": 3}, "status": UP["status"]}
    outcomes = [Outcome(Did.UPDATED, "Deployment", "llama", grown)]
    assert _ready(_findings(outcomes=outcomes)) == (False, Reason.PODS_NOT_READY)


def test_why_pods_do_not_start_is_told() -> None:
    waiting = {"name": "model", "state": {"waiting": {"reason": "ImagePullBackOff", "message": "no such image"}}}
    pod = worlds.pod(spec=TEMPLATE["spec"], status={"phase": "Pending", "containerStatuses": [waiting]})
    world = worlds.world(deployment=worlds.deployment(1), pods=[pod])
    verdict = conditions.ready(world, _findings())
    assert (verdict.status, verdict.reason) == (False, Reason.PODS_FAILING)
    assert "container model: ImagePullBackOff: no such image" in verdict.text


def test_pods_of_a_roll_out_are_measured_against_the_template_they_came_from() -> None:
    image = TEMPLATE["spec"]["initContainers"][0]["image"]
    assert not conditions.ungated(worlds.world(pods=[GATED]), _findings())
    swapped = worlds.pod("swapped", spec=_with_guard(image=image.replace("v1", "evil")))
    weakened = worlds.pod("weakened", spec=_with_guard(args=["guard", "--port=1"]))
    stopped = worlds.pod("stopped", spec=_with_guard(command=["sleep", "inf"]))
    once = worlds.pod("once", spec=_with_guard(restartPolicy=None))
    bare = [swapped, weakened, stopped, once]
    assert conditions.ungated(worlds.world(pods=[GATED, *bare]), _findings()) == bare


def _with_guard(**fields: Any) -> dict[str, Any]:
    guard, *rest = TEMPLATE["spec"]["initContainers"]
    return {**TEMPLATE["spec"], "initContainers": [{**guard, **fields}, *rest]}


@pytest.mark.parametrize(
    ("states", "status", "reason"),
    [
        ({"a": GuardState.IN_SYNC}, True, Reason.ALL_GUARDS_IN_SYNC),
        ({"a": GuardState.IN_SYNC, "b": GuardState.OUTDATED}, False, Reason.GUARDS_OUT_OF_SYNC),
        ({"a": GuardState.IN_SYNC, "b": GuardState.UNREACHABLE}, None, Reason.GUARDS_UNREACHABLE),
        ({"a": GuardState.STARTING}, None, Reason.PODS_NOT_READY),
    ],
)
def test_in_sync_covers_every_guard(states: dict[str, GuardState], status: bool | None, reason: Reason) -> None:
    assert _in_sync([worlds.pod(name) for name in states], guard_states=states) == (status, reason)


def _in_sync(pods: list[dict[str, Any]], **fields: Any) -> tuple[bool | None, Reason]:
    parts = {"pods": pods, **({"manifest": fields.pop("manifest")} if "manifest" in fields else {})}
    verdict = conditions.in_sync(worlds.world(**parts), _findings(**{"document": DOCUMENT, **fields}))
    return verdict.status, verdict.reason


def test_a_pod_on_a_lost_node_is_unknown() -> None:
    lost = worlds.pod("a", status={"conditions": [{"type": "Ready", "status": "Unknown"}]})
    assert _in_sync([lost], guard_states={"a": GuardState.IN_SYNC}) == (None, Reason.GUARDS_UNREACHABLE)


@pytest.mark.parametrize(
    ("state", "status", "reason"),
    [
        (GuardState.OUTDATED, False, Reason.GUARDS_OUT_OF_SYNC),
        (GuardState.UNREACHABLE, None, Reason.GUARDS_UNREACHABLE),
    ],
)
def test_a_pod_that_is_ending_still_serves_and_counts(state: GuardState, status: bool | None, reason: Reason) -> None:
    pods = [worlds.pod("a"), worlds.pod("b", deletionTimestamp="now")]
    assert _in_sync(pods, guard_states={"a": GuardState.IN_SYNC, "b": state}) == (status, reason)


def test_a_pod_that_nobody_asked_about_is_unknown() -> None:
    pods = [worlds.pod("a"), worlds.pod("b", deletionTimestamp="now")]
    assert _in_sync(pods, guard_states={"a": GuardState.IN_SYNC}) == (None, Reason.GUARDS_UNREACHABLE)


def test_a_pod_that_serves_without_a_guard_to_ask_is_unknown() -> None:
    serving = {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]}
    states = {"a": GuardState.IN_SYNC, "b": GuardState.STARTING}
    pods = [worlds.pod("a"), worlds.pod("b", status=serving)]
    assert _in_sync(pods, guard_states=states) == (None, Reason.GUARDS_UNREACHABLE)


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"is_root_lost": True}, Reason.ROOT_LOST),
        ({"manifest": worlds.manifest(deletionTimestamp="now")}, Reason.DELETING),
        ({"failure": "the Secret could not be written"}, Reason.APPLY_FAILED),
        ({"deployment": None}, Reason.SPEC_REFUSED),
    ],
)
def test_without_a_document_nothing_is_claimed_of_guards(fields: dict[str, Any], reason: Reason) -> None:
    assert _in_sync([worlds.pod("a")], document=None, **fields) == (None, reason)


def _report(word: str) -> GuardReport:
    """One in which the guard says this of what it counts with."""
    if word.startswith("Tokenizer"):
        return GuardReport("h", "GuardReady", tokenizer_reason=word)
    return GuardReport("h", "GuardReady", limits_reason=word)


@pytest.mark.parametrize(
    ("said", "status", "reason"),
    [
        ({"a": "LimitsKept", "b": "LimitsKept"}, True, Reason.ALL_LIMITS_EXACT),
        ({"a": "LimitsKept", "b": "LimitsForgotten"}, False, Reason.LIMITS_FORGOTTEN),
        ({"a": "LimitsUnkept", "b": None}, False, Reason.LIMITS_UNKEPT),
        ({"a": "LimitsKept", "b": "StoreUnavailable"}, False, Reason.STORE_UNAVAILABLE),
        ({"a": "LimitsKept", "b": "TokenizerAbsent"}, False, Reason.TOKENIZER_ABSENT),
        ({"a": "TokenizerRefused", "b": None}, False, Reason.TOKENIZER_REFUSED),
        ({"a": "anything", "b": None}, True, Reason.ALL_LIMITS_EXACT),
        ({"a": None}, None, Reason.GUARDS_UNREACHABLE),
        ({}, None, Reason.NO_PODS),
    ],
)
def test_limits_are_exact_where_every_guard_that_answers_says_so(
    said: dict[str, str | None], status: bool | None, reason: Reason
) -> None:
    reports = {name: word and _report(word) for name, word in said.items()}
    world = worlds.world(pods=[worlds.pod(name) for name in said])
    verdict = conditions.limits_exact(world, _findings(guard_reports=reports))
    assert (verdict.status, verdict.reason) == (status, reason)
    assert status is not False or "Pods: " in verdict.text


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"replicas": 9}, "concurrent 8, concurrentPerClient 4"),
        ({"replicas": 5}, "concurrentPerClient 4"),
        ({"replicas": 3, "requests": (RequestWindow(2, 60),)}, "requests[].limit 2"),
        ({"replicas": 3, "tokens": (TokenWindow("Total", 2, 60),)}, "tokens[].limit 2"),
        ({"replicas": 3, "requests": (RequestWindow(2, 60),), "store": SharedStore("192.0.2.7", 6379)}, ""),
        ({"replicas": 4}, ""),
    ],
)
def test_a_share_below_one_is_said(change: dict[str, Any], said: str) -> None:
    document = replace(DOCUMENT, **change)
    verdict = conditions.limits_exact(worlds.world(), _findings(document=document))
    assert (verdict.reason is Reason.SHARE_BELOW_ONE) == bool(said)
    assert said in verdict.text


def test_a_store_that_the_installation_does_not_have_is_named() -> None:
    wish = worlds.wish(limits={"store": "elsewhere"})
    verdict = conditions.limits_exact(worlds.world(), _findings(deployment=wish, document=DOCUMENT))
    assert (verdict.status, verdict.reason) == (False, Reason.STORE_UNKNOWN)
    assert "there is no store elsewhere" in verdict.text


def test_a_refused_spec_names_the_first_problems_and_what_holds_meanwhile() -> None:
    problems = tuple(Problem(f"spec.p{number}", "is wrong") for number in range(12))
    verdict = conditions.accepted(worlds.world(), _findings(problems=problems))
    assert verdict.reason is Reason.SPEC_REFUSED
    assert "spec.p9: is wrong; and 2 more (the last accepted spec stays in force)" in verdict.text
    assert len(Verdict(False, Reason.SPEC_REFUSED, "x" * 5000).text) == MAX_MESSAGE


def test_weaknesses_are_named_by_container_and_field() -> None:
    verdict = conditions.hardened(worlds.world(), _findings(deployment=worlds.wish("weakened-where-the-owner-says-so")))
    assert verdict.reason is Reason.TEMPLATE_WEAKENS
    assert "readOnlyRootFilesystem" in verdict.text
    assert Weakness.__doc__


def test_an_audit_that_may_fail_is_a_weakness_of_its_own() -> None:
    wish = worlds.wish()
    careless = replace(wish, spec=replace(wish.spec, audit_may_fail=True))
    verdict = conditions.hardened(worlds.world(), _findings(deployment=careless))
    assert (verdict.status, verdict.reason) == (False, Reason.AUDIT_MAY_FAIL)
    assert "spec.audit.whenUnavailable" in verdict.text


def test_nothing_is_claimed_that_nobody_tried() -> None:
    for judge in (conditions.network_isolated, conditions.enforcement_verified):
        assert judge(worlds.world(), _findings()).status is None


def test_every_reason_has_a_sentence() -> None:
    assert set(EXPLANATIONS) == set(Reason)


def test_no_condition_repeats_a_key_that_somebody_put_into_a_message() -> None:
    key = "btzn_Zm9vYmFyYmF6cXV4.c2VjcmV0LXNlY3JldC1zZWNyZXQtc2VjcmV0LXNlY3JldC14"
    text = Verdict(False, Reason.PODS_FAILING, f"container model: {key} is no image").text
    assert text == "container model: [redacted] is no image"


SECURED = worlds.wish(serving={"tls": {"secretName": "pair"}})
GOOD = TlsReport("GuardReady", "TlsConfigured", 1_900_000_000)


def _plain_http(*tls: TlsReport | None, **fields: Any) -> Verdict:
    reports = {f"pod-{number}": GuardReport("", "GuardReady", tls=told) for number, told in enumerate(tls)}
    findings = _findings(**{"deployment": SECURED, "guard_reports": reports, **fields})
    return conditions.plain_http(worlds.world(), findings)


def test_plain_http_is_said_where_no_certificate_is_named() -> None:
    verdict = _plain_http(GOOD, deployment=WISH)
    assert (verdict.status, verdict.reason) == (True, Reason.TLS_NOT_CONFIGURED)
    assert _plain_http(deployment=None).status is None


def test_plain_http_is_over_when_every_guard_says_so_and_not_before() -> None:
    verdict = _plain_http(GOOD, GOOD)
    assert (verdict.status, verdict.reason) == (False, Reason.TLS_CONFIGURED)
    assert "valid until 2030-03-17T17:46:40Z" in verdict.text
    still = _plain_http(GOOD, None)
    assert (still.status, still.reason) == (True, Reason.TLS_NOT_CONFIGURED)
    assert "pod-1" in still.text
    assert _plain_http().status is None, "nobody was asked"
    assert _plain_http(guard_reports={"pod-0": None}).status is None, "nobody answered"


@pytest.mark.parametrize(
    ("told", "reason"),
    [
        (TlsReport("GuardReady", "TlsExpiresSoon", 1_900_000_000), Reason.TLS_EXPIRES_SOON),
        (TlsReport("GuardReady", "TlsExpired", 1_700_000_000), Reason.TLS_EXPIRED),
        (TlsReport("TlsPairRefused", "TlsConfigured", 1_900_000_000), Reason.TLS_PAIR_REFUSED),
        (TlsReport("TlsPairRefused", "TlsExpiresSoon", 1_900_000_000), Reason.TLS_PAIR_REFUSED),
        (TlsReport("TlsPairRefused", "TlsExpired", 1_700_000_000), Reason.TLS_EXPIRED),
        (TlsReport("TlsPairAbsent", "None", 0), Reason.TLS_PAIR_ABSENT),
    ],
)
def test_the_worst_of_the_certificates_is_said_first(told: TlsReport, reason: Reason) -> None:
    verdict = _plain_http(GOOD, told, TlsReport("GuardReady", "TlsExpiresSoon", 1_900_000_000))
    assert (verdict.status, verdict.reason) == (False, reason)
    assert "pod-1" in verdict.text
    assert "'pair'" in verdict.text


def test_what_strangers_say_in_a_guards_place_is_not_repeated() -> None:
    assert "evil" not in _plain_http(TlsReport("evil", "evil", 1)).text


def test_a_pod_that_is_being_created_is_told_which_secret_it_may_lack() -> None:
    waiting = {"name": "bartizan-guard", "state": {"waiting": {"reason": "PodInitializing"}}}
    pod = worlds.pod(spec=worlds.template(SECURED)["spec"], status={"initContainerStatuses": [waiting]})
    world = worlds.world(deployment=worlds.deployment(1), pods=[pod])
    template = worlds.template(SECURED)
    assert "Secret 'pair'" in conditions.ready(world, _findings(deployment=SECURED, pod_template=template)).text
