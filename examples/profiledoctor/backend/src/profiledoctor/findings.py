"""What a profile lacks, by rules that a reader can follow."""

import re
from collections.abc import Callable
from dataclasses import dataclass

PHRASES = ["team player", "hard-working", "go-getter", "think outside the box", "results-driven", "synergy"]


@dataclass(frozen=True)
class Rule:
    id: str
    says: str
    applies: Callable[[str], bool]


def words(text: str) -> list[str]:
    return re.findall(r"[^\W\d_]+", text)


def long_sentence(text: str) -> bool:
    return any(len(words(sentence)) > 30 for sentence in re.split(r"[.!?\n]", text))


RULES = [
    Rule("short", "Write at least 40 words: so little says nothing.", lambda text: len(words(text)) < 40),
    Rule("long", "Cut it to 400 words: nobody reads more.", lambda text: len(words(text)) > 400),
    Rule("figures", "Give figures: what was there after your work that was not before?", lambda t: not re.search(r"\d", t)),
    Rule("contact", "Say how to reach you: an address or a link.", lambda t: not re.search(r"\S@\S+\.\w|https?://", t)),
    Rule("phrases", "Replace phrases that everybody uses by what you did.", lambda t: any(p in t.lower() for p in PHRASES)),
    Rule("sentences", "Split sentences of more than 30 words.", long_sentence),
    Rule("shouting", "Write words in small letters.", lambda t: len(re.findall(r"\b[A-Z]{6,}\b", t)) > 2),
]


def findings_of(text: str) -> list[dict[str, str]]:
    return [{"id": rule.id, "says": rule.says} for rule in RULES if rule.applies(text)]
