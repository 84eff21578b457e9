"""Wordings of the questions asked about detections, layouts, tables, videos and web pages; data.

The rules are those of `nanovl.data.convert.banks`, which merges these kinds into its own: at
least eight wordings per kind, the same slots and the same form of answer in all of them, and the
form of a closed answer stated in the question.
"""

from __future__ import annotations

__all__ = ["ANNOTATION_BANKS"]

_LINE = "<ref>name</ref><box>(x1,y1),(x2,y2)</box> with coordinates from 0 to 1000"
_QUAD = "<ref>text</ref><quad>(x1,y1),(x2,y2),(x3,y3),(x4,y4)</quad>, coordinates from 0 to 1000"

# -- Objects and page elements -------------------------------------------------------------------

_REGIONS: dict[str, tuple[str, ...]] = {
    "locate_all": (
        f'Locate every {{label}}. One box per line as {_LINE}; say "not present" if there is none.',
        f"Find all instances of {{label}} and write one per line as {_LINE}. If you see none, "
        'answer "not present".',
        f"Where in the picture is {{label}}? Give each occurrence its own line, {_LINE}, or answer "
        '"not present".',
        f"Mark each {{label}} with a box, one a line, in the form {_LINE}. Without any, write "
        '"not present".',
        f"Search the image for {{label}} and report every box on a line of its own: {_LINE}. "
        '"not present" is a possible answer.',
        f'List the boxes of all things called {{label}}, line by line as {_LINE}; "not present" '
        "if it does not occur.",
        f"Draw boxes around each {{label}} you can see. Format, one per line: {_LINE}. Reply "
        '"not present" when it is missing.',
        f"Detect {{label}}. Answer with lines of the form {_LINE}, or with the words "
        '"not present".',
    ),
    "inside_box": (
        "What is inside {box}? Answer with its name.",
        "Name the object in {box}.",
        "Which object does {box} enclose? Give only the name.",
        "Look at {box}. What is it?",
        "What kind of thing stands at {box}? One name is enough.",
        "Identify what the box {box} contains; just name it.",
        "Say what can be found in the region {box}, in a word or two.",
        "The region {box} shows one object. Which?",
    ),
    "count_objects": (
        "How many instances of {label} are there? Answer with a number.",
        "Count every {label} in the picture. Give only the number.",
        "What is the number of objects called {label} here? Reply with a number.",
        "How often does {label} appear? Write just the number.",
        "Tell me the count of {label} as a number.",
        "Count: {label}. Answer with digits.",
        "How many times can you see {label} in this image? A number is enough.",
        "Give the number of occurrences of {label}.",
    ),
    "region_phrase": (
        "Describe the object in {box} so that it cannot be confused with another one.",
        "Which words single out what is in {box}? A short phrase is enough.",
        "Refer to the thing inside {box} by a short phrase.",
        "Write a short expression that identifies {box} in this picture.",
        "How would you point somebody to {box} using words only? Be brief.",
        "Give a phrase that fits {box} and nothing else here.",
        "Put {box} into a few identifying words.",
        "What would you call the object in {box} to tell it from the others?",
    ),
    "layout_all": (
        f"List all elements of this page from top to bottom, one per line as {_LINE}. Use the "
        "names {labels}.",
        f"Analyse the layout: every block on a line of its own, {_LINE}, named as one of "
        "{labels}.",
        f"Which blocks make up this page? Write each as {_LINE}, choosing from {{labels}}.",
        f"Divide the page into its elements ({{labels}}) and give each with its box, one per "
        f"line: {_LINE}.",
        f"Detect every layout element. The classes are {{labels}}; the form of a line is {_LINE}.",
        f"Report the page structure line by line as {_LINE}. The possible names are {{labels}}.",
        f"Box all page elements. One line each, {_LINE}, with a name out of {{labels}}.",
        f"Write the layout of the page as lines of the form {_LINE}; names: {{labels}}.",
    ),
    "layout_class": (
        "Which kind of page element is {box}? Choose from {labels}.",
        "Classify the block {box} as one of {labels}.",
        "What role does {box} play on the page? The options are {labels}.",
        "Is {box} one of {labels}? Name the right one.",
        "Give the class of the region {box}. Classes: {labels}.",
        "Decide what {box} is; possible answers are {labels}.",
        "Label the layout element at {box} with one of {labels}.",
        "Look at {box} and say which of {labels} it is.",
    ),
    "ocr_quads": (
        f"Read all text with its corners: {_QUAD}, one per line.",
        f"Transcribe every piece of text together with its four corners, line by line as {_QUAD}.",
        f"Find all text. For each piece write a line {_QUAD}.",
        f"List what is written and where, with quadrilaterals, one line each: {_QUAD}.",
        f"Do OCR and give the outline of each text on a line of its own in the form {_QUAD}.",
        f"Which texts can be seen, and what are their corners? One per line, {_QUAD}.",
        f"Extract the text with four-point outlines; every line looks like {_QUAD}.",
        f"Spot all text and write each find as a line {_QUAD}.",
    ),
}

# -- Tables and pages ----------------------------------------------------------------------------

_TABLES: dict[str, tuple[str, ...]] = {
    "cell_lookup": (
        'What is the value of "{column}" for "{row}"? Copy it from the table.',
        'Look up row "{row}", column "{column}". Give only the cell.',
        'Which entry does the table have for "{row}" under "{column}"?',
        'Read the cell where the row "{row}" meets the column "{column}".',
        'In the row "{row}", what stands below "{column}"? Answer with the cell as printed.',
        'Find "{column}" of "{row}" in the table and reply with the value alone.',
        'Under "{column}", what does the table say for "{row}"?',
        'Give the content of column "{column}" in row "{row}".',
    ),
    "table_size": (
        "How many rows and columns does the table have, header rows included? Answer as "
        "rows x columns.",
        "Give the size of this table, with its header, in the form rows x columns.",
        "Count rows (header too) and columns. Write rows x columns.",
        "What are the dimensions of the table, headers counted? Use the form rows x columns.",
        "State the number of rows, including headers, and of columns as rows x columns.",
        "Measure the grid: rows x columns, header rows count as rows.",
        "How large is the table? Reply with rows x columns and count the header.",
        "Tell me rows x columns of this table, the header among the rows.",
    ),
    "web_page": (
        "Write the HTML of this web page.",
        "Rebuild the page in this screenshot as a single HTML file.",
        "Which HTML would give this page? Write all of it.",
        "Turn the screenshot into HTML code, nothing else.",
        "Produce a complete HTML document that looks like this.",
        "Recreate this website: output its HTML.",
        "Give me the source code (HTML) of a page that renders like this picture.",
        "Code this page in HTML.",
    ),
}

# -- Videos --------------------------------------------------------------------------------------

_VIDEOS: dict[str, tuple[str, ...]] = {
    "multiple_select": (
        "{question}\n{options}\nSeveral answers may be right. Give their letters in order, comma "
        'separated, or "none".',
        "{question}\n{options}\nWrite the letters of all correct options, separated by commas; "
        '"none" if there is none.',
        "{question}\n{options}\nWhich of these are correct? Reply with letters and commas, or "
        'with "none".',
        "Choose every correct option (letters, comma separated) or answer "
        '"none".\n{question}\n{options}',
        "{question}\n{options}\nMark all that apply: letters in order with commas between them, "
        'else "none".',
        "{question}\nThere may be zero, one or more right options:\n{options}\nAnswer with comma "
        'separated letters or "none".',
        "{question}\n{options}\nList the letters of whatever is true, divided by commas. If "
        'nothing is, write "none".',
        'Select all right answers, comma separated by letter, or "none".\n{question}\n{options}',
    ),
}

ANNOTATION_BANKS: dict[str, tuple[str, ...]] = {**_REGIONS, **_TABLES, **_VIDEOS}
