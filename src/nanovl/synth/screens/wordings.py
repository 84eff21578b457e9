"""Wordings of the questions about screens; data only.

All wordings of a kind have the same slots and ask for the same form of answer.

Source: data synthesis specification, sections 8 and 17. The wordings are our own.
"""

from __future__ import annotations

__all__ = ["BANK"]

_SCALE = "with coordinates from 0 to 1000"
_BOX = f"<ref>...</ref><box>(x1,y1),(x2,y2)</box> {_SCALE}"
_POINT = f"(x,y) {_SCALE}"
_ACTION = (
    'JSON with the keys "action" ("click" or "type"), "target" (the name of the element) and '
    '"text" (what was typed, else empty)'
)
_LIST = (
    'JSON, a list of objects with "role", "name" and "box" ([x1, y1, x2, y2], 0 to 1000), from top '
    "to bottom and left to right"
)

BANK: dict[str, tuple[str, ...]] = {
    "ground": (
        f"Where is {{phrase}}? Answer with {_BOX}.",
        f"Locate {{phrase}} on this screen; give {_BOX}.",
        f"Give the box of {{phrase}} as {_BOX}.",
        f"Find {{phrase}} and mark it with {_BOX}.",
        f"Draw a box around {{phrase}}: {_BOX}.",
        f"Show me {{phrase}}. Use {_BOX}.",
        f"At which position is {{phrase}}? Reply with {_BOX}.",
        f"Point out {{phrase}} with {_BOX}.",
        f"I am looking for {{phrase}}. Answer with {_BOX}.",
        f"Detect {{phrase}} in the screenshot and report {_BOX}.",
    ),
    "ground_or_absent": (
        f'Where is {{phrase}}? Answer with {_BOX}, or "not present".',
        f'Locate {{phrase}}; give {_BOX}, or say "not present" if the screen has none.',
        f'Find {{phrase}} and report {_BOX}. "not present" is a possible answer.',
        f'Is there {{phrase}}? If so give {_BOX}, else write "not present".',
        f'Give the box of {{phrase}} as {_BOX}; if it is missing, "not present".',
        f'Mark {{phrase}} with {_BOX}, or reply "not present".',
        f'Point to {{phrase}}: {_BOX}. Say "not present" if you cannot see it.',
        f'Report {_BOX} for {{phrase}}, or "not present" when there is nothing like it.',
    ),
    "click": (
        f"{{order}}. Answer with the point to click as {_POINT}.",
        f"{{order}}. Where do I click? Give {_POINT}.",
        f"Task: {{order}}. Reply with the position of the click, {_POINT}.",
        f"{{order}}: state the point to tap as {_POINT}.",
        f"I want to {{lower}}. Which point must I click? Answer as {_POINT}.",
        f"Where should I click to {{lower}}? Give one point {_POINT}.",
        f"To {{lower}}, click at which point? Write {_POINT}.",
        f"Your next step: {{lower}}. Output the click as {_POINT}.",
        f"Give the point {_POINT} that has to be clicked to {{lower}}.",
        f"Operate the screen: {{lower}}. Answer with {_POINT} only.",
    ),
    "point": (
        f"Point to {{phrase}}; answer with {_POINT}.",
        f"Give a point on {{phrase}} as {_POINT}.",
        f"Click {{phrase}}: at which point {_POINT}?",
        f"Tap {{phrase}}. Reply with {_POINT}.",
        f"Where would you click to reach {{phrase}}? Answer {_POINT}.",
        f"Name one point inside {{phrase}}, {_POINT}.",
        f"Put the mouse on {{phrase}}; which point is that, {_POINT}?",
        f"Aim at {{phrase}} and write the point as {_POINT}.",
    ),
    "describe": (
        "What is the element at {box}? Give its kind and its name.",
        "Describe the control at {box}: kind and name.",
        "Which element is at {box}? Answer with kind and name.",
        "Say what kind of control is at {box} and what it is called.",
        "Identify the element in {box} by kind and name.",
        "There is something at {box}. What kind is it and what is its name?",
        "Name the element in the box {box}, kind first.",
        "Tell me the kind and the name of what is at {box}.",
    ),
    "use": (
        "What does the element at {box} do when it is clicked?",
        "What happens if I click at {box}?",
        "What is the control at {box} for?",
        "Which action does clicking {box} start?",
        "State what clicking the element in {box} does.",
        "I click inside {box}. What will that do?",
        "Explain in a few words what the control at {box} does.",
        "What can one do with the element at {box}?",
    ),
    "value": (
        "What is {what}?",
        "Read {what}.",
        "Tell me {what}.",
        "Give {what} as shown.",
        "Look up {what}.",
        "State {what}.",
        "Which text shows {what}?",
        "Find {what}.",
    ),
    "count": (
        "How many {what} are there?",
        "Count the {what}.",
        "What is the number of {what}?",
        "Give the number of {what}.",
        "How many {what} does the screen show?",
        "Tell me how many {what} you see.",
    ),
    "which": (
        "Which {what} {how}?",
        "Name the {what} that {how}.",
        "Tell me which {what} {how}.",
        "Give the {what} that {how}.",
        "Say which {what} {how}.",
        "Look for the {what} that {how} and name it.",
    ),
    "state": (
        "Is {what} {how}?",
        "Tell me whether {what} is {how}.",
        "Check the screen: is {what} {how}?",
        "Find out if {what} is {how}.",
        "Say whether {what} is {how}.",
        "According to the screenshot, is {what} {how}?",
    ),
    "list": (
        f"List all elements that can be operated as {_LIST}.",
        f"Which controls are on this screen? Answer as {_LIST}.",
        f"Write down every control of the screen as {_LIST}.",
        f"Detect all interactive elements. Output {_LIST}.",
        f"Give an inventory of the controls: {_LIST}.",
        f"Parse the screenshot into its controls, written as {_LIST}.",
        f"Enumerate everything one can click or fill in, as {_LIST}.",
        f"Extract the interactive elements; the format is {_LIST}.",
    ),
    "html": (
        "Write this screen as simple HTML: structure and texts, no styles, no scripts.",
        "Turn the screenshot into plain HTML without styles.",
        "Rebuild the page in HTML. Leave out styles, icons and scripts.",
        "Give HTML with the same structure and texts; no CSS.",
        "Which simple HTML would produce this content? No styles.",
        "Convert the picture of the page to minimal HTML, texts and controls only.",
        "Reproduce the content of the page as unstyled HTML.",
        "Generate bare HTML for this interface.",
    ),
    "caption": (
        "Describe this screen.",
        "What does the screenshot show?",
        "Give a short description of this interface.",
        "Summarise what is on the screen.",
        "What kind of screen is this, and what is on it?",
        "Write a caption for the screenshot.",
        "Tell me briefly what this screen shows.",
        "Explain what can be seen on this screen.",
    ),
    "action": (
        f"Two screenshots, before and after one action. Which action was it? Answer as {_ACTION}.",
        f"What did the user do between the first and the second screen? Reply as {_ACTION}.",
        f"Compare the two screens and name the action in between as {_ACTION}.",
        f"One step leads from the first picture to the second. Give it as {_ACTION}.",
        f"Which single action turns the first screen into the second? Write {_ACTION}.",
        f"Find out what was done between these screenshots; output {_ACTION}.",
        f"Determine the action between the two pictures. Format: {_ACTION}.",
        f"State the user's action that explains the change, as {_ACTION}.",
    ),
}
