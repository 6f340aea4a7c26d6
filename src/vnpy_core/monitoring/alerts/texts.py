"""What alerts say, in English and Chinese."""

import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from zoneinfo import ZoneInfo

import msgspec

from vnpy_core.config.alert_rules import RuleSettings
from vnpy_core.config.alert_settings import Language
from vnpy_core.models import Incident
from vnpy_core.monitoring.alerts.book import What

_FIELD = re.compile(r"\{(\w+)\}")
_WORDS: Mapping[Language, Mapping[str, str]] = {
    "en": {
        "info": "INFO", "warning": "WARNING", "critical": "CRITICAL", "raised": "", "resolved": "RESOLVED",
        "reminder": "STILL", "message": "MESSAGE", "alerts": "{count} alerts", "test": "TEST",
        "test_body": "This is a test of the channel {channel}. Nothing is wrong.", "others": "and {count} more",
    },
    "zh": {
        "info": "提示", "warning": "警告", "critical": "严重", "raised": "", "resolved": "已恢复",
        "reminder": "仍在持续", "message": "消息", "alerts": "{count} 条告警", "test": "测试",
        "test_body": "这是告警通道 {channel} 的测试消息，一切正常。", "others": "另有 {count} 条",
    },
}  # fmt: skip
_MOST_LINES = 30
_MOST_LETTERS = 120  # of a title


class Notice(msgspec.Struct, frozen=True):
    """One thing a channel is to deliver. ``delivery``: its name among the incident's deliveries."""

    incident: Incident
    what: What
    delivery: str


class Message(msgspec.Struct, frozen=True):
    """What is sent: one or several notices."""

    title: str
    body: str
    severity: str


def summary_of(
    rule: RuleSettings | None, name: str, labels: Mapping[str, str], value: float | None, language: Language
) -> str:
    """Return a rule's title with labels and value in their places."""
    template = (rule.title_zh if language == "zh" else "") or rule.title if rule is not None else name
    facts = {**labels, "value": "" if value is None else f"{value:,.4g}" if abs(value) < 1e4 else f"{value:,.0f}"}
    return _FIELD.sub(lambda found: facts.get(found[1], "?"), template)[:2000]


def message_of(notices: Sequence[Notice], language: Language, source: str, zone: ZoneInfo) -> Message:
    """Return one message for all of ``notices``, of which there is at least one."""
    severities = {notice.incident.severity for notice in notices}
    worst = next((each for each in ("critical", "warning") if each in severities), "info")
    if len(notices) == 1:
        notice = notices[0]
        title = f"[{_tag(notice, language)}] {_short(notice.incident.summary)}"
        rest = notice.incident.summary if _short(notice.incident.summary) != notice.incident.summary else ""
        body = "\n".join(filter(None, (_line(notice, language, zone, tagged=False), rest, source)))
    else:
        words = _WORDS[language]
        kinds = {_tag(notice, language) for notice in notices}
        tag = kinds.pop() if len(kinds) == 1 else words[worst]
        title = f"[{tag}] {words['alerts'].format(count=len(notices))}: {_short(notices[-1].incident.summary)}"
        lines = [_line(notice, language, zone) for notice in notices[:_MOST_LINES]]
        if len(notices) > _MOST_LINES:
            lines.append(words["others"].format(count=len(notices) - _MOST_LINES))
        body = "\n".join((*lines, source))
    over = all(notice.what == "resolved" for notice in notices)
    return Message(title, body, "resolved" if over else worst)


def test_message(channel: str, language: Language, source: str) -> Message:
    words = _WORDS[language]
    return Message(f"[{words['test']}] VnPy Core", f"{words['test_body'].format(channel=channel)}\n{source}", "info")


def _short(text: str) -> str:
    text = " ".join(text.split())
    return text if len(text) <= _MOST_LETTERS else f"{text[: _MOST_LETTERS - 1]}…"


def _tag(notice: Notice, language: Language) -> str:
    words = _WORDS[language]
    if notice.what in ("resolved", "message"):
        return words[notice.what]
    severity = words.get(notice.incident.severity, notice.incident.severity)
    return " ".join(filter(None, (words[notice.what], severity)))


def _line(notice: Notice, language: Language, zone: ZoneInfo, *, tagged: bool = True) -> str:
    incident = notice.incident
    moment = (incident.resolved if notice.what == "resolved" else incident.fired) or incident.began
    when = datetime.fromisoformat(moment).astimezone(zone).strftime("%Y-%m-%d %H:%M:%S")
    line = f"{when} [{_tag(notice, language)}] {incident.summary}" if tagged else f"{when} {incident.alert_id}"
    return f"{line}\n{incident.detail}" if incident.detail and incident.detail != incident.summary else line
