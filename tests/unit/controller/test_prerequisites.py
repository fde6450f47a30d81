"""What is missing is named, with its remedy, and one bad namespace does not stop the others."""

import asyncio
from collections.abc import Callable

import pytest
from tests.unit.controller.fake_transport import Answer, FakeTransport

from bartizan.controller import kinds, prerequisites
from bartizan.controller.api import Api, ApiError, Call
from bartizan.controller.prerequisites import Survey
from bartizan.controller.settings import Settings


def survey(answer: Callable[[Call], Answer], *namespaces: str) -> Survey:
    settings = Settings(guard_image="x", namespaces=namespaces)
    return asyncio.run(prerequisites.survey(Api(FakeTransport(answer)), settings))


def test_nothing_is_missing_where_everything_can_be_listed() -> None:
    assert survey(lambda _: {}) == Survey(namespaces=(), lacks=(), is_usable=True)


def test_a_missing_crd_is_one_line_with_its_remedy() -> None:
    found = survey(lambda call: ApiError(404, "NotFound", "no") if "modeldeployments" in call.path else {})
    assert not found.is_usable
    (lack,) = found.lacks
    assert lack.message == "custom resource definition missing"
    assert "kubectl apply -f crds/" in lack.remedy


def test_an_api_server_that_is_away_is_one_line() -> None:
    found = survey(lambda _: ApiError(0, "Unreachable", "refused"), "a", "b")
    assert [lack.message for lack in found.lacks] == ["api server unreachable"]


def test_every_missing_right_is_named_with_its_namespace() -> None:
    refused = {"/api/v1/namespaces/b/pods", "/apis/apps/v1/namespaces/b/deployments"}
    found = survey(lambda call: ApiError(403, "Forbidden", "no") if call.path in refused else {}, "a", "b")
    assert found.namespaces == ("a",)
    assert found.is_usable
    assert {(lack.namespace, lack.subject) for lack in found.lacks} == {
        ("b", "list and watch pods"),
        ("b", "list and watch deployments.apps"),
    }


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (ApiError(401, "Unauthorized", ""), "credentials refused"),
        (ApiError(500, "InternalError", ""), "listing failed"),
        (ApiError(0, "Timeout", ""), "api server unreachable"),
    ],
)
def test_other_failures_are_told_apart(error: ApiError, message: str) -> None:
    assert prerequisites.judge(kinds.POD, None, error).message == message


def test_the_words_of_an_error_do_not_make_another_lack_of_it() -> None:
    one, other = (prerequisites.judge(kinds.POD, None, ApiError(0, "x", words)) for words in ("refused", "timed out"))
    assert one == other
