"""Every reason that Bartizan gives, once: the same word in condition, event, metric, refusal and audit."""

from enum import StrEnum


class Reason(StrEnum):
    """The value is the word itself; `EXPLANATIONS` holds one sentence for each."""

    # What the guard says of a request
    ALLOWED = "Allowed"
    COMPLETED = "Completed"
    CLIENT_GONE = "ClientGone"
    CLIENT_TOO_SLOW = "ClientTooSlow"
    PATH_NOT_ALLOWED = "PathNotAllowed"
    METHOD_NOT_ALLOWED = "MethodNotAllowed"
    REQUEST_MALFORMED = "RequestMalformed"
    REQUEST_TIMEOUT = "RequestTimeout"
    HEADERS_TOO_LARGE = "HeadersTooLarge"
    BODY_TOO_LARGE = "BodyTooLarge"
    CONTENT_TYPE_UNSUPPORTED = "ContentTypeUnsupported"
    CONTENT_ENCODING_UNSUPPORTED = "ContentEncodingUnsupported"
    CREDENTIAL_MISSING = "CredentialMissing"
    CREDENTIALS_SEVERAL = "CredentialsSeveral"
    CREDENTIAL_MALFORMED = "CredentialMalformed"
    KEY_UNKNOWN = "KeyUnknown"
    KEY_SECRET_WRONG = "KeySecretWrong"  # noqa: S105 -- a word, not a secret
    CREDENTIAL_WITHDRAWN = "CredentialWithdrawn"
    TOKEN_MALFORMED = "TokenMalformed"  # noqa: S105
    TOKEN_ISSUER_UNKNOWN = "TokenIssuerUnknown"  # noqa: S105
    TOKEN_KEY_UNKNOWN = "TokenKeyUnknown"  # noqa: S105
    TOKEN_SIGNATURE_INVALID = "TokenSignatureInvalid"  # noqa: S105
    TOKEN_AUDIENCE_WRONG = "TokenAudienceWrong"  # noqa: S105
    TOKEN_EXPIRED = "TokenExpired"  # noqa: S105
    TOKEN_NOT_YET_VALID = "TokenNotYetValid"  # noqa: S105
    TOKEN_LIFETIME_EXCESSIVE = "TokenLifetimeExcessive"  # noqa: S105
    TOKEN_SUBJECT_UNKNOWN = "TokenSubjectUnknown"  # noqa: S105
    TOKEN_ACCOUNT_REPLACED = "TokenAccountReplaced"  # noqa: S105
    TOKEN_CLIENT_AMBIGUOUS = "TokenClientAmbiguous"  # noqa: S105
    JSON_INVALID = "JsonInvalid"
    FIELD_UNKNOWN = "FieldUnknown"
    FIELD_INVALID = "FieldInvalid"
    MODEL_NOT_SERVED = "ModelNotServed"
    CAPABILITY_NOT_ALLOWED = "CapabilityNotAllowed"
    RATE_LIMITED = "RateLimited"
    TIER_RATE_LIMITED = "TierRateLimited"
    ENDPOINT_RATE_LIMITED = "EndpointRateLimited"
    TOKENS_LIMITED = "TokensLimited"
    TIER_TOKENS_LIMITED = "TierTokensLimited"
    ENDPOINT_TOKENS_LIMITED = "EndpointTokensLimited"
    TOKENS_NEVER_FIT = "TokensNeverFit"
    INPUT_TOO_LONG = "InputTooLong"
    OUTPUT_TOO_LONG = "OutputTooLong"
    ANSWER_TOO_LONG = "AnswerTooLong"
    STREAM_TOO_LONG = "StreamTooLong"
    CONCURRENCY_LIMITED = "ConcurrencyLimited"
    STORE_AWAY = "StoreAway"
    OVERLOADED = "Overloaded"
    DRAINING = "Draining"
    UPSTREAM_UNAVAILABLE = "UpstreamUnavailable"
    UPSTREAM_BROKEN = "UpstreamBroken"
    UPSTREAM_TIMEOUT = "UpstreamTimeout"
    TOKENIZER_UNAVAILABLE = "TokenizerUnavailable"
    AUDIT_UNAVAILABLE = "AuditUnavailable"
    INTERNAL_FAULT = "InternalFault"

    # What the guard says of itself
    GUARD_READY = "GuardReady"
    DOCUMENT_ABSENT = "DocumentAbsent"
    DOCUMENT_MALFORMED = "DocumentMalformed"
    DOCUMENT_SIGNATURE_INVALID = "DocumentSignatureInvalid"
    DOCUMENT_FOREIGN = "DocumentForeign"
    DOCUMENT_OUTDATED = "DocumentOutdated"
    LIMITS_KEPT = "LimitsKept"
    LIMITS_FORGOTTEN = "LimitsForgotten"
    LIMITS_UNKEPT = "LimitsUnkept"
    STORE_UNAVAILABLE = "StoreUnavailable"
    TLS_PAIR_ABSENT = "TlsPairAbsent"
    TLS_PAIR_REFUSED = "TlsPairRefused"
    TOKENIZER_ABSENT = "TokenizerAbsent"
    TOKENIZER_REFUSED = "TokenizerRefused"
    SOCKET_ABSENT = "SocketAbsent"
    SOCKET_STALE = "SocketStale"
    SOCKET_FORBIDDEN = "SocketForbidden"

    # What the operator says of an endpoint
    SPEC_ACCEPTED = "SpecAccepted"
    SPEC_REFUSED = "SpecRefused"
    NAME_TAKEN = "NameTaken"
    NAMESPACE_NOT_MANAGED = "NamespaceNotManaged"
    NAMESPACE_WITHOUT_RIGHTS = "NamespaceWithoutRights"
    FULLY_HARDENED = "FullyHardened"
    TEMPLATE_WEAKENS = "TemplateWeakens"
    ALL_PODS_GATED = "AllPodsGated"
    PODS_NOT_GATED = "PodsNotGated"
    NO_PODS = "NoPods"
    ALL_GUARDS_IN_SYNC = "AllGuardsInSync"
    GUARDS_OUT_OF_SYNC = "GuardsOutOfSync"
    GUARDS_UNREACHABLE = "GuardsUnreachable"
    ALL_LIMITS_EXACT = "AllLimitsExact"
    STORE_UNKNOWN = "StoreUnknown"
    SHARE_BELOW_ONE = "ShareBelowOne"
    ENDPOINT_READY = "EndpointReady"
    PODS_NOT_READY = "PodsNotReady"
    PODS_FAILING = "PodsFailing"
    SCALED_TO_ZERO = "ScaledToZero"
    NOT_PROBED = "NotProbed"
    AUDIT_MAY_FAIL = "AuditMayFail"
    TLS_NOT_CONFIGURED = "TlsNotConfigured"
    ALL_CLIENTS_RESOLVED = "AllClientsResolved"
    CLIENTS_UNRESOLVED = "ClientsUnresolved"
    TLS_CONFIGURED = "TlsConfigured"
    TLS_EXPIRES_SOON = "TlsExpiresSoon"
    TLS_EXPIRED = "TlsExpired"
    ROOT_LOST = "RootLost"
    APPLY_FAILED = "ApplyFailed"
    DELETING = "Deleting"

    # What the operator did
    DRIFT_REPAIRED = "DriftRepaired"
    POLICY_DELETION_ANSWERED = "PolicyDeletionAnswered"
    KEY_ISSUED = "KeyIssued"
    KEY_RETIRED = "KeyRetired"


EXPLANATIONS: dict[Reason, str] = {
    Reason.ALLOWED: "The request passed every stage and went to the model.",
    Reason.COMPLETED: "The model's answer reached the caller whole.",
    Reason.CLIENT_GONE: "The caller left before the answer's end; the request to the model was cancelled.",
    Reason.CLIENT_TOO_SLOW: "The caller left a full buffer of the answer unread for too long; the answer was cut.",
    Reason.PATH_NOT_ALLOWED: "The path is not one of the protocol's; paths are matched exactly.",
    Reason.METHOD_NOT_ALLOWED: "The path takes another method.",
    Reason.REQUEST_MALFORMED: "The request is not the narrow HTTP/1.1 that the guard speaks.",
    Reason.REQUEST_TIMEOUT: "Header or body did not arrive before the deadline.",
    Reason.HEADERS_TOO_LARGE: "The header block has too many bytes or lines.",
    Reason.BODY_TOO_LARGE: "The body is larger than what can be inspected; nothing is inspected in part.",
    Reason.CONTENT_TYPE_UNSUPPORTED: "Only application/json is read.",
    Reason.CONTENT_ENCODING_UNSUPPORTED: "Compressed bodies are refused, so that what is inspected is what was sent.",
    Reason.CREDENTIAL_MISSING: "No API key and no token came with the request.",
    Reason.CREDENTIALS_SEVERAL: "More than one credential came with the request: none of them is chosen.",
    Reason.CREDENTIAL_MALFORMED: "The credential is no API key, and no token that is read here, sent as one is sent.",
    Reason.KEY_UNKNOWN: "No API key of the endpoint has the id: it was never issued here, or it is retired.",
    Reason.KEY_SECRET_WRONG: "An API key of the endpoint has the id, and another secret: it is guessed, or damaged.",
    Reason.CREDENTIAL_WITHDRAWN: "Key or client were withdrawn while the answer was on its way; the answer was cut.",
    Reason.TOKEN_MALFORMED: "The token has an odd form, a header that is not allowed, or claims of a wrong type.",
    Reason.TOKEN_ISSUER_UNKNOWN: "The token says that it is from an issuer that the endpoint does not trust.",
    Reason.TOKEN_KEY_UNKNOWN: "The token names a key that its issuer does not publish, or no longer.",
    Reason.TOKEN_SIGNATURE_INVALID: "The token's signature does not verify, or its algorithm is not one of its key's.",
    Reason.TOKEN_AUDIENCE_WRONG: "The token is genuine and made for somebody else, or not for this endpoint alone.",
    Reason.TOKEN_EXPIRED: "The token is genuine and has expired.",
    Reason.TOKEN_NOT_YET_VALID: "The token is genuine and not valid yet, or issued in the future: a clock is wrong.",
    Reason.TOKEN_LIFETIME_EXCESSIVE: "The token is genuine and lives for longer than tokens may here.",
    Reason.TOKEN_SUBJECT_UNKNOWN: "The token is genuine and names nobody who is a client of this endpoint.",
    Reason.TOKEN_ACCOUNT_REPLACED: "The token is genuine and belongs to another life of the client's ServiceAccount.",
    Reason.TOKEN_CLIENT_AMBIGUOUS: "The token is genuine, and its groups belong to two clients of this endpoint.",
    Reason.JSON_INVALID: "The body is not strict JSON: UTF-8, no duplicate keys, no NaN, bounded depth and values.",
    Reason.FIELD_UNKNOWN: "The body has a field that the protocol's schema does not know.",
    Reason.FIELD_INVALID: "A field has a wrong type or is out of bounds.",
    Reason.CAPABILITY_NOT_ALLOWED: "The request asks for something that the endpoint's owner has not let through.",
    Reason.MODEL_NOT_SERVED: "The request names a model other than the declared one.",
    Reason.RATE_LIMITED: "The client's request rate is used up; Retry-After says when to come back.",
    Reason.TIER_RATE_LIMITED: "The request rate of all clients of the tier together is used up, until Retry-After.",
    Reason.ENDPOINT_RATE_LIMITED: "The request rate of all clients together is used up; Retry-After says until when.",
    Reason.TOKENS_LIMITED: "The client's token budget has no room for what the request may cost; it refills with time.",
    Reason.TIER_TOKENS_LIMITED: "The token budget of all clients of the tier together has no room; it refills.",
    Reason.ENDPOINT_TOKENS_LIMITED: "The token budget of all clients together has no room; it refills with time.",
    Reason.TOKENS_NEVER_FIT: "The request may cost more tokens than one of the client's budgets holds at all.",
    Reason.INPUT_TOO_LONG: "The request has more tokens than `limits.maxInputTokens`, or more text than they can be.",
    Reason.OUTPUT_TOO_LONG: "The request asks for more output than `limits.maxOutputTokens`; `excessOutput` is Reject.",
    Reason.ANSWER_TOO_LONG: "The model sent more tokens than the request was let through for; the answer was cut.",
    Reason.STREAM_TOO_LONG: "A stream went on for longer than `limits.maxStreamSeconds`; it was cut.",
    Reason.CONCURRENCY_LIMITED: "Too many requests of the client or of the endpoint are under way.",
    Reason.STORE_AWAY: "The store that counts is away, and the client's tier is given nothing without it.",
    Reason.OVERLOADED: "The guard, or the client's share of it, is full: connections, bytes of bodies, or time.",
    Reason.DRAINING: "The pod is about to end and takes no new requests.",
    Reason.UPSTREAM_UNAVAILABLE: "The model's server does not answer on its socket.",
    Reason.UPSTREAM_BROKEN: "The model's server broke off, sent what is not HTTP, or refused the guard itself.",
    Reason.UPSTREAM_TIMEOUT: "The model's server took longer than the deadline.",
    Reason.TOKENIZER_UNAVAILABLE: "The request is so long that its tokens must be counted, and they cannot be now.",
    Reason.AUDIT_UNAVAILABLE: "The audit cannot be written, so nothing is let through.",
    Reason.INTERNAL_FAULT: "A fault inside the guard; whatever its cause, the request is refused.",
    Reason.GUARD_READY: "A valid document is enforced and the model's server answers.",
    Reason.DOCUMENT_ABSENT: "The guard has no document; everything is refused.",
    Reason.DOCUMENT_MALFORMED: "The document cannot be read; the last good one stays in force.",
    Reason.DOCUMENT_SIGNATURE_INVALID: "The operator did not sign the document; the last good one stays in force.",
    Reason.DOCUMENT_FOREIGN: "The document belongs to another endpoint; the last good one stays in force.",
    Reason.DOCUMENT_OUTDATED: "The document is older than the one held; the newer one stays in force.",
    Reason.LIMITS_KEPT: "What long windows were charged is kept over a restart of the guard.",
    Reason.LIMITS_FORGOTTEN: "The guard's memory of long windows was damaged: they count as used up, and refill.",
    Reason.LIMITS_UNKEPT: "The guard cannot write down what long windows are charged: a restart would refill them.",
    Reason.STORE_UNAVAILABLE: "The store in which guards count together is away: each holds its share of the limits.",
    Reason.TLS_PAIR_ABSENT: "Certificate or key is not there; the last good pair stays in use, if there was one.",
    Reason.TLS_PAIR_REFUSED: "Certificate and key cannot be used together; the last good pair stays in use.",
    Reason.TOKENIZER_ABSENT: "The tokenizer's file cannot be read (yet): what must be counted is refused.",
    Reason.TOKENIZER_REFUSED: "The tokenizer's file is none, or fails: what must be counted is refused.",
    Reason.SOCKET_ABSENT: "The model's socket does not exist (yet).",
    Reason.SOCKET_STALE: "The model's socket exists and nobody listens on it.",
    Reason.SOCKET_FORBIDDEN: "The guard may not connect to the model's socket.",
    Reason.SPEC_ACCEPTED: "The spec is valid and in force.",
    Reason.SPEC_REFUSED: "The spec is not valid; the last accepted one stays in force, less the clients it withdraws.",
    Reason.NAME_TAKEN: "An object that Bartizan did not make has a name that the endpoint needs; it is left alone.",
    Reason.NAMESPACE_NOT_MANAGED: "The operator was not given this namespace; add it to the chart's `namespaces`.",
    Reason.NAMESPACE_WITHOUT_RIGHTS: "The operator may not read what endpoints own here: nothing is known or repaired.",
    Reason.FULLY_HARDENED: "Every container runs restricted.",
    Reason.TEMPLATE_WEAKENS: "The template sets fields to less than the restricted default.",
    Reason.ALL_PODS_GATED: "Every pod runs behind its guard.",
    Reason.PODS_NOT_GATED: "Some pod runs without its guard or with another template.",
    Reason.NO_PODS: "There are no pods.",
    Reason.ALL_GUARDS_IN_SYNC: "Every guard enforces the newest document.",
    Reason.GUARDS_OUT_OF_SYNC: "Some guard enforces an older document, or was given one that it refuses.",
    Reason.GUARDS_UNREACHABLE: "Some guard cannot be asked which document it enforces.",
    Reason.ALL_LIMITS_EXACT: "Every guard counts all that was used of its limits.",
    Reason.SHARE_BELOW_ONE: "A figure is smaller than the number of guards that share it: each gives at least one.",
    Reason.STORE_UNKNOWN: "The spec names a store that the installation does not have: each guard holds its share.",
    Reason.ENDPOINT_READY: "The endpoint answers through its guards.",
    Reason.PODS_NOT_READY: "Pods are starting.",
    Reason.PODS_FAILING: "Pods cannot start; the message says why.",
    Reason.SCALED_TO_ZERO: "spec.replicas is 0.",
    Reason.NOT_PROBED: "Nothing has tried it yet, so nothing is claimed.",
    Reason.AUDIT_MAY_FAIL: "Requests go on while the audit cannot be written.",
    Reason.TLS_NOT_CONFIGURED: "The guard's port speaks plain HTTP.",
    Reason.ALL_CLIENTS_RESOLVED: "Every client that the spec names can come in.",
    Reason.CLIENTS_UNRESOLVED: "Some client cannot come in: its account, or the key of its tokens, is missing.",
    Reason.TLS_CONFIGURED: "Every guard's port speaks TLS.",
    Reason.TLS_EXPIRES_SOON: "A guard's certificate has little of its life left, and no newer one has come.",
    Reason.TLS_EXPIRED: "A guard's certificate has expired, or is not valid yet: clients refuse it.",
    Reason.ROOT_LOST: "The root key is gone while endpoints exist: nothing new is issued, gates keep what they have.",
    Reason.APPLY_FAILED: "The API server refused or failed a write; it is tried again.",
    Reason.DELETING: "The endpoint is being taken down: workload first, network policy last.",
    Reason.DRIFT_REPAIRED: "An owned object had been changed and was put back.",
    Reason.POLICY_DELETION_ANSWERED: "Somebody deleted the network policy; a twin stood before it was let go.",
    Reason.KEY_ISSUED: "A client's key was issued.",
    Reason.KEY_RETIRED: "A client's key was retired and is refused from now on.",
}
