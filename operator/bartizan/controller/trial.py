"""Whether the API server would take what a new spec renders, asked before any of it is in force.

The parser knows much of what an API server refuses and can never know all of it: another version has other rules, and a
cluster's own admission policies have theirs. A spec whose workload or network policy is refused there must not count as
accepted: its limits and clients would be in force, its pods would not, and no repair would get through any more.
"""

import asyncio
from typing import Any

from bartizan.controller.api import Api, ApiError
from bartizan.controller.builders import deployment, network_policy, pod_template
from bartizan.controller.builders.surroundings import Surroundings
from bartizan.policy.model import ModelDeployment, Problem

_ANY_KEY = "AAAA"
"""Stands where the document's key will; it is one string of many to the API server."""


async def refusals(api: Api, wish: ModelDeployment, surroundings: Surroundings) -> tuple[Problem, ...]:
    """Empty where both would be taken, or where it cannot be told now; the write itself will tell then."""
    template = pod_template.build(wish, surroundings, document_key=_ANY_KEY, not_before=1)
    policy = network_policy.build(wish, surroundings, name=wish.identity.name)
    found = await asyncio.gather(*(_try(api, item) for item in (deployment.build(wish, template), policy)))
    return tuple(problem for problem in found if problem)


async def _try(api: Api, manifest: dict[str, Any]) -> Problem | None:
    try:
        await api.try_create(manifest)
    except ApiError as error:
        if error.is_invalid:
            said = " ".join(error.message.split())
            return Problem("spec", f"the API server refuses the {manifest['kind']} that follows from it: {said}")
    return None
