"""Wordings of questions about several pictures. Our own.

Source: data synthesis specification, sections 12 (two pictures, sequences) and 17.
"""

from __future__ import annotations

from nanovl.synth.asking import Bank

__all__ = ["BANK", "LABELS"]

LABELS = ("Picture {n}:", "Image {n}:", "[{n}]", "({n})", "Picture {n} of {all}:")

BANK: Bank = {
    "which-kind": (
        "which picture shows a {sort}? Give its number, counted from 1.",
        "one of the pictures is a {sort}: which one? Answer with its number from 1.",
        "find the {sort} among the pictures; reply with its number, starting at 1.",
        "what is the number of the picture with a {sort} (the first is 1)?",
    ),
    "which-about": (
        'which picture has the title "{title}"? Give its number, counted from 1.',
        'find the picture titled "{title}" and give its number (the first is 1).',
        '"{title}" is written on which picture? Answer with a number from 1.',
        'in which of the pictures does it say "{title}"? Number from 1.',
    ),
    "count-kind": (
        "how many of the pictures show a {sort}?",
        "count the pictures with a {sort}.",
        "what is the number of pictures that show a {sort}?",
        "among all pictures, how many are of this kind: {sort}?",
    ),
    "list-kinds": (
        "say for each picture in order whether it is a chart, a page, a scene or a table. "
        "Separate by commas.",
        "sort the pictures into chart, page, scene and table: one word each, in order, with "
        "commas.",
        "what is each picture: chart, page, scene or table? Give the words in order, with commas.",
        "classify the pictures in order as chart, page, scene or table (comma separated).",
    ),
    "most": (
        "which picture has the most {things}? Give its number, counted from 1.",
        "in which picture are there more {things} than in any other? Number from 1.",
        "find the picture with the largest number of {things}; answer with its number from 1.",
        "counting {things}, which picture comes first? Reply with its number (the first is 1).",
    ),
    "exactly": (
        "which picture shows exactly {count} {things}? Give its number, counted from 1.",
        "exactly {count} {things}: which picture is that? Number from 1.",
        "find the one picture with {count} {things}, no more and no less; its number from 1?",
        "in which picture do you count {count} {things}? Answer with its number (first is 1).",
    ),
    "total": (
        "how many {things} are there in all pictures together?",
        "count the {things} over all pictures.",
        "add up the {things} of every picture.",
        "taken together, how many {things} do the pictures show?",
    ),
    "pictures-with": (
        "in how many pictures is there at least one of these: {things}?",
        "count the pictures that contain {things}.",
        "how many of the pictures show any {things}?",
        "what is the number of pictures with {things} in them?",
    ),
    "counts": (
        "how many objects does each picture have? List the numbers in order, with commas.",
        "count the objects picture by picture; give the numbers in order, comma separated.",
        "state the number of objects of every picture in order, separated by commas.",
        "picture after picture, how many objects are there? Use commas.",
    ),
    "odd": (
        "all pictures but one are the same. Which one differs? Give its number from 1.",
        "which picture is not like the others? Answer with its number, counted from 1.",
        "find the picture that differs from the rest; give its number (the first is 1).",
        "one picture was changed, the others agree. What is its number, counted from 1?",
    ),
    "odd-what": (
        "one picture differs from the others. What is different in it? Describe the change from "
        "the others to this one.",
        "find the picture that is not like the rest and say what changed in it.",
        "in one picture something was edited. State the edit in a sentence.",
        "what sets the odd picture apart from the others? One sentence.",
    ),
    "same": (
        "do both pictures say the same?",
        "is the content of the two pictures the same?",
        "do the two pictures agree in everything they state?",
        "are both versions equal in content?",
    ),
    "same-data": (
        "do the two charts show the same data?",
        "are the values of both charts equal?",
        "is the data of the second chart the same as that of the first?",
        "do both charts plot equal numbers?",
    ),
    "agree": (
        "does the table agree with the chart?",
        "are the values of chart and table the same?",
        "is the chart drawn from exactly the numbers of the table?",
        "do table and chart tell the same numbers?",
    ),
    "n-changes": (
        "in how many places do the two versions differ?",
        "count the changes from the first picture to the second.",
        "how many entries were changed in the second version?",
        "what is the number of differences between the versions?",
    ),
    "changes": (
        "what changed from the first version to the second? One line per change, as {form}.",
        "list every difference between the pictures, one per line, in the form {form}.",
        "compare both versions. For each change write a line {form}.",
        "spot the differences; write each as {form} on a line of its own.",
    ),
    "change-box": (
        "where in the second picture is the change? Give a bounding box.",
        "mark what changed in the second picture with a box.",
        "locate the difference in the second picture; answer with a box.",
        "box the part of the second picture that is not as in the first.",
    ),
    "differs": (
        "for which {noun} do the two pictures differ?",
        "name the {noun} whose value is not the same in both pictures.",
        "which {noun} has different values in the first and the second picture?",
        "find the {noun} that was changed.",
    ),
    "higher": (
        "in which picture is the value of {item} higher, 1 or 2?",
        "for {item}, which picture shows the larger value: 1 or 2?",
        "{item}: does picture 1 or picture 2 give the higher value? Answer 1 or 2.",
        "compare {item} in both pictures. Where is it higher, in 1 or in 2?",
    ),
    "order": (
        "the pictures show one event in mixed order: {event}. Give the numbers of the pictures in "
        "order of time, separated by commas.",
        "{event}. The pictures were shuffled; list their numbers from first to last, with commas.",
        "put the pictures in order of time, knowing this: {event}. Numbers with commas.",
        "sort the shuffled pictures. What happens: {event}. Answer with their numbers, first to "
        "last, comma separated.",
    ),
    "order-end": (
        "{event}, but the pictures are shuffled. Which picture comes {end}? Give its number.",
        "the pictures are out of order; what happens is this: {event}. Which is the {end} one?",
        "knowing that {event}, which of the shuffled pictures comes {end}? Number from 1.",
        "of these shuffled pictures, which shows the {end} moment? What happens: {event}.",
    ),
    "story": (
        "the pictures form a sequence. Describe it, one line per picture.",
        "tell what happens from picture to picture, a line for each.",
        "write a caption for every picture of this sequence, one per line.",
        "describe the sequence step by step: one line for each picture.",
    ),
    "step": (
        "what happens from picture {a} to picture {b}?",
        "describe the change between picture {a} and picture {b}.",
        "which event lies between picture {a} and picture {b}?",
        "compare picture {a} with picture {b}: what is different?",
    ),
    "when": (
        "between which two neighboring pictures {event}? Answer as A-B.",
        "at which step {event}? Reply with the pictures before and after as A-B.",
        "from which picture to the next {event}? Give A-B.",
        "between which pictures {event}? Name them as A-B.",
    ),
}
