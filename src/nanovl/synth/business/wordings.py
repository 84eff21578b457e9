"""Wordings of the questions about business documents; data only. Our own.

All wordings of a kind have the same slots and ask for the same answer.

Source: data synthesis specification, section 17.
"""

from __future__ import annotations

from nanovl.synth.asking import Bank

__all__ = ["BANK"]

_BOX = "<ref>...</ref><box>(x1,y1),(x2,y2)</box> with coordinates from 0 to 1000"
_JSON = "Dates as YYYY-MM-DD, amounts as plain numbers"

BANK: Bank = {
    "value": (
        "what is the {name}?",
        "take the {name} from the document.",
        "which {name} does the document show?",
        "give the {name}.",
        "find the {name} on this page.",
        "state the {name} as printed.",
        "look up the {name}.",
        "tell me the {name} given here.",
    ),
    "label": (
        'what is printed for "{label}"?',
        'what does the document say under "{label}"?',
        'read the entry for "{label}".',
        'which value belongs to "{label}"?',
        'give what is filled in at "{label}".',
        'find "{label}" and copy its value.',
        'what stands at "{label}"?',
        'copy the entry of "{label}".',
    ),
    "value-or-absent": (
        'what is the {name}? If the document does not say, answer "not stated".',
        'give the {name}, or "not stated" if it is missing.',
        'find the {name}. Reply "not stated" when there is none.',
        'does the document name any {name}? If so give it, else write "not stated".',
        'state the {name}; should it be absent, say "not stated".',
        'look up the {name} ("not stated" if you cannot find one).',
        'which {name} is given? "not stated" is a possible answer.',
        'look for the {name} and copy it, or answer "not stated".',
    ),
    "date": (
        "what is the {name}? Write it as YYYY-MM-DD.",
        "give the {name} in the form YYYY-MM-DD.",
        "convert the {name} to YYYY-MM-DD.",
        "state the {name} as year-month-day (YYYY-MM-DD).",
        "read the {name} and normalise it to YYYY-MM-DD.",
        "which {name} is printed? Use the format YYYY-MM-DD.",
        "write the {name} as an ISO date.",
        "return the {name} in ISO form (YYYY-MM-DD).",
    ),
    "amount": (
        "what is the {name}? Write a plain number with a decimal point and no currency.",
        "give the {name} as a number like 1234.50.",
        "normalise the {name} to a plain number (point for decimals, nothing else).",
        "state the {name} without currency and thousands marks, with a decimal point.",
        "how much is the {name}? Use the form 1234.50.",
        "read the {name} and write it as a plain decimal number.",
        "return the {name} as a machine-readable number with a decimal point.",
        "convert the {name} to a plain number, decimals after a point.",
    ),
    "cell": (
        'what is the {column} of "{row}"?',
        'look up "{row}" and give its {column}.',
        'which {column} is listed for "{row}"?',
        'find "{row}". What is its {column}?',
        'give the {column} shown for "{row}".',
        'read the {column} of "{row}".',
        'for "{row}", state the {column}.',
        'tell me the {column} that belongs to "{row}".',
    ),
    "json": (
        f"extract {{keys}} as JSON. {_JSON}; null for what is not stated.",
        f"return a JSON object with the keys {{keys}}. {_JSON}, null where something is missing.",
        f"fill these keys from the document and answer in JSON: {{keys}}. {_JSON}; missing: null.",
        f"read the document into JSON with {{keys}}. {_JSON}. Use null for absent fields.",
        f"give me {{keys}} as one JSON object. {_JSON}, null if the document has no such field.",
        f"I need {{keys}} in JSON. {_JSON}; write null for anything not on the page.",
        f"key information as JSON, please: {{keys}}. {_JSON}; null for missing ones.",
        f"answer with JSON only, keys {{keys}}. {_JSON}. What is not stated becomes null.",
    ),
    "schema": (
        "extract the document into JSON that follows this schema; use null for what is not "
        "stated.\n{schema}",
        "fill this JSON schema from the page. Missing fields become null.\n{schema}",
        "return one JSON object valid under the schema, null where the document is silent.\n"
        "{schema}",
        "read the page and answer with JSON of this shape; absent values are null.\n{schema}",
        "here is a JSON schema:\n{schema}\nGive the document's data in this form, null for absent "
        "fields.",
        "convert the document to JSON. Schema (null for what is missing):\n{schema}",
    ),
    "rows": (
        "list the rows of the {noun} table as a JSON array of objects with the keys {keys}. "
        f"{_JSON}; null for empty cells.",
        "give all {noun} rows as JSON, one object each, keys {keys}. "
        f"{_JSON}, empty cells null.",
        "turn the {noun} list into a JSON array; every entry has {keys}. "
        f"{_JSON}; use null for empty cells.",
        "extract the {noun} rows. Answer with a JSON array of objects ({keys}). "
        f"{_JSON}; empty is null.",
        "return each {noun} as a JSON object with {keys}, all in one array. "
        f"{_JSON}; null where empty.",
        "read every {noun} on the page into a JSON array with the keys {keys}. "
        f"{_JSON}. Empty cells: null.",
    ),
    "pairs": (
        "list all labels with their values as one JSON object, as printed.",
        "which value belongs to which label? Answer with a JSON object of printed texts.",
        "pair every label on the page with its value; give a JSON object.",
        "link labels and values: return JSON with the label as key and the value as text.",
        "write the label-value pairs of this document as JSON, both as printed.",
        "read all labelled fields into a JSON object (label: value).",
    ),
    "family": (
        "what kind of document is this?",
        "which type of document does the picture show?",
        "classify this document.",
        "of what kind is this page?",
        "name the document type.",
        "what sort of document am I looking at?",
        "to which class does this document belong?",
        "which description fits this document?",
    ),
    "where": (
        f"where is the {{name}}? Answer with {_BOX}.",
        f"locate the {{name}} and give {_BOX}.",
        f"mark the {{name}}: {_BOX}.",
        f"give the box of the {{name}} as {_BOX}.",
        f"point to the {{name}} with {_BOX}.",
        f"at which place is the {{name}} printed? Use {_BOX}.",
        f"find the {{name}} on the page and report {_BOX}.",
        f"draw a box around the {{name}}: {_BOX}.",
    ),
    "where-drawing": (
        f"where is the {{name}}? Answer with {_BOX}.",
        f"locate the {{name}} on the page and give {_BOX}.",
        f"mark the {{name}}: {_BOX}.",
        f"put a box around the {{name}} as {_BOX}.",
        f"show me the {{name}} with {_BOX}.",
        f"report the position of the {{name}}: {_BOX}.",
    ),
    "label-of": (
        "which label belongs to the value at {box}?",
        "the text in {box} answers which label?",
        "to which printed label is the entry at {box} linked?",
        "what is the label of the value inside {box}?",
        "name the field whose value stands at {box}, by its printed label.",
        "the value in the region {box}: which label goes with it?",
    ),
    "more": (
        "is the {name} more than {other}?",
        "does the {name} exceed {other}?",
        "is the {name} above {other}?",
        "is the {name} greater than {other}?",
        "comparing with {other}, is the {name} larger?",
        "is {other} less than the {name}?",
    ),
    "later": (
        "is the {name} later than {other}?",
        "does the {name} come after {other}?",
        "is the {name} after {other}?",
        "is {other} before the {name}?",
        "comparing dates, does the {name} follow {other}?",
        "is the {name} more recent than {other}?",
    ),
    "same": (
        'is the {name} "{other}"?',
        'does the document give "{other}" as the {name}?',
        'is "{other}" the {name}?',
        'according to the page, is the {name} "{other}"?',
        'does the {name} read "{other}"?',
        'is it true that the {name} is "{other}"?',
    ),
    "stated": (
        "does the document state the {name}?",
        "is any {name} given on the page?",
        "can the {name} be read from this document?",
        "does the page name any {name}?",
        "is the {name} mentioned here?",
        "do you find the {name} in this document?",
    ),
    "earlier-of": (
        "which is earlier, the {first} or the {second}?",
        "what comes first in time: the {first} or the {second}?",
        "of the {first} and the {second}, which date is earlier?",
        "name the earlier one: {first} or {second}.",
        "does the {first} or the {second} come first? Name it.",
        "compare the {first} with the {second}: which is the earlier date?",
    ),
    "larger-of": (
        "which is larger, the {first} or the {second}?",
        "of the {first} and the {second}, which amount is higher?",
        "name the larger one: {first} or {second}.",
        "is the {first} or the {second} larger? Name it.",
        "compare the {first} with the {second}: which is larger?",
        "what is more, the {first} or the {second}?",
    ),
    "highest": (
        "which {noun} has the highest {column}?",
        "name the {noun} with the largest {column}.",
        "for which {noun} is the {column} greatest?",
        "find the {noun} whose {column} is highest.",
        "what {noun} comes first by {column}?",
        "of all listed, which {noun} has the top {column}?",
    ),
    "lowest": (
        "which {noun} has the lowest {column}?",
        "name the {noun} with the smallest {column}.",
        "for which {noun} is the {column} least?",
        "find the {noun} whose {column} is lowest.",
        "what {noun} comes last by {column}?",
        "of all listed, which {noun} has the smallest {column}?",
    ),
    "count": (
        "how many {nouns} are listed?",
        "count the {nouns}.",
        "what is the number of {nouns} on the page?",
        "how many {nouns} does the document list?",
        "give the number of {nouns}.",
        "of how many {nouns} does the list consist?",
    ),
    "add-column": (
        "add up the {column} of all {nouns}.",
        "what is the sum of the {column} over all {nouns}?",
        "how much is the {column} of all {nouns} together?",
        "compute the total of the {column} of the {nouns}.",
        "taking all {nouns}, what does the column of the {column} add up to?",
        "sum the {column} of every one of the {nouns}.",
    ),
    "work-out": (
        "what is {sum}?",
        "work out {sum}.",
        "compute {sum}.",
        "calculate {sum} from the document.",
        "using the figures of the page, what is {sum}?",
        "find the result of {sum}.",
    ),
    "line": (
        'what does "{row}" cost in all, from quantity and price{less}? Round to two decimals.',
        'work out the total for "{row}" from its quantity and price{less}, to two decimals.',
        'multiply quantity and price of "{row}"{less}; give two decimals.',
        'compute the line amount of "{row}" from quantity and price{less} (two decimals).',
        'quantity times price{less}: what is that for "{row}", to two decimals?',
        'check the line "{row}": what are quantity times price{less}? Two decimals.',
    ),
    "rate": (
        "how much is {rate} of the {base}? Round to two decimals.",
        "compute {rate} of the {base}, to two decimals.",
        "what is {rate} of the {base}, rounded to two decimals?",
        "take {rate} of the {base}; give two decimals.",
        "work out {rate} of the {base} (two decimals).",
        "find {rate} of the {base} to the nearest hundredth.",
    ),
    "days": (
        "how many days are there from the {first} to the {second}?",
        "count the days between the {first} and the {second}.",
        "what is the number of days from the {first} to the {second}?",
        "how long is it from the {first} to the {second}, in days?",
        "by how many days does the {second} follow the {first}?",
        "how many days after the {first} is the {second}?",
    ),
    "ticked": (
        'is the box "{option}" under "{group}" ticked?',
        'under "{group}", is "{option}" checked?',
        'has "{option}" been marked at "{group}"?',
        'is there a mark in the box for "{option}" ("{group}")?',
        'at "{group}", was "{option}" chosen?',
        'does the form have "{option}" ticked under "{group}"?',
    ),
    "all-ticked": (
        'which options are ticked under "{group}"? Separate them by commas; "none" if there is '
        "none.",
        'list what is checked at "{group}", with commas, or "none".',
        'under "{group}", which boxes are marked? Use commas; answer "none" if all are empty.',
        'name every chosen option of "{group}", comma separated ("none" if nothing is ticked).',
        'give the ticked boxes of "{group}" separated by commas, else "none".',
        'what has been selected at "{group}"? Commas between several; "none" for nothing.',
    ),
    "count-ticked": (
        "how many boxes are ticked on the form?",
        "count the check marks on the page.",
        "what is the number of ticked boxes?",
        "how many check boxes are marked?",
        "give the number of boxes that are ticked.",
        "in how many of the boxes is there a mark?",
    ),
    "markdown-checks": (
        "convert this page to Markdown; check boxes as [x] and [ ], tables as LaTeX. Leave out "
        "page footers.",
        "transcribe the page as Markdown without page footers. Write ticked boxes as [x], others "
        "as [ ]; tables in LaTeX.",
        "give me the document in Markdown, [x] for a ticked and [ ] for an empty box, LaTeX for "
        "tables, no page footers.",
        "write the content as Markdown. Boxes: [x] or [ ]. Tables: LaTeX. Skip page footers.",
        "turn the page into Markdown (ticked box [x], empty box [ ], tables as LaTeX, no footers).",
        "reproduce the form as Markdown, marking boxes with [x] or [ ], tables as LaTeX; leave "
        "page footers out.",
    ),
    "language": (
        "in which language is this document?",
        "what language is the page written in?",
        "name the language of the document.",
        "which language do you read here?",
        "the text is in what language?",
        "identify the language.",
    ),
    "currency": (
        "in which currency are the amounts? Give the three-letter code.",
        "name the currency by its three-letter code.",
        "which currency does the document use? Answer with the ISO code.",
        "what is the currency (three letters)?",
        "give the ISO code of the currency.",
        "the amounts are in which currency? Three-letter code.",
    ),
    "stamp": (
        "what does the stamp say?",
        "read the stamp.",
        "which text is on the stamp?",
        "give the words of the stamp.",
        "what is stamped on the page?",
        "copy the text of the stamp.",
    ),
    "title": (
        "what is the title of the document?",
        "read the heading of the document.",
        "how is this document titled?",
        "give the title as printed.",
        "which title stands on the page?",
        "copy the document's title.",
    ),
}
