"""Wordings of questions about documents of many pages. Our own.

Source: data synthesis specification, sections 11 and 17.
"""

from __future__ import annotations

from nanovl.synth.asking import Bank

__all__ = ["BANK", "LABELS", "OPENINGS"]

_JSON = 'JSON with the keys "page" (a number) and "answer" (a text)'

LABELS = ("Page {n}:", "[Page {n}]", "page {n} of {all}", "Page {n}/{all}")
OPENINGS = (
    "The pictures are pages 1 to {all} of a {facing}. {question}",
    "These {all} pages belong to one {facing}. {question}",
    "{question}\nThe {facing} has {all} pages, shown in order.",
    "You see a {facing} of {all} pages. {question}",
    "Pages are numbered from 1 in the order shown. {question}",
    "{question}",
    "{question}",
    "{question}",
)

BANK: Bank = {
    "page-fact": (
        "on which page is {what} stated?",
        "which page gives {what}?",
        "find the page that tells {what}.",
        "{what}: on which page is it to be found?",
        "give the number of the page where {what} is mentioned.",
    ),
    "page-heading": (
        'on which page does "{title}" begin?',
        'where does the part headed "{title}" start? Give the page.',
        'which page has the heading "{title}"?',
        'give the number of the page with the heading "{title}".',
    ),
    "page-exhibit": (
        "on which page does {label} begin?",
        "which page shows {label}?",
        "find {label}: what is its page?",
        "give the number of the page on which {label} starts.",
    ),
    "contents": (
        'according to the table of contents, on which page does "{title}" begin?',
        'which page number does the table of contents give for "{title}"?',
        'look up "{title}" in the table of contents: what page is printed there?',
        'what page does the list of contents name for "{title}"?',
    ),
    "lookup": (
        "what is {what}?",
        "according to the {facing}, what is {what}?",
        "find {what}.",
        "look up {what} in the {facing}.",
        "which value does the {facing} give for {what}?",
        "state {what}.",
        "tell me {what}.",
        "read {what} from these pages.",
    ),
    "on-page": (
        "page {page} gives one {noun}. Which value is it{unit}?",
        "look at page {page}: which {noun} is stated there{unit}?",
        "what {noun} does page {page} mention{unit}?",
        "read the {noun} on page {page}{unit}.",
    ),
    "find-answer": (
        "what is {what}, and on which page is it stated? Answer as " + _JSON + ".",
        "find the page that tells {what}. Reply with " + _JSON + ".",
        "give {what} with the page as evidence, as " + _JSON + ".",
        "locate and read {what}; return " + _JSON + ".",
    ),
    "larger": (
        "which has the larger {noun}: {a} or {b}?",
        "{a} or {b}: whose {noun} is higher?",
        "compare the {noun} of {a} with that of {b}. Which is greater? Name it.",
        "of {a} and {b}, which one has more in terms of {noun}?",
    ),
    "is-larger": (
        "is the {noun} of {a} higher than that of {b}?",
        "does {a} exceed {b} in {noun}?",
        "comparing the {noun}, is {a} ahead of {b}?",
        "is the {noun} greater for {a} than for {b}?",
    ),
    "sum": (
        "what is the sum of the {noun} of {names}{unit}?",
        "add up the {noun} of {names}{unit}.",
        "taken together, how large is the {noun} of {names}{unit}?",
        "compute the {noun} of {names} in total{unit}.",
    ),
    "sum-all": (
        "what do all values of {noun} in the {facing} add up to{unit}?",
        "add up every {noun} stated in the {facing}{unit}.",
        "how large is the sum of all {noun} entries of the {facing}{unit}?",
        "compute the overall {noun}, all parts of the {facing} together{unit}.",
    ),
    "difference": (
        "by how much do {a} and {b} differ in {noun}{unit}?",
        "what is the difference in {noun} between {a} and {b}{unit}?",
        "how far apart are {a} and {b} in {noun}{unit}?",
        "compute the gap in {noun} between {a} and {b}{unit}.",
    ),
    "most": (
        "of all whose {noun} the {facing} states, which has the highest? Name it.",
        "whose {noun} is the highest in the whole {facing}?",
        "name the one with the largest {noun} in the {facing}.",
        "which has the greatest {noun} of those given?",
    ),
    "least": (
        "of all whose {noun} the {facing} states, which has the lowest? Name it.",
        "whose {noun} is the lowest in the whole {facing}?",
        "name the one with the smallest {noun} in the {facing}.",
        "which has the least {noun} of those given?",
    ),
    "above": (
        "how many of the stated values of {noun} are above {edge}{unit}?",
        "count the cases where the {noun} is more than {edge}{unit}.",
        "for how many is the {noun} given as more than {edge}{unit}?",
        "in how many cases does the {noun} exceed {edge}{unit}?",
    ),
    "refer-cell": (
        'the part "{title}" refers to a table. In that table, what is the entry under {column} '
        "for {row}?",
        'follow the reference in "{title}" to its table: what stands under {column} for {row}?',
        'which value of {column} has {row} in the table that "{title}" points to?',
        'go to the table named in "{title}" and read {column} of {row}.',
    ),
    "refer-page": (
        'the part "{title}" refers to a {sort}. On which page does that {sort} stand?',
        'on which page is the {sort} that "{title}" points to?',
        'follow the reference in "{title}": which page shows the {sort}?',
        'find the {sort} mentioned in "{title}" and give its page.',
    ),
    "refer-caption": (
        'the part "{title}" refers to a {sort}. What is the caption of that {sort}, without its '
        "number?",
        'read the caption (without the number) of the {sort} that "{title}" points to.',
        'what is the {sort} called that "{title}" refers to? Leave out its number.',
        'which caption, number left out, has the {sort} named in "{title}"?',
    ),
    "cite-year": (
        'in which year was the work published that the part "{title}" cites?',
        'from which year is the reference cited in "{title}"?',
        'look up the reference of "{title}" in the list: what is its year?',
        'the work cited in "{title}" is from which year?',
    ),
    "cite-title": (
        'what is the title of the work that the part "{title}" cites?',
        'which title has the reference cited in "{title}"?',
        'look up the reference of "{title}" in the list and give its title.',
        'name the work cited in "{title}" by its title.',
    ),
    "who-cites": (
        "which section cites {mark}? Give its title without the number.",
        "in which section is the reference {mark} cited? Title only, no number.",
        "find the section that refers to {mark}; give its title, number left out.",
        "where is {mark} cited? Answer with the title of the section, without its number.",
    ),
    "refer-section": (
        'the part "{title}" sends the reader to another chapter. What is that chapter called '
        "(without its number)?",
        'to which chapter does "{title}" refer? Give its title, number left out.',
        'follow the hint in "{title}": what is the title of the chapter, without the number?',
        'which chapter is named in "{title}"? Give its title only.',
    ),
    "cell": (
        "in {label}, what stands under {column} for {row}?",
        "look at {label}: what is the entry of {row} under {column}?",
        "read {column} of {row} from {label}.",
        "which value does {label} give for {row} in the column {column}?",
    ),
    "span-pages": (
        "on which pages does {label} stand? Give all page numbers, separated by commas.",
        "which pages does {label} cover? List them with commas.",
        "name every page with a part of {label}, with commas in between.",
        "{label} goes over several pages: which ones? Separate them by commas.",
    ),
    "span-rows": (
        "how many rows does {label} have in all, headers not counted?",
        "count the rows of {label} over all its pages, without headers.",
        "what is the number of rows of {label}, all pages together and headers left out?",
        "{label}: how many rows below the header, continued pages included?",
    ),
    "span-best": (
        "which entry of {key} has the {word} value of {column} in {label}?",
        "going through all of {label}, where is {column} {word}? Give its {key}.",
        "name the {key} with the {word} {column} in {label}.",
        "in {label}, the {word} {column} belongs to which {key}?",
    ),
    "next": (
        'which part comes right after "{title}"?',
        'what is the heading that follows "{title}"?',
        'name the part that comes directly after "{title}".',
        'after "{title}", which heading comes next?',
    ),
    "order": (
        "put these parts in the order of the {facing}: {names}. Separate them by commas.",
        "in which order do they appear: {names}? Use commas.",
        "sort by place in the {facing}, first to last, with commas: {names}.",
        "arrange as in the {facing}, separated by commas: {names}.",
    ),
    "outline": (
        'list all headings with the page each begins on, one per line as "heading: page".',
        'give the outline of the {facing}: a line "heading: page" for every heading.',
        'write down every heading and its page, one line each, in the form "heading: page".',
        'which parts does the {facing} have? Answer line by line with "heading: page".',
    ),
    "summary": (
        'summarize the {facing} by its headings: one line "heading: key sentence" each.',
        'for each heading give the key sentence of its part, one line "heading: sentence" each.',
        'sum up the {facing} part by part, a line "heading: key sentence" for each.',
        'what does each part say? One line "heading: key sentence" per part.',
    ),
    "n-pages-with": (
        "how many pages contain a {sort} or part of one?",
        "count the pages on which at least part of a {sort} is shown.",
        "on how many pages is there a {sort}, whole or in part?",
        "what is the number of pages with a {sort} on them (parts count too)?",
    ),
    "n-exhibits": (
        "how many {sort}s does the {facing} have?",
        "count the {sort}s of the {facing}; one that is continued counts once.",
        "what is the number of numbered {sort}s?",
        "give the number of {sort}s in the {facing}.",
    ),
    "locate": (
        "where on page {page} is {thing}? Give a bounding box relative to that page.",
        "mark {thing} on page {page} with a box (coordinates of that page).",
        "give the box of {thing}, which is on page {page}, in coordinates of the page.",
        "box {thing} on page {page}; use coordinates relative to this page.",
    ),
    "missing": (
        'what is {what}? If the {facing} does not say, answer "not stated".',
        'find {what}, or answer "not stated" if it is missing.',
        'state {what}; reply "not stated" where the {facing} has no such value.',
        'look up {what}. Should it not be given, say "not stated".',
    ),
}
