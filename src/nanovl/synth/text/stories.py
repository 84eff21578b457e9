"""Story schemas of word problems: what is told, which quantities it has, and how they combine.

A schema is a line of data. Quantities are written `name=range`: `3..12` whole numbers,
`0.5..9:0.5` with a step, `frac` a simple fraction. A step is `name=x op y|what it is|unit`. A story
may be followed by turns (`MORE`), which take the last result further. Holds no logic but parsing.

Source: data synthesis specification, section 13 (at least 60 story schemas).
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

from nanovl.synth.text.wording import pick, words

__all__ = ["BRIDGES", "DISTRACTORS", "LOOSE", "MORE", "SCHEMAS", "Quantity", "Schema", "Step"]

_FRACTIONS = tuple(
    Fraction(a, b)
    for a, b in ((1, 2), (1, 3), (2, 3), (1, 4), (3, 4), (1, 5), (2, 5), (3, 5), (4, 5), (3, 8))
)


@dataclass(frozen=True)
class Quantity:
    """A number the story states and where it is drawn from."""

    name: str
    low: Fraction
    high: Fraction
    step: Fraction
    is_fraction: bool = False

    @classmethod
    def parse(cls, text: str) -> Quantity:
        """Read `name=low..high:step` or `name=frac`."""
        name, domain = text.split("=")
        if domain == "frac":
            return cls(name, Fraction(0), Fraction(1), Fraction(1), True)
        bounds, _, step = domain.partition(":")
        low, high = bounds.split("..")
        return cls(name, Fraction(low), Fraction(high), Fraction(step or "1"))

    def draw(self, rng: random.Random) -> Fraction:
        """A value."""
        if self.is_fraction:
            return pick(rng, _FRACTIONS)
        return self.low + self.step * rng.randint(0, int((self.high - self.low) / self.step))


@dataclass(frozen=True)
class Step:
    """One operation of the solution."""

    name: str
    op: str
    left: str
    right: str
    what: str
    unit: str

    @classmethod
    def parse(cls, text: str) -> Step:
        """Read `name=x op y|what|unit`."""
        formula, what, unit = text.split("|")
        name, right_side = formula.strip().split("=")
        left, op, right = right_side.split()
        return cls(name, op, left, right, what, unit)


@dataclass(frozen=True)
class Schema:
    """A story, or a turn that continues one.

    Attributes:
        name: Unique.
        kind: What the result is: "items", "money", "distance", "time", "weight", "volume",
            "people", "length" or "points"; of a turn, "from>to".
        quantities: What is drawn.
        text: Sentences with the quantities, money as `{m:$}`, and entities as slots.
        steps: The solution in order; the last one is the answer.
        ask: The question.
    """

    name: str
    kind: str
    quantities: tuple[Quantity, ...]
    text: str
    steps: tuple[Step, ...]
    ask: str


def _schemas(rows: Sequence[tuple[str, str, str, str, str, str]]) -> tuple[Schema, ...]:
    return tuple(
        Schema(
            name,
            kind,
            tuple(Quantity.parse(part) for part in drawn.split()),
            text,
            tuple(Step.parse(part) for part in steps.split(";")),
            ask,
        )
        for name, kind, drawn, text, steps, ask in rows
    )


SCHEMAS: tuple[Schema, ...] = _schemas(
    (
        # --- things that are counted -------------------------------------------------------
        ("trays", "items", "a=2..15 b=4..30",
         "{name} fills {a} {box} with {b} {item} each.",
         "s=a * b|the number of {item}|{item}", "How many {item} are there?"),
        ("two_people", "items", "a=5..90 b=5..90",
         "{name} has {a} {item} and {name2} has {b} {item}.",
         "s=a + b|the number of {item} they have together|{item}",
         "How many {item} do they have together?"),
        ("more_than", "items", "a=5..80 b=3..40",
         "{name} collected {a} {item}. {name2} collected {b} more than {name}.",
         "t=a + b|the number {name2} collected|{item};s=a + t|the number of {item} of both|{item}",
         "How many {item} did the two collect in all?"),
        ("fewer_than", "items", "a=30..120 b=3..29",
         "{name} picked {a} {item}, and {name2} picked {b} fewer.",
         "t=a - b|the number {name2} picked|{item};s=a + t|the number of {item} of both|{item}",
         "How many {item} did they pick together?"),
        ("times_as_many", "items", "a=4..60 k=2..9",
         "{name} owns {a} {item}. {name2} owns {k} times as many.",
         "s=a * k|the number of {item} {name2} owns|{item}", "How many {item} does {name2} own?"),
        ("times_total", "items", "a=4..60 k=2..9",
         "{name} found {a} {item}, while {name2} found {k} times that number.",
         "t=a * k|the number {name2} found|{item};s=a + t|the number of {item} found|{item}",
         "How many {item} were found altogether?"),
        ("share_out", "items", "n=2..12 a=6..300",
         "{name} shares {a} {item} equally among {n} friends.",
         "s=a / n|the number of {item} for each friend|{item}",
         "How many {item} does each friend get?"),
        ("share_two", "items", "a=10..200 b=10..200 n=2..10",
         "At {place}, {a} {item} from {name} and {b} {item} from {name2} are put together and "
         "divided equally into {n} {box}.",
         "t=a + b|the number of {item} put together|{item};"
         "s=t / n|the number of {item} in one of the {box}|{item}",
         "How many {item} are in each of the {box}?"),
        ("rows", "items", "a=3..25 b=3..30 c=2..20",
         "A shelf has {a} rows with {b} {item} in every row, and {c} {item} lie beside it.",
         "t=a * b|the number of {item} in the rows|{item};s=t + c|the number of {item}|{item}",
         "How many {item} are there in total?"),
        ("daily", "items", "a=2..40 d=3..30",
         "A workshop makes {a} {item} a day and works for {d} days.",
         "s=a * d|the number of {item} made|{item}", "How many {item} does it make?"),
        ("daily_broken", "items", "a=5..60 d=3..20 b=2..14",
         "A machine turns out {a} {item} a day for {d} days, but {b} {item} are faulty.",
         "t=a * d|the number of {item} made|{item};s=t - b|the number of good {item}|{item}",
         "How many good {item} are there?"),
        ("fraction_of", "items", "a=12..240 f=frac",
         "There are {a} {item} at {place}. {name} takes {f} of them.",
         "s=f * a|the number of {item} {name} takes|{item}", "How many {item} does {name} take?"),
        ("fraction_left", "items", "a=12..240 f=frac",
         "{name} brings {a} {item} to {place} and sells {f} of them.",
         "t=f * a|the number of {item} sold|{item};s=a - t|the number of {item} left|{item}",
         "How many {item} are left?"),
        ("percent_of", "items", "a=20..800:20 p=5..95:5",
         "Of {a} {item} in a shop, {p} percent are {colour}.",
         "s=p % a|the number of {colour} {item}|{item}", "How many of the {item} are {colour}?"),
        ("percent_rest", "items", "a=20..800:20 p=5..95:5",
         "{p} percent of the {a} {item} that {name} ordered arrive broken.",
         "t=p % a|the number of broken {item}|{item};s=a - t|the number of whole {item}|{item}",
         "How many {item} arrive whole?"),
        ("two_boxes", "items", "a=2..9 b=5..30 c=2..9 d=5..30",
         "{name} buys {a} small {box} with {b} {item} each and {c} large {box} with {d} {item} "
         "each.",
         "t=a * b|the number of {item} in the small {box}|{item};"
         "u=c * d|the number of {item} in the large {box}|{item};"
         "s=t + u|the number of {item} bought|{item}", "How many {item} does {name} buy?"),
        ("colours", "items", "a=5..60 b=5..60 c=5..60",
         "In a jar there are {a} {colour} {item}, {b} {colour2} {item} and {c} {colour3} {item}.",
         "t=a + b|the number of {colour} and {colour2} {item}|{item};"
         "s=t + c|the number of {item} in the jar|{item}", "How many {item} are in the jar?"),
        ("lost_found", "items", "a=40..150 b=5..39 c=3..30",
         "{name} starts with {a} {item}, loses {b} on the way and later finds {c} others.",
         "t=a - b|the number of {item} after the loss|{item};s=t + c|the number at the end|{item}",
         "How many {item} does {name} have at the end?"),
        ("half_and_more", "items", "a=20..200 k=2..5 b=2..15",
         "{name} gives 1 of every {k} of the {a} {item} to {name2}, who already had {b}.",
         "t=a / k|the number of {item} given|{item};s=t + b|the number {name2} has|{item}",
         "How many {item} does {name2} have now?"),
        ("difference", "items", "a=50..300 b=5..49",
         "A stall sold {a} {item} on Saturday and {b} {item} on Sunday.",
         "s=a - b|the surplus of {item} on Saturday|{item}",
         "How many more {item} were sold on Saturday than on Sunday?"),
        ("layers", "items", "a=2..9 b=3..12 c=2..8",
         "A stack has {a} layers. Each layer has {b} rows of {c} {item}.",
         "t=b * c|the number of {item} in a layer|{item};s=a * t|the number of {item}|{item}",
         "How many {item} are in the stack?"),
        ("bundle_left", "items", "a=6..30 b=4..15 c=2..25",
         "{name} had {a} bundles of {b} {item} and used {c} {item}.",
         "t=a * b|the number of {item} at the start|{item};s=t - c|the number left|{item}",
         "How many {item} remain?"),
        ("ratio_share", "items", "a=2..7 b=2..7 c=12..300",
         "{name} and {name2} divide {c} {item} in the ratio {a} to {b}.",
         "t=a + b|the number of parts|;u=c / t|the size of one part|{item};"
         "s=u * a|the number of {item} for {name}|{item}", "How many {item} does {name} get?"),
        # --- people --------------------------------------------------------------------------
        ("classes", "people", "a=2..9 b=12..32",
         "A school in {town} has {a} classes with {b} pupils each.",
         "s=a * b|the number of pupils|people", "How many pupils does the school have?"),
        ("coaches", "people", "a=2..9 b=20..60 c=3..20",
         "{a} coaches with {b} passengers each arrive in {town}, and {c} people come on foot.",
         "t=a * b|the number of passengers|people;s=t + c|the number of visitors|people",
         "How many visitors are there?"),
        ("train_stops", "people", "a=40..200 b=5..39 c=5..60",
         "A train leaves {town} with {a} people. At the next stop {b} get off and {c} get on.",
         "t=a - b|the number who stay on|people;s=t + c|the number on the train|people",
         "How many people are on the train after the stop?"),
        ("concert", "people", "a=10..40 b=10..40 c=5..99",
         "A hall has {a} rows of {b} seats. {c} seats are empty.",
         "t=a * b|the number of seats|;s=t - c|the number of people in the hall|people",
         "How many people are in the hall?"),
        ("survey", "people", "a=40..600:20 p=5..95:5",
         "In a survey in {town}, {p} percent of {a} people said they like {item}.",
         "s=p % a|the number who like {item}|people", "How many people said that?"),
        ("teams", "people", "a=4..20 b=5..14 c=2..9",
         "At {place} there are {a} teams of {b} players and {c} referees.",
         "t=a * b|the number of players|people;s=t + c|the number of people|people",
         "How many people is that?"),
        # --- money ---------------------------------------------------------------------------
        ("price", "money", "a=2..30 m=0.25..12:0.25",
         "One of the {item} costs {m:$}. {name} buys {a} of them.",
         "s=a * m|the price|$", "How much does {name} pay?"),
        ("change", "money", "a=2..8 m=0.25..6:0.25 p=50..100:10",
         "{name} buys {a} {item} at {m:$} each and pays with {p:$}.",
         "t=a * m|the price of the {item}|$;s=p - t|the change|$",
         "How much change does {name} get?"),
        ("two_prices", "money", "a=2..12 m=0.5..9:0.25 b=2..12 n=0.5..9:0.25",
         "{name} sells {a} {item} for {m:$} each and {b} {item2} for {n:$} each at {place}.",
         "t=a * m|the money for the {item}|$;u=b * n|the money for the {item2}|$;"
         "s=t + u|the money in all|$", "How much money does {name} take?"),
        ("wage", "money", "a=9..32:0.5 h=4..45",
         "{name} earns {a:$} an hour and works {h} hours this week.",
         "s=a * h|the wage|$", "What does {name} earn this week?"),
        ("overtime", "money", "a=10..30 h=20..40 b=12..45 o=2..10",
         "{name} works {h} hours at {a:$} an hour and {o} extra hours at {b:$} an hour.",
         "t=a * h|the normal pay|$;u=b * o|the pay for extra hours|$;s=t + u|the whole pay|$",
         "How much is {name} paid?"),
        ("saving", "money", "a=5..60 w=4..30 b=10..200",
         "{name} has {b:$} and saves {a:$} every week for {w} weeks.",
         "t=a * w|the money saved|$;s=b + t|the money at the end|$",
         "How much money does {name} have then?"),
        ("discount", "money", "m=10..400:5 p=5..60:5",
         "A coat costs {m:$}. In the sale it is {p} percent cheaper.",
         "t=p % m|the reduction|$;s=m - t|the sale price|$", "What is the sale price?"),
        ("tax", "money", "m=10..600:10 p=4..25",
         "A repair in {town} costs {m:$} before tax. The tax is {p} percent.",
         "t=p % m|the tax|$;s=m + t|the full price|$", "What is the price with tax?"),
        ("interest", "money", "m=100..4000:100 p=1..9 y=2..6",
         "{name} lends {m:$} at {p} percent simple interest a year for {y} years.",
         "t=p % m|the interest of a year|$;u=t * y|the interest|$;s=m + u|the sum paid back|$",
         "How much does {name} get back in all?"),
        ("profit", "money", "a=5..40 b=2..9:0.5 c=10..20:0.5",
         "{name} buys {a} {item} at {b:$} each and sells all of them at {c:$} each.",
         "t=c - b|the profit on one|$;s=a * t|the profit|$", "What profit does {name} make?"),
        ("split_bill", "money", "a=20..240:2 n=2..8 b=2..20:2",
         "A meal costs {a:$} and {n} friends add a tip of {b:$}. They share the sum equally.",
         "t=a + b|the bill with tip|$;s=t / n|the share of each|$",
         "How much does each friend pay?"),
        ("rent", "money", "a=300..1200:50 m=2..12 b=50..300:10",
         "A room costs {a:$} a month for {m} months, and a fee of {b:$} is paid once.",
         "t=a * m|the rent|$;s=t + b|the whole cost|$", "What is the whole cost?"),
        ("phone", "money", "a=5..30 b=0.05..0.5:0.05 c=20..300:10",
         "A phone plan costs {a:$} a month and {b:$} per message. {name} writes {c} messages in "
         "a month.",
         "t=b * c|the cost of the messages|$;s=a + t|the cost of the month|$",
         "How much does the month cost?"),
        ("fund", "money", "a=200..900:20 b=20..180:10 n=2..6",
         "A club needs {a:$}. So far {n} members have given {b:$} each, and the club still lacks "
         "something.",
         "t=b * n|the money given|$;s=a - t|the money that is missing|$",
         "How much money is missing?"),
        ("tickets", "money", "a=2..6 m=6..25 b=2..8 n=3..12",
         "Adults pay {m:$} and children pay {n:$} for a boat trip. {a} adults and {b} children go.",
         "t=a * m|the price for the adults|$;u=b * n|the price for the children|$;"
         "s=t + u|the price for all|$", "What do they pay together?"),
        # --- distance, speed, time -------------------------------------------------------------
        ("speed", "distance", "v=10..120:5 h=0.5..8:0.5",
         "{name} drives at {v} km/h for {h} hours.",
         "s=v * h|the distance|km", "How many kilometres is that?"),
        ("two_legs", "distance", "v=10..90:5 h=1..5 w=10..90:5 k=1..5",
         "{name} rides {h} hours at {v} km/h and then {k} hours at {w} km/h.",
         "t=v * h|the first distance|km;u=w * k|the second distance|km;"
         "s=t + u|the whole distance|km", "How long is the whole way in kilometres?"),
        ("round_trip", "distance", "a=3..90 n=2..20",
         "The road from {town} to {town2} is {a} km. {name} drives there and back {n} times.",
         "t=a + a|the way there and back|km;s=t * n|the distance driven|km",
         "How many kilometres does {name} drive?"),
        ("still_to_go", "distance", "a=120..400:5 v=20..50:5 h=1..2.5:0.5",
         "It is {a} km to {town}. {name} cycles for {h} hours at {v} km/h.",
         "t=v * h|the distance covered|km;s=a - t|the distance left|km",
         "How many kilometres are left?"),
        ("travel_time", "time", "a=20..600:10 v=5..120:5",
         "{name} has to cover {a} km at {v} km/h.",
         "s=a / v|the travel time|hours", "How many hours does it take?"),
        ("travel_rest", "time", "a=20..600:10 v=5..120:5 b=0.5..2:0.5",
         "The ferry to {town} travels {a} km at {v} km/h and waits {b} hours in a port.",
         "t=a / v|the time at sea|hours;s=t + b|the whole time|hours",
         "How many hours does the trip take?"),
        ("meeting", "time", "a=30..600:10 v=5..60:5 w=5..60:5",
         "{town} and {town2} are {a} km apart. {name} starts in one and {name2} in the other at "
         "the same time; they move towards each other at {v} km/h and {w} km/h.",
         "t=v + w|the speed at which they get closer|km/h;s=a / t|the time until they meet|hours",
         "After how many hours do they meet?"),
        ("practice", "time", "a=15..90:5 d=3..14 b=10..60:5",
         "{name} practises {a} minutes a day for {d} days and then {b} minutes once more.",
         "t=a * d|the time of the daily practice|minutes;s=t + b|the whole time|minutes",
         "How many minutes is that?"),
        ("shifts", "time", "a=2..12 b=25..90:5 c=2..8",
         "Each of {a} lessons lasts {b} minutes, and {c} breaks of 10 minutes lie in between.",
         "t=a * b|the time of the lessons|minutes;u=c * ten|the time of the breaks|minutes;"
         "s=t + u|the whole time|minutes", "How many minutes does all of it take?"),
        ("print_job", "time", "a=60..900:10 b=5..60:5",
         "A printer makes {b} pages a minute. {name} prints {a} pages.",
         "s=a / b|the printing time|minutes", "How many minutes does it take?"),
        # --- length, area, weight, volume ---------------------------------------------------------
        ("fence", "length", "a=3..60 b=3..60",
         "A garden is {a} m long and {b} m wide. {name} puts a fence around it.",
         "t=a + b|length and width together|m;s=t + t|the length of the fence|m",
         "How many metres of fence are needed?"),
        ("rope", "length", "a=12..200 n=3..20 b=0.5..3:0.5",
         "From a rope of {a} m, {name} cuts {n} pieces of {b} m each.",
         "t=n * b|the length cut off|m;s=a - t|the length left|m",
         "How many metres of rope are left?"),
        ("ribbon", "length", "a=2..40 b=5..90:5",
         "For each of {a} presents {name} needs {b} cm of ribbon.",
         "s=a * b|the length of ribbon|cm", "How many centimetres of ribbon is that?"),
        ("tower", "length", "a=5..30 b=0.2..1.5:0.1 c=0.5..4:0.5",
         "A tower is built of {a} blocks, each {b} m high, on a base of {c} m.",
         "t=a * b|the height of the blocks|m;s=t + c|the height of the tower|m",
         "How high is the tower in metres?"),
        ("sacks", "weight", "a=2..25 b=1.5..40:0.5",
         "{name} loads {a} sacks of {b} kg each.",
         "s=a * b|the weight|kg", "How many kilograms is that?"),
        ("parcel", "weight", "a=3..25 b=0.2..3:0.1 c=0.5..4:0.5",
         "An empty crate weighs {c} kg. {name} puts in {a} jars of {b} kg each.",
         "t=a * b|the weight of the jars|kg;s=t + c|the weight of the full crate|kg",
         "How many kilograms does the full crate weigh?"),
        ("flour", "weight", "a=10..60 n=5..30 b=0.1..0.3:0.1",
         "A bakery in {town} has {a} kg of flour and uses {b} kg for each of {n} loaves.",
         "t=b * n|the flour used|kg;s=a - t|the flour left|kg",
         "How many kilograms of flour are left?"),
        ("harvest", "weight", "a=20..300 f=frac b=5..50",
         "Of {a} kg of potatoes, {f} is sold. Then {b} kg more are dug up.",
         "t=f * a|the weight sold|kg;u=a - t|the weight left|kg;s=u + b|the weight at the end|kg",
         "How many kilograms are there now?"),
        ("tank", "volume", "a=5..60 m=4..50 b=10..200:10",
         "A tank holds {b} litres. Water flows in at {a} litres a minute for {m} minutes.",
         "t=a * m|the water that flows in|litres;s=b + t|the water in the tank|litres",
         "How many litres are in the tank then?"),
        ("leak", "volume", "a=200..900:10 b=2..15 m=4..12",
         "A pool with {a} litres loses {b} litres an hour for {m} hours.",
         "t=b * m|the water lost|litres;s=a - t|the water left|litres",
         "How many litres are left?"),
        ("bottles", "volume", "a=6..60 b=0.25..2:0.25",
         "{name} fills {a} bottles of {b} litres each with juice.",
         "s=a * b|the amount of juice|litres", "How many litres of juice is that?"),
        ("mixture", "volume", "a=2..9 b=2..9 c=0.5..5:0.5",
         "Paint is mixed from {a} parts of {colour} and {b} parts of {colour2}. One part is {c} "
         "litres.",
         "t=a + b|the number of parts|;s=t * c|the amount of paint|litres",
         "How many litres of paint does that make?"),
        # --- points -------------------------------------------------------------------------------
        ("game", "points", "a=2..15 b=2..10 c=3..30",
         "{name} wins {a} rounds with {b} points each and loses {c} points in a last round.",
         "t=a * b|the points won|points;s=t - c|the final score|points",
         "What is the final score?"),
        ("average", "points", "a=10..100 b=10..100 c=10..100",
         "In three tests {name} gets {a}, {b} and {c} points.",
         "t=a + b|the points of the first two tests|points;u=t + c|all points|points;"
         "s=u / three|the average|points", "What is the average?"),
        ("quiz", "points", "a=5..20 b=3..10 c=2..9 d=1..3",
         "A right answer gives {b} points and a wrong one costs {d}. {name} has {a} right and {c} "
         "wrong answers.",
         "t=a * b|the points for right answers|points;u=c * d|the points lost|points;"
         "s=t - u|the score|points", "What is the score of {name}?"),
    )
)  # fmt: skip

# Turns that take the last result `s` on; "any" keeps the unit of what is counted.
MORE: tuple[Schema, ...] = _schemas(
    (
        ("get_more", "items>items", "x=2..60",
         "Then {x} more {item} arrive.",
         "r=s + x|the number of {item} now|{item}", "How many {item} are there now?"),
        ("give_away", "items>items", "x=2..60",
         "Afterwards {x} {item} are given away.",
         "r=s - x|the number of {item} that stay|{item}", "How many {item} stay?"),
        ("grow_times", "items>items", "x=2..5",
         "By the end of the year the number of {item} is {x} times as large.",
         "r=s * x|the number of {item} at the end of the year|{item}",
         "How many {item} are there at the end of the year?"),
        ("give_part", "items>items", "f=frac",
         "Of these, {f} go to {place}.",
         "v=f * s|the number that go away|{item};r=s - v|the number of {item} that remain|{item}",
         "How many {item} remain?"),
        ("lose_percent", "items>items", "p=5..60:5",
         "Later {p} percent of them get lost.",
         "v=p % s|the number lost|{item};r=s - v|the number of {item} not lost|{item}",
         "How many {item} are not lost?"),
        ("pack_again", "items>items", "x=2..12",
         "All of them are dealt evenly to {x} stalls.",
         "r=s / x|the number of {item} on each stall|{item}",
         "How many {item} does each stall get?"),
        ("sell_all", "items>money", "m=0.25..5:0.25",
         "All of them are sold at {m:$} apiece.",
         "r=s * m|the money from the sale|$", "How much money does the sale bring?"),
        ("spend", "money>money", "x=2..60",
         "After that, {x:$} is spent on lunch.",
         "r=s - x|the money left after lunch|$", "How much money is left after lunch?"),
        ("earn", "money>money", "x=2..90",
         "Then a gift of {x:$} is added.",
         "r=s + x|the sum with the gift|$", "What is the sum with the gift?"),
        ("fee", "money>money", "p=2..40:2",
         "A fee of {p} percent of this sum comes on top.",
         "v=p % s|the fee|$;r=s + v|the sum with the fee|$", "What is the sum with the fee?"),
        ("donate", "money>money", "f=frac",
         "Of this sum, {f} is donated.",
         "v=f * s|the donation|$;r=s - v|the rest|$", "How much is the rest?"),
        ("each_of", "money>money", "x=2..8",
         "This sum is divided equally among {x} people.",
         "r=s / x|the share of one person|$", "How much does one person get?"),
        ("every_month", "money>money", "x=2..12",
         "The same sum comes up again every month, {x} months in all.",
         "r=s * x|the sum of all months|$", "What is the sum of all months?"),
        ("people_join", "people>people", "x=2..80",
         "Later {x} more people join.",
         "r=s + x|the number of people after that|people", "How many people are there after that?"),
        ("people_leave", "people>people", "x=2..60",
         "An hour later {x} people have gone home.",
         "r=s - x|the number of people still there|people", "How many people are still there?"),
        ("people_groups", "people>people", "x=2..12",
         "They form {x} groups of equal size.",
         "r=s / x|the size of a group|people", "How many people are in a group?"),
        ("people_part", "people>people", "p=10..60:5",
         "Of them, {p} percent leave early.",
         "v=p % s|the number who leave early|people;r=s - v|the number who stay|people",
         "How many people stay to the end?"),
        ("people_pay", "people>money", "m=1..15:0.5",
         "Each of them pays {m:$}.",
         "r=s * m|the money paid|$", "How much money is paid?"),
        ("any_more", "any>any", "x=2..50",
         "Another {x} {unit} are added.",
         "r=s + x|the new total|{unit}", "What is the new total in {unit}?"),
        ("any_less", "any>any", "x=1..40",
         "Then {x} {unit} are taken off.",
         "r=s - x|the rest|{unit}", "How many {unit} is the rest?"),
        ("any_times", "any>any", "x=2..6",
         "The next time it is {x} times as much.",
         "r=s * x|the amount the next time|{unit}", "How many {unit} is it the next time?"),
        ("any_split", "any>any", "x=2..8",
         "This is split into {x} equal parts.",
         "r=s / x|the size of one part|{unit}", "How many {unit} is one part?"),
        ("any_percent", "any>any", "p=10..80:10",
         "On the next day it is {p} percent more.",
         "v=p % s|the increase|{unit};r=s + v|the amount on the next day|{unit}",
         "How many {unit} is it on the next day?"),
    )
)  # fmt: skip

# Results that are not simply "all there is now": a turn after them needs a bridge that names them.
LOOSE = frozenset(
    words(
        "share_out share_two fraction_of percent_of difference half_and_more ratio_share survey "
        "discount average times_as_many people_groups pack_again each_of any_split split_bill "
        "change fund two_people fewer_than more_than"
    )
)
BRIDGES = (
    "From here on, only {what} counts.",
    "The rest of the story is about {what}.",
    "Now take {what}.",
    "Let us follow {what}.",
    "Keep {what} in mind: it goes on with that.",
)

DISTRACTORS = (
    "{name3} is {x} years old.",
    "The walk to {place} takes {x} minutes.",
    "It was {x} degrees outside that day.",
    "There are {x} benches in the park nearby.",
    "{name3} has {x} books on the topic.",
    "The door of the hall is {x} years old.",
    "Last year, {x} songs were played at the opening.",
    "The bus number {x} stops in front of the house.",
    "{name3} lives on floor {x}.",
    "A poster on the wall shows {x} birds.",
    "The radio played for {x} minutes.",
    "{x} of the windows were open.",
    "The family dog is {x} months old.",
    "{name3} slept {x} hours the night before.",
    "On the table lies a calendar with {x} pages.",
    "The clock on the tower was {x} minutes slow.",
    "{name3} knows {x} people in {town3}.",
    "A sign says that {town3} is {x} km from the sea.",
    "The room has {x} lamps.",
    "{name3} drank {x} cups of tea in the meantime.",
)
