"""Where the tokenizer lies is the pod's business: guards mount it, and documents are what they were without."""

from tests.unit.controller import worlds

from bartizan.controller.builders import guard_document
from bartizan.policy import document, keys

SIGNING_KEY = keys.signing_key(worlds.ROOT)


def test_documents_are_to_the_byte_what_they_were_for_guards_of_every_release() -> None:
    limits = worlds.spec("tokenizer")["limits"]
    without = worlds.wish("tokenizer", limits={name: limits[name] for name in limits.keys() - {"tokenizer"}})
    made = [guard_document.build(wish, worlds.ROOT, {}, replicas=1) for wish in (worlds.wish("tokenizer"), without)]
    assert document.encode(made[0], SIGNING_KEY) == document.encode(made[1], SIGNING_KEY)


def test_the_guard_alone_mounts_it_anew_and_cannot_write_it() -> None:
    spec = worlds.template(worlds.wish("tokenizer"))["spec"]
    guard, model = spec["initContainers"][0], spec["containers"][0]
    assert {"name": "models", "mountPath": "/run/bartizan/tokenizer", "readOnly": True} in guard["volumeMounts"]
    assert [mount["mountPath"] for mount in model["volumeMounts"] if mount["name"] == "models"] == ["/models"]


def test_only_guards_that_have_one_ask_for_its_memory() -> None:
    asked = [
        worlds.template(worlds.wish(case))["spec"]["initContainers"][0]["resources"]["requests"]["memory"]
        for case in ("minimal", "tokenizer")
    ]
    assert asked == ["64Mi", "192Mi"]
