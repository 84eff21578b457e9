"""Families of screens around work: mail, chat, files, calendar, code, documents, boards, tables.

Each builds the body of one screen with a `Ui`. Must not know how screens are rendered or asked
about.

Source: data synthesis specification, section 8 (application shells).
"""

from __future__ import annotations

from collections.abc import Callable

from nanovl.synth.screens.dom import Child, Node, h
from nanovl.synth.screens.icons import icon
from nanovl.synth.screens.ui import Ui
from nanovl.synth.screens.words import lines

__all__ = ["OFFICE"]


def _top(ui: Ui, *more: Child, search: bool = True) -> Node:
    field = None
    if search:
        label = ui.t("search")
        field = ui.field(
            label, hint=label, role="searchbox", bare=True, style="width:min(320px,40%)"
        )
    return h("header", ui.brand(), field, h("div", cls="grow"), *more, cls="bar")


def mail(ui: Ui) -> Node:
    """An inbox with folders and messages."""
    unread_count = ui.rng.randint(0, 4)
    count = ui.rng.randint(4, 8)
    unread = set(ui.rng.sample(range(count), unread_count))
    counts = {0: str(unread_count) if unread_count else "", 1: str(ui.rng.randint(1, 9))}
    entries = [
        (ui.t(label), symbol, counts.get(k, ""))
        for k, (label, symbol) in enumerate(
            [("inbox", "mail"), ("drafts", "file"), ("sent", "send"), ("spam", "flag"),
             ("trash", "trash")]
        )
    ]  # fmt: skip
    compose = ui.button(ui.t("compose"), "start a new message", symbol="pencil", cls="main")
    side = ui.side(entries, 0, noun="folder")
    side.children.insert(0, compose)
    rows, keys = [], []
    for k in range(count):
        person, subject = ui.say.person(), ui.say.new_line("subject")
        key = ui.key()
        keys.append(key)
        mark = ui.mark(
            "option", subject, key=key, noun="message", order=f'open the message from "{person}"',
            near=f'from "{person}"', group="mails", place=k, state={"selected": False},
        )  # fmt: skip
        when, when_key = ui.shown(ui.say.clock(), "muted", "span")
        ui.fact("value", f'the time of the message from "{person}"', ui.marks[when_key].name, key)
        ui.fact("value", f'the subject of the message from "{person}"', subject, key)
        ui.fact("which", "person", person, key, how=f'sent the message "{subject}"')
        ui.fact("state", f'the message from "{person}"', k in unread, key, how="unread (in bold)")
        look = "strong" if k in unread else ""
        actions = h(
            "div",
            ui.tool("star", "star", f'star the message from "{person}"', near=f'at "{person}"'),
            ui.tool(
                "trash", "delete", f'delete the message from "{person}"', near=f'at "{person}"'
            ),
            cls="row",
            style="gap:0",
        )
        about = h("div", h("div", person, cls=look), h("div", subject, cls=look), cls="grow")
        rows.append(
            h("li", ui.avatar(person), about, when, actions, cls="row pad", mark=mark,
              style=f"border-bottom:1px solid {ui.theme.line}")
        )  # fmt: skip
    ui.fact("count", "messages in the list", count, *keys)
    ui.fact("count", "unread messages (in bold)", unread_count, *keys)
    ui.about.append(f"a mail program with {count} messages, {unread_count} of them unread")
    box = h("ul", *rows, cls="card", style="padding:0;margin:0;list-style:none")
    content = h("main", ui.heading(ui.t("inbox")), box, cls="content")
    body = [_top(ui, ui.tool("gear", "settings", "open the settings"), ui.avatar("Me Too"))]
    return h("div", *body, h("div", side, content, cls="main"), cls="app")


def chat(ui: Ui) -> Node:
    """Conversations on the left, one of them open."""
    people = [ui.say.person() for _ in range(ui.rng.randint(3, 6))]
    chosen = ui.rng.randrange(len(people))
    made, keys = [], []
    for k, person in enumerate(people):
        online = ui.rng.random() < 0.5
        waiting = str(ui.rng.randint(1, 9)) if k != chosen and ui.rng.random() < 0.4 else ""
        key = ui.key()
        keys.append(key)
        mark = ui.mark(
            "option", person, key=key, noun="conversation", order=f'open the chat with "{person}"',
            group="chats", place=k, state={"selected": k == chosen},
        )  # fmt: skip
        ui.fact("state", f'"{person}"', online, key, how=f"shown as {ui.t('online')}")
        if waiting:
            ui.fact("value", f'the number of new messages at "{person}"', waiting, key)
        note = h("div", ui.t("online") if online else ui.say.clock(), cls="muted")
        made.append(
            h("li", ui.avatar(person), h("div", h("div", person), note, cls="grow"),
              ui.badge(waiting, "full") if waiting else None,
              cls=f"entry {'on' if k == chosen else ''}", mark=mark)
        )  # fmt: skip
    ui.fact("which", "conversation", people[chosen], *keys, how="is open")
    ui.fact("count", "conversations in the list", len(people), *keys)
    said, bubbles = 0, []
    total = ui.rng.randint(3, 6)
    for k in range(total):
        mine = ui.rng.random() < 0.45
        said += mine
        key = ui.key()
        text = ui.say.new_line("text")
        mark = ui.mark("text", text, key=key, is_control=False, noun="message", group="bubbles",
                       place=k)  # fmt: skip
        bubbles.append((mine, key, h("div", h("p", text, cls="bubble", mark=mark),
                                     cls=f"row {'mine' if mine else ''}")))  # fmt: skip
        if k == total - 1:
            ui.fact("value", "the text of the last message", text, key)
    shown = tuple(key for _, key, _ in bubbles)
    ui.fact("count", "messages (bubbles) in the open chat", total, *shown)
    ui.fact("count", "messages on the right side, written by the owner", said, *shown)
    ui.about.append(f'a chat with "{people[chosen]}" among {len(people)} conversations')
    foot = h(
        "footer",
        ui.tool("clip", "attach a file", "attach a file"),
        ui.field(ui.t("message"), hint=ui.t("message") + " ...", bare=True, style="flex:1"),
        ui.button(ui.t("send"), "send the message", symbol="send", cls="main"),
        cls="row pad",
        style=f"border-top:1px solid {ui.theme.line}",
    )
    head = h(
        "header",
        ui.avatar(people[chosen], 40),
        h("div", ui.heading(people[chosen], 2), cls="grow"),
        ui.tool("phone", "call", f'call "{people[chosen]}"'),
        ui.tool("camera", "video call", f'start a video call with "{people[chosen]}"'),
        ui.tool("dots", "more", "show more options of the chat"),
        cls="bar",
    )
    talk = h("div", *(node for _, _, node in bubbles), cls="col pad grow")
    side = h("ul", *made, cls="side", style="margin:0;list-style:none;width:260px")
    return h("div", side, h("div", head, talk, foot, cls="app grow"), cls="main",
             style="min-height:100vh")  # fmt: skip


def files(ui: Ui) -> Node:
    """A file manager with a list or tiles."""
    entries = [(ui.t(k), s, "") for k, s in [("recent", "clock"), ("documents", "file"),
               ("pictures", "picture"), ("music", "speaker"), ("trash", "trash")]]  # fmt: skip
    place = ui.rng.randrange(1, 4)
    side = ui.side(entries, place, noun="folder")
    count = ui.rng.randint(4, 9)
    folders = ui.rng.randint(0, min(3, count - 2))
    names = [ui.say.title(1, 2) for _ in range(folders)]
    names += [ui.say.file_name() for _ in range(count - folders)]
    is_list = ui.rng.random() < 0.6
    picked = ui.rng.randrange(count)
    items, keys = [], []
    for k, name in enumerate(names):
        is_folder = k < folders
        key = ui.key()
        keys.append(key)
        chosen = k == int(ui.now("files", picked))
        noun = "folder" if is_folder else "file"
        mark = ui.mark("option", name, key=key, noun=noun, order=f'select the {noun} "{name}"',
                       group="files", place=k, state={"selected": chosen, "switch": ["files", k]}
            )  # fmt: skip
        symbol = "folder" if is_folder else "file"
        ground = f"background:{ui.theme.tint}" if chosen else ""
        if is_list:
            size = "" if is_folder else f"{ui.rng.randint(1, 990)} kB"
            when = ui.say.date()
            if size:
                ui.fact("value", f'the size of "{name}"', size, key)
            ui.fact("value", f'the date of "{name}"', when, key)
            items.append(h("tr", h("td", h("div", icon(symbol, 18, ui.theme.accent), name,
                         cls="row")), h("td", size, cls="number"), h("td", when), mark=mark,
                         style=ground))  # fmt: skip
        else:
            items.append(h("div", icon(symbol, 44, ui.theme.accent), h("div", name, cls="small"),
                         cls="card col", mark=mark,
                         style=f"align-items:center;overflow-wrap:anywhere;{ground}"))  # fmt: skip
    if is_list:
        head = h("tr", h("th", ui.t("name")), h("th", ui.t("size"), cls="number"),
                 h("th", ui.t("date")))  # fmt: skip
        body: Node = h("table", head, *items)
    else:
        body = h("div", *items, cls="grid",
                 style="grid-template-columns:repeat(auto-fill,minmax(120px,1fr))")  # fmt: skip
    if folders:
        ui.fact("count", "folders in the main area", folders, *keys)
    ui.fact("count", "files (without folders) in the main area", count - folders, *keys)
    chosen_name = names[int(ui.now("files", picked))]
    ui.fact("which", "file or folder", chosen_name, *keys, how="is selected (highlighted)")
    ui.about.append(f'a file manager showing "{entries[place][0]}" with {count} items')
    bar = h(
        "header",
        ui.tool("left", "back", "go back"),
        ui.tool("right", "forward", "go forward"),
        ui.heading(entries[place][0], 2),
        h("div", cls="grow"),
        ui.button(ui.t("upload"), "upload a file", symbol="upload", cls="main"),
        ui.tool("grid", "view as tiles", "show the files as tiles", cls="boxed"),
        ui.tool("reload", "refresh", "refresh the list", cls="boxed"),
        cls="bar",
    )
    return h("div", bar, h("div", side, h("main", body, cls="content"), cls="main"), cls="app")


def calendar(ui: Ui) -> Node:
    """A month with events."""
    month = ui.say.line("month")
    first, length = ui.rng.randrange(7), ui.rng.choice((30, 31))
    days = [name[:2] for name in lines()[ui.say.lang, "day"]]
    names = ["meeting", "dentist", "lunch", "training", "birthday", "deadline", "call", "travel"]
    planned = dict(
        zip(
            sorted(ui.rng.sample(range(1, length + 1), ui.rng.randint(3, 7))),
            ui.rng.sample(names, 7),
            strict=False,
        )
    )
    cells: list[Node] = [h("div", d, cls="muted strong", style="text-align:center") for d in days]
    cells += [h("div") for _ in range(first)]
    shown = []
    today = ui.rng.randint(1, length)
    for day in range(1, length + 1):
        inner: list[Child] = []
        key = ui.key()
        mark = ui.mark("option", str(day), key=key, noun="day", order=f"select day {day}",
                       state={"today": day == today})  # fmt: skip
        look = f"color:{ui.theme.accent};font-weight:700" if day == today else ""
        inner.append(h("div", str(day), cls="small", style=look))
        if day in planned:
            text = ui.t(planned[day])
            event = ui.key()
            shown.append(event)
            note = ui.mark(
                "button", text, key=event, noun="event", order=f'open the event "{text}"'
            )
            inner.append(h("div", text, cls="badge full", mark=note,
                           style="white-space:normal;overflow-wrap:anywhere"))  # fmt: skip
            ui.fact("value", f'the day of the month on which "{text}" is', str(day), event)
            ui.fact("value", f"the event planned on day {day}", text, event)
        style = f"border:1px solid {ui.theme.line};padding:5px;min-height:62px;min-width:0"
        cells.append(h("div", *inner, mark=mark, style=f"{style};background:{ui.theme.surface}"))
    ui.fact("count", "events in the month", len(planned), *shown)
    year = 2020 + ui.rng.randint(0, 10)
    ui.about.append(f"a calendar for {month} {year} with {len(planned)} events")
    grid = h("div", *cells, cls="grid", style="grid-template-columns:repeat(7,1fr);gap:3px")
    views = ui.tabs([ui.t("day"), ui.t("week"), ui.t("month"), ui.t("year")], 2, noun="view",
                    cls="pills")  # fmt: skip
    bar = h(
        "header",
        ui.tool("left", "previous month", "go to the previous month"),
        ui.tool("right", "next month", "go to the next month"),
        ui.heading(f"{month} {year}", 2),
        h("div", cls="grow"),
        views,
        ui.button(ui.t("new_event"), "create a new event", symbol="plus", cls="main"),
        cls="bar wrap",
    )
    return h("div", bar, h("main", grid, cls="content"), cls="app")


_CODE = (
    "def {a}({b}, {c}={n}):", "    total = {n}", "    for {d} in {b}:", "        if {d} > {c}:",
    "            total += {d} * {m}", "        else:", "            total -= {c}",
    "    return total", "", "class {A}:", "    limit = {m}", "", "    def {d}(self):",
    "        return self.limit + {n}", "", "print({a}([{n}, {m}]))",
)  # fmt: skip


def code(ui: Ui) -> Node:
    """A code editor with a file tree and a terminal."""
    names = [ui.say.file_name("py") for _ in range(ui.rng.randint(3, 6))]
    opened = ui.rng.sample(names, min(len(names), ui.rng.randint(2, 3)))
    chosen = ui.rng.randrange(len(opened))
    tree, keys = [], []
    for k, name in enumerate(names):
        key = ui.key()
        keys.append(key)
        mark = ui.mark("option", name, key=key, noun="file in the tree",
                       order=f'open "{name}" from the file tree', group="tree", place=k
            )  # fmt: skip
        tree.append(
            h("li", icon("file", 15), name, cls="row small", mark=mark, style="padding:4px")
        )
    ui.fact("count", "files in the file tree", len(names), *keys)
    tabs = ui.tabs(opened, chosen, noun="editor tab")
    words = {k: ui.say.word() for k in "abcd"} | {"A": ui.say.word().capitalize()}
    words |= {"n": str(ui.rng.randint(2, 99)), "m": str(ui.rng.randint(2, 99))}
    rows, line_keys = [], []
    start = ui.rng.randint(1, 60)
    for k, text in enumerate(_CODE[: ui.rng.randint(9, len(_CODE))]):
        line = text.format(**words)
        key = ui.key()
        mark = ui.mark("text", line.strip(), key=key, is_control=False, noun="line of code")
        line_keys.append(key)
        number = h("span", str(start + k), cls="muted", style="width:2.5em;text-align:right",
                   short=None)  # fmt: skip
        hue = ui.theme.accent if line.strip().startswith(("def", "class", "for", "if")) else ""
        rows.append(h("div", number, h("span", line, mark=mark,
                      style=f"white-space:pre;color:{hue}"),
                      cls="row mono", style="gap:16px;min-height:1.4em"))  # fmt: skip
        if line.strip():
            ui.fact("value", f"the code in line {start + k}", line.strip(), key)
    low = h("div", ui.tabs([ui.t("terminal"), ui.t("problems"), ui.t("output")],
            ui.rng.randrange(3),
            noun="panel"), h("div", f"$ python {opened[chosen]}", cls="mono pad small")
            )  # fmt: skip
    strip = h(
        "div",
        *(
            ui.tool(s, n, o, size=24)
            for s, n, o in [
                ("file", "explorer", "show the file explorer"),
                ("search", "search", "search in all files"),
                ("branch", "source control", "show the source control"),
                ("bug", "debugger", "open the debugger"),
                ("gear", "settings", "open the settings"),
            ]
        ),
        cls="col",
        style=f"padding:8px 4px;background:{ui.theme.raised}",
    )
    explorer = h("div", h("div", ui.t("explorer"), cls="muted strong"), h("ul", *tree,
                 style="list-style:none;margin:0;padding:0"), cls="side")  # fmt: skip
    run = ui.button(ui.t("run"), "run the program", symbol="play", cls="main")
    editor = h("div", h("div", h("div", tabs, cls="grow"), run, cls="row"),
               h("div", *rows, cls="pad grow"), low, cls="col grow")  # fmt: skip
    ui.about.append(f'a code editor with "{opened[chosen]}" open')
    return h("div", strip, explorer, editor, cls="main",
             style=f"min-height:100vh;background:{ui.theme.surface}")  # fmt: skip


def document(ui: Ui) -> Node:
    """A word processor with a menu bar, one menu open."""
    menus = {
        "file": [("new", "file"), ("open", "folder"), ("save", "disk"), ("-", ""),
                 ("print", "printer"), ("share", "share"), ("close", "")],
        "edit": [("undo", "undo"), ("redo", "redo"), ("-", ""), ("cut", ""), ("copy", ""),
                 ("paste", ""), ("-", ""), ("search", "search")],
        "insert": [("pictures", "picture"), ("date", "calendar"), ("comment", "pencil"),
                   ("file", "clip")],
        "format": [("small", ""), ("medium", ""), ("large", ""), ("-", ""), ("reset", "reload")],
    }  # fmt: skip
    opened = ui.rng.choice(sorted(menus))
    buttons = []
    for k, name in enumerate([*menus, "tools", "help"]):
        label = ui.t(name)
        mark = ui.mark("menuitem", label, noun="menu in the menu bar", group="bar", place=k,
                       order=f'open the menu "{label}" of the menu bar',
                       state={"open": name == opened})  # fmt: skip
        look = f"background:{ui.theme.tint}" if name == opened else ""
        held: list[Child] = [h("button", label, mark=mark, style=f"padding:6px 10px;{look}")]
        if name == opened:
            listed = [(ui.t(n) if n != "-" else "-", s) for n, s in menus[name]]
            held.append(ui.menu(listed, style="position:absolute;left:0;top:100%",
                                place=f'"{label}" '))  # fmt: skip
        buttons.append(h("div", *held, style="position:relative"))
    tools = [("disk", "save", "save the document"), ("printer", "print", "print the document"),
             ("undo", "undo", "undo the last change"), ("redo", "redo", "redo the last change"),
             ("picture", "insert picture", "insert a picture"),
             ("search", "find", "search in the document")]  # fmt: skip
    strip = h("div", *(ui.tool(s, n, o, group="tools", place=k) for k, (s, n, o) in
              enumerate(tools)), ui.select(ui.t("text_size"),
              str(ui.rng.choice((10, 11, 12, 14, 16))),
              bare=True, style="width:80px"), cls="bar")  # fmt: skip
    title = ui.say.title(2, 4)
    texts = [h("p", " ".join(ui.say.line("text") for _ in range(ui.rng.randint(2, 5))))
             for _ in range(ui.rng.randint(2, 5))]  # fmt: skip
    paper = h("main", ui.heading(title), *texts, cls="card col",
              style="width:min(640px,90%);margin:24px auto;padding:48px;min-height:420px"
            )  # fmt: skip
    ui.about.append(f'a word processor with the menu "{ui.t(opened)}" open')
    ui.fact("value", "the heading of the document", title, *[
        m.key for m in ui.marks.values() if m.role == "heading"])  # fmt: skip
    return h("div", h("div", *buttons, cls="row", style=f"gap:0;background:{ui.theme.surface}"),
             strip, paper, cls="app")  # fmt: skip


def board(ui: Ui) -> Node:
    """Tasks on cards in columns."""
    columns: list[Node] = []
    counts = []
    for name in ("todo", "doing", "done"):
        label = ui.t(name)
        cards, keys = [], []
        for _ in range(ui.rng.randint(1, 4)):
            text, person = ui.say.new_line("subject"), ui.say.person()
            key = ui.key()
            keys.append(key)
            mark = ui.mark("option", text, key=key, noun="card", order=f'open the card "{text}"',
                           near=f'in the column "{label}"')  # fmt: skip
            ui.fact("value", f'the column of the card "{text}"', label, key)
            ui.fact("value", f'the person on the card "{text}"', person, key)
            more = ui.tool("dots", "more", f'show the options of the card "{text}"', size=16,
                           near=f'on the card "{text}"')  # fmt: skip
            cards.append(h("div", h("div", h("div", text, cls="grow"), more, cls="row top"),
                           h("div", ui.avatar(person, 24), person, cls="row muted"),
                           cls="card col", mark=mark))  # fmt: skip
        counts.append((label, len(cards)))
        ui.fact("count", f'cards in the column "{label}"', len(cards), *keys)
        add = ui.button(ui.t("add"), f'add a card to the column "{label}"', symbol="plus",
                        near=f'in the column "{label}"', group="adders", place=len(columns)
            )  # fmt: skip
        columns.append(h("section", h("h3", label), *cards, add, cls="col",
                         style="flex:1;min-width:0"))  # fmt: skip
    listed = ", ".join(f'{n} in "{label}"' for label, n in counts)
    ui.about.append(f"a task board with {listed}")
    content = h("main", ui.heading(ui.t("tasks")), h("div", *columns, cls="row top",
                style="gap:16px"), cls="content")  # fmt: skip
    return h("div", _top(ui, ui.tool("bell", "notifications", "show the notifications")), content,
             cls="app")  # fmt: skip


def table(ui: Ui) -> Node:
    """An administration table with check boxes, states, actions and pages."""
    states = ui.rng.sample(["active", "inactive", "pending"], 3)
    head = ["", ui.t("name"), ui.t("email"), ui.t("status"), ui.t("total"), ""]
    rows, keys, ticked = [], [], 0
    count = ui.rng.randint(4, 8)
    tally: dict[str, int] = {}
    for k in range(count):
        person = ui.say.person()
        state, sum_of = ui.t(ui.rng.choice(states)), ui.say.money(5, 2000)
        tally[state] = tally.get(state, 0) + 1
        near = f'in the row of "{person}"'
        checked = ui.rng.random() < 0.3
        box = ui.tick(person, checked, text=False, near=near, order=f'tick the row of "{person}"'
                      if not checked else f'untick the row of "{person}"', group="boxes", place=k
            )  # fmt: skip
        box_key = box.attributes["data-gt"]
        is_on = bool(ui.marks[box_key].state["checked"])
        ticked += is_on
        ui.fact("state", f'the row of "{person}"', is_on, box_key, how="ticked")
        key = ui.key()
        keys.append(key)
        mark = ui.mark("text", person, key=key, is_control=False, noun="name")
        address = ui.say.mail_of(person)
        ui.fact("value", f'the status of "{person}"', state, key)
        ui.fact("value", f'the amount in the row of "{person}"', sum_of, key)
        ui.fact("value", f'the e-mail address of "{person}"', address, key)
        acts = h("div", ui.tool("pencil", "edit", f'edit the row of "{person}"', near=near),
                 ui.tool("trash", "delete", f'delete the row of "{person}"', near=near),
                 cls="row", style="gap:0")  # fmt: skip
        rows.append(h("tr", h("td", box), h("td", person, mark=mark), h("td", address),
                      h("td", ui.badge(state)), h("td", sum_of, cls="number"), h("td", acts))
            )  # fmt: skip
    ui.fact("count", "rows below the header of the table", count, *keys)
    ui.fact("count", "ticked rows", ticked, *keys)
    for state in sorted(tally):
        ui.fact("count", f'rows with the status "{state}"', tally[state], *keys)
    ui.about.append(f"an administration table of {count} customers, {ticked} of them ticked")
    pages = ui.rng.randint(3, 5)
    pager = h(
        "div",
        ui.button(ui.t("previous"), "go to the previous page of the table", symbol="left"),
        ui.tabs([str(n + 1) for n in range(pages)], ui.rng.randrange(pages), noun="page number",
                cls="pills"),
        ui.button(ui.t("next"), "go to the next page of the table", symbol="right"),
        cls="row end wrap",
    )  # fmt: skip
    header = h(
        "tr", *(h("th", text, cls="number" if text == ui.t("total") else "") for text in head)
    )
    tools = h("div", ui.heading(ui.t("customers")), h("div", cls="grow"),
              ui.button(ui.t("filter"), "filter the table", symbol="funnel"),
              ui.button(ui.t("export"), "export the table", symbol="download"),
              ui.button(ui.t("add"), "add a new customer", symbol="plus", cls="main"),
              cls="row wrap")  # fmt: skip
    content = h("main", tools, h("table", header, *rows), pager, cls="content")
    return h("div", _top(ui, ui.avatar("Ad Min")), content, cls="app")


OFFICE: dict[str, Callable[[Ui], Node]] = {
    "board": board,
    "calendar": calendar,
    "chat": chat,
    "code": code,
    "document": document,
    "files": files,
    "mail": mail,
    "table": table,
}
