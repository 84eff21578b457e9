"""Wordings of the questions about papers and formulas; data only.

All wordings of a kind have the same slots and ask for the same answer, and say how to write it
where it is a closed form.

Source: data synthesis specification, section 17; training specification, section 10.2.
"""

from __future__ import annotations

__all__ = ["BANK"]

_BOX = "<ref>...</ref><box>(x1,y1),(x2,y2)</box> with coordinates from 0 to 1000"
_LAYOUT = (
    'a JSON list of {{"class": ..., "box": [x0, y0, x1, y1]}} in reading order, coordinates from 0 '
    "to 1000"
)

BANK: dict[str, tuple[str, ...]] = {
    "page": (
        "Transcribe this page to Markdown with formulas in LaTeX and tables as tabular. Leave out "
        "running headers and footers.",
        "Convert the page to Markdown; formulas and tables in LaTeX, no page header or footer.",
        "Write the whole page as Markdown, maths as LaTeX, tables as LaTeX tabular, without "
        "running heads and page numbers.",
        "Give the content of this page in Markdown. Use LaTeX for formulas and tables, skip header "
        "and footer lines.",
        "Read the page and return Markdown: LaTeX maths, LaTeX tables, pictures as <graphics>, no "
        "header or footer.",
        "Turn this page into Markdown in reading order (LaTeX for maths and tables; leave the "
        "running lines out).",
        "Extract everything but header and footer as Markdown with LaTeX formulas and tables.",
        "Reproduce the page in Markdown. Formulas: LaTeX. Tables: tabular. Headers and page "
        "numbers: leave out.",
    ),
    "block": (
        "Transcribe the block at {box} as Markdown with LaTeX formulas.",
        "What does the text inside {box} say? Write Markdown, formulas in LaTeX.",
        "Read the region {box} and give it as Markdown with LaTeX maths.",
        "Copy what stands in {box}; Markdown, maths as LaTeX.",
        "Give the content of the box {box} as Markdown, formulas in LaTeX.",
        "Write out the block marked by {box} in Markdown with LaTeX maths.",
        "Convert the part of the page at {box} to Markdown; formulas become LaTeX.",
        "Region {box}: transcribe it, Markdown for text and LaTeX for formulas.",
    ),
    "formula_box": (
        "Write the formula at {box} in LaTeX.",
        "Give the LaTeX of the display formula inside {box}.",
        "Transcribe the equation in {box} to LaTeX, without its number.",
        "Which formula stands at {box}? Answer in LaTeX.",
        "Convert the formula marked by {box} to LaTeX code.",
        "LaTeX for the equation in the region {box}, please.",
        "Read the formula at {box} and write it as LaTeX.",
        "What is the LaTeX source of the formula in {box}?",
    ),
    "formula_number": (
        "Write equation {number} in LaTeX, without its number.",
        "Give the LaTeX of equation {number}.",
        "Transcribe the formula numbered {number} to LaTeX.",
        "What does equation {number} say? Answer in LaTeX.",
        "Convert equation {number} to LaTeX code.",
        "Find equation {number} and write it as LaTeX.",
        "Which formula has the number {number}? Give its LaTeX.",
        "LaTeX of the equation marked {number}, please.",
    ),
    "table": (
        "Convert {what} to {form}.",
        "Write {what} as {form}.",
        "Transcribe {what} in {form}.",
        "Give {what} as {form} code.",
        "Reproduce {what} in {form}, spans included.",
        "Extract {what} and format it as {form}.",
        "Turn {what} into {form}.",
        "Read {what}; answer with {form} only.",
    ),
    "caption": (
        "What is the caption of {what}? Give it without its label.",
        "Copy the caption of {what}, leaving out the label and number.",
        "Read the caption that belongs to {what} (text only, no label).",
        "Which caption does {what} have? Leave its label out.",
        "Write down the text of the caption of {what}.",
        "State the caption of {what} without the word and number it begins with.",
        "How is {what} captioned? Do not repeat the label.",
        "Give only the caption text of {what}.",
    ),
    "note": (
        "What does footnote {number} say?",
        "Copy the text of footnote {number}.",
        "Read footnote {number}, without its mark.",
        "Give the text of the footnote with the mark {number}.",
        "Which text stands in footnote {number}?",
        "Write out footnote {number}.",
        "Find footnote {number} and transcribe it.",
        "Quote footnote {number} without the number.",
    ),
    "reference": (
        "Which work is number {number} in the bibliography? Copy the entry without its number.",
        "Copy entry [{number}] of the references, leaving out the number.",
        "What does reference [{number}] say?",
        "Give the bibliography entry with the number {number}.",
        "Look up [{number}] in the list of references and write the entry.",
        "Quote reference {number} without its label.",
        "Find the cited work [{number}] and copy its entry.",
        "Which source stands behind [{number}]? Give the whole entry.",
    ),
    "who": (
        "Which number does the work by {names} of {year} have in the bibliography? Number only.",
        "Under which number is {names} ({year}) listed? Answer with the number.",
        "Find {names}, {year}, among the references and give its number.",
        "What is the label of the reference by {names} from {year}? Only the number.",
        "{names} ({year}) is reference number what? A number is enough.",
        "State the number of the entry of {names}, {year}.",
    ),
    "headings": (
        "List the section headings on this page, one per line, as printed.",
        "Which headings does the page have? One a line, with their numbers.",
        "Write all headings in order, each on its own line.",
        "Copy the headings of this page, a line each.",
        "Extract the section headings in reading order, one per line.",
        "Name the headings you see, numbers included, one per line.",
        "What headings divide this page? One per line.",
        "Give the outline of this page: its headings, one per line.",
    ),
    "headings_all": (
        "List the section headings of the whole document, one per line, as printed.",
        "Give the outline of these pages: every heading on a line of its own.",
        "Write down all headings of the paper in order, one per line.",
        "Which headings occur in the document? One a line, numbers included.",
        "Collect the headings of all pages, a line each, in reading order.",
        "Make a table of contents: the headings, one per line, without page numbers.",
        "Copy every section heading of these pages, one per line.",
        "What are the headings of this document, in order? One per line.",
    ),
    "which_section": (
        'In which section does it say "{text}"? Answer with the heading as printed.',
        'Under which heading do the words "{text}" stand? Copy the heading.',
        'Find "{text}" and give the heading of its section.',
        'The text "{text}" belongs to which section? Write its heading.',
        'Which heading comes last before "{text}"? Copy it as printed.',
        'Name the section that contains "{text}" by its heading.',
        'Give the heading of the part in which "{text}" is written.',
        '"{text}": under which heading is this found?',
    ),
    "title": (
        "What is the title of this paper?",
        "Copy the title.",
        "How is the paper titled?",
        "Give the title of the document.",
        "Read the title of the article.",
        "Which title does this paper carry?",
        "State the title of the paper.",
        "Write down the title.",
    ),
    "authors": (
        "Who wrote this paper? Names only, separated by commas.",
        "List the authors, with commas between the names.",
        "Give the names of the authors, separated by commas.",
        "Which authors does the paper name? Separate them by commas.",
        "Name all authors; commas between them, no addresses.",
        "Write the authors' names as a comma-separated list.",
        "By whom is this paper? Comma-separated names.",
        "Read the author line and list the names with commas.",
    ),
    "layout": (
        f"Detect the layout of this page as {_LAYOUT}.",
        f"Which blocks does the page have? Answer with {_LAYOUT}.",
        f"Segment the page: {_LAYOUT}.",
        f"Give every block of the page as {_LAYOUT}.",
        f"Write the layout as {_LAYOUT}.",
        f"List class and box of all blocks: {_LAYOUT}.",
        f"Analyse the page layout. Output {_LAYOUT}.",
        f"Return the blocks of this page as {_LAYOUT}.",
    ),
    "parse": (
        "Parse the page: for every block in reading order "
        "<x_..><y_..>content<x_..><y_..><class_..>, coordinates from 0 to 1 with four decimals.",
        "Give text, box and class of every block in the form "
        "<x_A><y_B>content<x_C><y_D><class_NAME>, coordinates between 0 and 1.",
        "Document parsing: write each block as <x_..><y_..>markdown<x_..><y_..><class_..> "
        "(relative coordinates).",
        "Return the page as parsed blocks <x_..><y_..>content<x_..><y_..><class_..> with "
        "coordinates relative to the page.",
        "Read the page block by block; output corners, Markdown and class as "
        "<x_..><y_..>...<x_..><y_..><class_..>.",
        "Extract all blocks with boxes and classes in the tag form "
        "<x_..><y_..>content<x_..><y_..><class_..>.",
    ),
    "where": (
        f"Where is {{what}}? Answer with {_BOX}.",
        f"Locate {{what}}; give {_BOX}.",
        f"Give the box of {{what}} as {_BOX}.",
        f"Mark {{what}} with {_BOX}.",
        f"Find {{what}} on the page: {_BOX}.",
        f"Point out {{what}} by {_BOX}.",
        f"At which place is {{what}}? Use {_BOX}.",
        f"Report the position of {{what}} as {_BOX}.",
    ),
    "class": (
        "What kind of block is at {box}? One of: {classes}.",
        "Classify the region {box} as one of {classes}.",
        "Which class has the block in {box}? Choose from {classes}.",
        "The box {box} holds which kind of block ({classes})?",
        "Name the class of the block {box}: {classes}.",
        "Is the region {box} {classes}? Answer with one of these.",
    ),
    "order": (
        "In which order are these regions read? {regions} Answer with the letters, separated by "
        "commas.",
        "Sort the regions into reading order: {regions} Letters only, with commas.",
        "Give the reading order of {regions} Write the letters with commas in between.",
        "{regions} Which comes first, next, last when reading? Letters separated by commas.",
        "Put the boxes into the order in which the page is read. {regions} Reply with letters and "
        "commas.",
        "Reading order of the marked blocks? {regions} Comma-separated letters.",
    ),
    "next": (
        "Which words begin the block that is read right after {box}? Give the first {count} words.",
        "After the block {box} the text goes on with which {count} words?",
        "Reading on after {box}, what are the next {count} words?",
        "Give the first {count} words of the block following {box} in reading order.",
        "The block after {box} begins with which {count} words?",
        "Find the block that follows {box} and copy its first {count} words.",
    ),
    "count": (
        "How many {what} are on this page? Answer with a number.",
        "Count the {what} on the page. Number only.",
        "Give the number of {what} on this page.",
        "What is the number of {what} shown? A number is enough.",
        "State how many {what} the page has, as a number.",
        "Tell me the count of {what} on the page, just the number.",
    ),
    "count_all": (
        "How many {what} do these pages have in all? Answer with a number.",
        "Count the {what} in the whole document. Number only.",
        "Give the total number of {what} over all pages.",
        "Over all pages, how many {what} are there? A number is enough.",
        "State the number of {what} in this document.",
        "Add up the {what} of all pages and give the number.",
    ),
    "which_page": (
        "On which of the {pages} pages is {what}? Number of the page, counted from 1.",
        "Which page shows {what}? Count the pictures from 1 and give the number.",
        "Find {what}. On which page (1 to {pages}) is it? Number only.",
        "Give the number of the page with {what}, counting from 1 to {pages}.",
        "{what}: page 1, 2, ... or {pages}? Answer with the number.",
        "Look for {what} and state which of the {pages} pages it is on, as a number from 1.",
        "Among these {pages} pages, which one has {what}? Number from 1.",
        "Say on which page {what} can be found; pages count from 1. Only the number.",
    ),
    "picture": (
        "Write this formula in LaTeX.",
        "What is the LaTeX of the formula shown?",
        "Transcribe the formula to LaTeX.",
        "Give the LaTeX code for this formula.",
        "Convert the picture to LaTeX.",
        "Read the formula and write it as LaTeX.",
        "Which LaTeX produces this formula?",
        "Turn this formula into LaTeX, nothing else.",
        "OCR the formula; answer in LaTeX.",
        "Formula to LaTeX, please.",
    ),
    "pick": (
        "Which of the pictures shows the formula {formula}? Count from 1 and give the number.",
        "Find {formula} among the pictures, counted from 1. Number only.",
        "One of these pictures is {formula}. Which one? Give its number, from 1.",
        "On which picture, counting from 1, do you see {formula}? Answer with a number.",
        "State the number (from 1) of the picture with {formula}.",
        "{formula} is shown on which picture? Reply with its number, the first being 1.",
    ),
}
