"""PlainHTTP: what guards say of their certificates, the worst first."""

from collections.abc import Mapping
from datetime import UTC, datetime

from bartizan.controller.guards import GuardReport
from bartizan.controller.verdict import Verdict
from bartizan.policy.reasons import EXPLANATIONS, Reason

Reports = Mapping[str, GuardReport | None]

WORST_FIRST = (Reason.TLS_EXPIRED, Reason.TLS_PAIR_ABSENT, Reason.TLS_PAIR_REFUSED, Reason.TLS_EXPIRES_SOON)
MOST_NAMED = 5


def plain() -> Verdict:
    return Verdict(
        True,
        Reason.TLS_NOT_CONFIGURED,
        "the guard's port speaks plain HTTP: keys and prompts cross the cluster's network unencrypted; "
        "name a certificate in spec.serving.tls",
    )


def judge(reports: Reports, secret: str) -> Verdict:
    """For an endpoint with spec.serving.tls: true as long as any guard speaks plain HTTP."""
    answered = {name: report for name, report in reports.items() if report is not None}
    if not answered:
        return Verdict(None, Reason.GUARDS_UNREACHABLE, "no guard has said yet what its port speaks")
    without = [name for name, report in answered.items() if report.tls is None]
    if without:
        return Verdict(True, Reason.TLS_NOT_CONFIGURED, f"plain HTTP until the roll-out has ended: {_named(without)}")
    for reason in WORST_FIRST:
        concerned = [name for name, report in answered.items() if report.tls and reason in _of(report)]
        if concerned:
            text = f"Secret {secret!r}: {EXPLANATIONS[reason]} {_named(concerned)}{_ends(answered, concerned)}"
            return Verdict(False, reason, text)
    return Verdict(False, Reason.TLS_CONFIGURED, f"every guard speaks TLS{_ends(answered, list(answered))}")


def _of(report: GuardReport) -> tuple[str, str]:
    return (report.tls.files, report.tls.validity) if report.tls else ("", "")


def _ends(answered: Mapping[str, GuardReport], names: list[str]) -> str:
    times = [told.not_after for name in names if (told := answered[name].tls) is not None and told.not_after]
    return f"; valid until {datetime.fromtimestamp(min(times), UTC):%Y-%m-%dT%H:%M:%SZ}" if times else ""


def _named(names: list[str]) -> str:
    return ", ".join(sorted(names)[:MOST_NAMED])
