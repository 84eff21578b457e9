"""Writing tasks with constraints that a program checks ("text-instructions").

A topic, a form of text and one to three constraints are drawn; an answer is built from sentences
about the topic so that it keeps them, and every check must pass. The checks are in `constraints`.

Source: data synthesis specification, sections 1 and 17.2.
"""

from __future__ import annotations

import itertools
import json
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from nanovl.core.config import from_dict
from nanovl.core.errors import ConfigError
from nanovl.synth.asking import join_words, sentence
from nanovl.synth.base import Answer, Reject, Requirement, Sample, Streams, Task
from nanovl.synth.text.constraints import CONSTRAINTS, constraints_score, words_of
from nanovl.synth.text.wording import words

__all__ = ["InstructionsConfig", "InstructionsGenerator", "create"]

_TOPICS = words(
    "a walk by the river|growing tomatoes|the town library|learning to swim|a rainy afternoon|"
    "baking bread|riding a bicycle|the night sky|keeping bees|a small market|old maps|"
    "playing the violin|a visit to the museum|the first snow|mending clothes|the village choir|"
    "taking photographs|a train journey|writing letters|the morning routine|cooking for friends|"
    "a football match|collecting shells|the school garden|feeding birds|painting a fence",
    "|",
)
_FORMS = words("a short text|a note|a few lines|a description|a piece for a newsletter", "|")
_ASKS = (
    "Write {form} about {topic}.",
    "Please write {form} on {topic}.",
    "I need {form} about {topic}.",
    "Compose {form} on the subject of {topic}.",
    "Can you write {form} about {topic}?",
    "Tell me something about {topic} in the form of {form}.",
    "Give me {form} about {topic}.",
    "Draft {form} with {topic} as its subject.",
)
# None has a comma, so that texts without commas need no other bank.
_SENTENCES = (
    "Many people enjoy {topic}.",
    "There is more to {topic} than one might think.",
    "It takes patience and a little time.",
    "Good preparation helps a lot.",
    "Children often like it as much as adults do.",
    "A friend can make it even better.",
    "Start slowly and look closely.",
    "Small steps lead to good results.",
    "The weather may change the plan.",
    "Some find it calm while others find it exciting.",
    "You do not need much money for it.",
    "Older people tell fine stories about it.",
    "A notebook is useful for ideas.",
    "Every season brings something new.",
    "Mistakes are part of learning.",
    "The best moment often comes as a surprise.",
    "Bring warm clothes and something to drink.",
    "After an hour the mind feels clear.",
    "It is worth trying at least once.",
    "Nothing else gives quite the same joy.",
    "The sounds and smells stay in memory.",
    "A quiet corner is a good place to begin.",
    "Ask a neighbour for advice.",
    "Share what you have learned with others.",
)
_INCLUDE = words("window candle bridge market story lesson basket river music evening coffee")
_EXCLUDE = words("very really amazing thing stuff nice great wonderful interesting big")
_STARTS = words("To begin with|In my view|Let me tell you|Once in a while|As you know", "|")
_ENDS = words(
    "That is all for today.|I hope this helps.|Try it and see.|Let me know what you think.", "|"
)
_TITLES = words("A Good Day|Small Joys|Worth Trying|Notes from Home|In Short|First Steps", "|")
_HEADS = words("Part Section Step Chapter Topic")
_KEYS = words("title summary advice reason example mood")
_PLACEHOLDERS = words("[name] [date] [place] [time] [phone] [address]")
_POSTSCRIPT = "P.S. Write back soon."


@dataclass(frozen=True, kw_only=True)
class InstructionsConfig:
    """Settings of "text-instructions".

    Attributes:
        most: Most constraints of a task, 1 to 4.
    """

    most: int = 3

    def __post_init__(self) -> None:
        if not 1 <= self.most <= 4:
            raise ConfigError(f"text-instructions: most {self.most}, expected 1 to 4")


class InstructionsGenerator:
    """Makes writing tasks with constraints.

    Args:
        config: Settings.
    """

    name = "text-instructions"
    version = "1"
    requires: Sequence[Requirement] = ()

    def __init__(self, config: InstructionsConfig | None = None) -> None:
        self.config = config or InstructionsConfig()

    def generate(self, index: int, streams: Streams) -> Sample:
        """One task.

        Raises:
            Reject: The drawn constraints do not go together.
        """
        rng, qa = streams.rng("content"), streams.rng("qa")
        topic, form = rng.choice(_TOPICS), rng.choice(_FORMS)
        chosen = _choose(rng, rng.randint(1, self.config.most))
        text = _answer(rng, topic, chosen)
        checks: list[dict[str, Any]] = [
            {"kind": k, "parameters": p} for k, p in sorted(chosen.items())
        ]
        answer = Answer(type="json", value=checks)
        if constraints_score(answer, text) < 1.0:
            raise Reject("constraints", f"{sorted(chosen)} do not go together")
        ask = qa.randrange(len(_ASKS))
        parts = [_ASKS[ask].format(form=form, topic=topic)]
        template = [f"ask/{ask}"]
        for check in qa.sample(checks, len(checks)):
            bank = CONSTRAINTS[check["kind"]].wordings
            number = qa.randrange(len(bank))
            parts.append(bank[number].format(**_shown(check["parameters"])))
            template.append(f"{check['kind']}/{number}")
        task = Task(
            task="instruction_following",
            question=" ".join(parts),
            answer_text=text,
            answer=answer,
            verifier="constraints",
            template="+".join(template),
        )
        return Sample(
            generator=self.name,
            version=self.version,
            seed=streams.seed,
            gt={"topic": topic, "form": form, "constraints": checks},
            tasks=(task,),
            tags=("instructions", *sorted(chosen), f"difficulty:{min(4, len(chosen))}"),
            quality={"constraints": len(chosen)},
        )


def _shown(parameters: dict[str, Any]) -> dict[str, Any]:
    return {
        k: join_words([f"'{x}'" for x in v]) if isinstance(v, list) else v
        for k, v in parameters.items()
    }


def _choose(rng: random.Random, count: int) -> dict[str, dict[str, Any]]:
    """Constraints of different groups with their parameters."""
    chosen: dict[str, dict[str, Any]] = {}
    groups: set[str] = set()
    for kind in rng.sample(sorted(CONSTRAINTS), len(CONSTRAINTS)):
        if len(chosen) == count:
            break
        if CONSTRAINTS[kind].group not in groups:
            groups.add(CONSTRAINTS[kind].group)
            chosen[kind] = _parameters(kind, rng)
    return chosen


def _parameters(kind: str, rng: random.Random) -> dict[str, Any]:
    if kind in ("lower", "upper", "quoted", "no_commas", "title", "postscript", "two_answers"):
        return {}
    if kind == "words_least":
        return {"n": rng.randrange(20, 81, 10)}
    if kind == "words_most":
        return {"n": rng.randrange(25, 91, 5)}
    if kind in ("include", "exclude"):
        bank = _INCLUDE if kind == "include" else _EXCLUDE
        return {"words": rng.sample(bank, rng.randint(2, 3))}
    if kind == "word_times":
        return {"word": rng.choice(_INCLUDE), "n": rng.randint(2, 3)}
    if kind in ("starts", "ends"):
        return {"phrase": rng.choice(_STARTS if kind == "starts" else _ENDS)}
    if kind == "sections":
        return {"n": rng.randint(2, 4), "head": rng.choice(_HEADS)}
    if kind == "json_keys":
        return {"keys": rng.sample(_KEYS, rng.randint(2, 4))}
    if kind == "letter_most":
        return {"letter": rng.choice("gkpvwy"), "n": rng.randint(2, 6)}
    if kind == "paragraph_word":
        total = rng.randint(2, 4)
        word = rng.choice(words("Today Sometimes Later Outside Often"))
        return {"total": total, "number": rng.randint(1, total), "word": word}
    return {"n": rng.randint(2, 5)}


def _answer(rng: random.Random, topic: str, chosen: dict[str, dict[str, Any]]) -> str:
    """A text that should keep the constraints; the caller checks."""
    pool = [s.format(topic=topic) for s in rng.sample(_SENTENCES, len(_SENTENCES))]
    if "letter_most" in chosen:
        pool.sort(key=lambda s: s.lower().count(chosen["letter_most"]["letter"]))
    else:  # the topic is named first
        pool.sort(key=lambda s: topic not in s)
    extras = [f"Here the {w} plays its part." for w in chosen.get("include", {}).get("words", ())]
    if "word_times" in chosen:
        word = chosen["word_times"]["word"]
        bank = (
            f"Think of the {word} first.",
            f"The {word} matters.",
            f"Then comes the {word} again.",
        )
        extras += bank[: chosen["word_times"]["n"]]
    if "placeholders" in chosen:
        bank_ = rng.sample(_PLACEHOLDERS, min(6, chosen["placeholders"]["n"]))
        extras += [f"Ask for {p} in time." for p in bank_]
    units = _unit_count(chosen)
    count = max(units, len(extras) + 1, 3 if "sentences" not in chosen else 0)
    least = chosen.get("words_least", {}).get("n", 0)
    lines = [pool[0], *extras, *pool[1:]][: max(count, 1)]
    if "sentences" in chosen and len(lines) != units - ("ends" in chosen):
        lines = lines[: units - ("ends" in chosen or "postscript" in chosen)]
    while sum(map(len, map(words_of, lines))) < least and len(lines) < len(pool) + len(extras):
        lines.append([pool[0], *extras, *pool[1:]][len(lines)])
    if "starts" in chosen:
        lines[0] = f"{chosen['starts']['phrase']} {lines[0][0].lower()}{lines[0][1:]}"
    for place in range(chosen.get("highlights", {}).get("n", 0)):
        if place < len(lines):
            first, _, rest = lines[place].rstrip(".").rpartition(" ")
            lines[place] = f"{first} *{rest}*."
    text = _shape(lines, chosen)
    if "title" in chosen and "starts" not in chosen:
        text = f"<<{rng.choice(_TITLES)}>>\n{text}"
    elif "title" in chosen:
        text = f"{text}\n<<{rng.choice(_TITLES)}>>"
    if "postscript" in chosen:
        text = f"{text}\n{_POSTSCRIPT}"
    if "ends" in chosen:
        text = f"{text} {chosen['ends']['phrase']}"
    if "quoted" in chosen:
        text = f'"{text}"'
    if "lower" in chosen:
        text = text.lower()
    return text.upper() if "upper" in chosen else text


def _unit_count(chosen: dict[str, dict[str, Any]]) -> int:
    """How many sentences the shape needs."""
    for kind in ("sentences", "bullets", "numbered"):
        if kind in chosen:
            return int(chosen[kind]["n"])
    if "json_keys" in chosen:
        return len(chosen["json_keys"]["keys"])
    parts = chosen.get("paragraphs") or chosen.get("sections")
    if parts:
        return 2 * int(parts["n"])
    if "paragraph_word" in chosen:
        return 2 * int(chosen["paragraph_word"]["total"])
    return 4


def _split(lines: list[str], count: int) -> list[str]:
    """Sentences dealt into so many parts, in order."""
    marks = [round(i * len(lines) / count) for i in range(count + 1)]
    return [" ".join(lines[a:b]) for a, b in itertools.pairwise(marks)]


def _shape(lines: list[str], chosen: dict[str, dict[str, Any]]) -> str:
    if "bullets" in chosen:
        return "\n".join(f"* {t}" for t in _split(lines, chosen["bullets"]["n"]))
    if "numbered" in chosen:
        parts = _split(lines, chosen["numbered"]["n"])
        return "\n".join(f"{i}. {t}" for i, t in enumerate(parts, 1))
    if "sections" in chosen:
        head = chosen["sections"]["head"]
        parts = _split(lines, chosen["sections"]["n"])
        return "\n".join(f"{head} {i}\n{t}" for i, t in enumerate(parts, 1))
    if "paragraphs" in chosen:
        return "\n\n".join(_split(lines, chosen["paragraphs"]["n"]))
    if "paragraph_word" in chosen:
        p = chosen["paragraph_word"]
        parts = _split(lines, p["total"])
        old = parts[p["number"] - 1]
        parts[p["number"] - 1] = f"{p['word']} {old[0].lower()}{old[1:]}"
        return "\n\n".join(parts)
    if "two_answers" in chosen:
        return "\n******\n".join(_split(lines, 2))
    if "json_keys" in chosen:
        keys = chosen["json_keys"]["keys"]
        return json.dumps(dict(zip(keys, _split(lines, len(keys)), strict=True)), indent=1)
    return sentence(" ".join(lines))


def create(config: Mapping[str, Any]) -> InstructionsGenerator:
    """The generator from settings as a mapping.

    Raises:
        ConfigError: A setting is unknown or wrong.
    """
    return InstructionsGenerator(from_dict(InstructionsConfig, config, where="text-instructions"))
