"""Functions of work, money, study and computing, ten domains. Data only.

Source: data synthesis specification, section 16.
"""

from __future__ import annotations

from nanovl.synth.text.apis.function import Function, functions

__all__ = ["WORK"]

WORK: dict[str, tuple[Function, ...]] = {
    "calendar": functions(
        ("event_create", "Create a calendar event.",
         "title:topic; date:date; start:time; attendees:people=[]~with {}", "make EV",
         "put {title} into my calendar on {date} at {start} / schedule {title} for {date}, "
         "{start} / create an event called {title} on {date} at {start}"),
        ("event_search", "Search calendar events on a date.",
         "date:date", "find EV start_hour=8..18 minutes=15..120",
         "show my events on {date} / find what is in my calendar on {date} / look up the events "
         "of {date}"),
        ("event_move", "Move a calendar event.",
         "event_id:id(EV); date:date; start:time", "change EV",
         "move {event_id} to {date} at {start} / reschedule {event_id} to {date}, {start} / shift "
         "{event_id} to {start} on {date}"),
        ("event_delete", "Delete a calendar event.",
         "event_id:id(EV)", "change EV",
         "delete {event_id} / remove {event_id} from my calendar / cancel {event_id}"),
        ("free_slot_find", "Find a free time for several people.",
         "people:people; date:date; minutes:15..90=30~for {} minutes",
         "read start_hour=8..17 start_minute=0..59",
         "find a free time on {date} for {people} / see when {people} are free on {date} / look "
         "for a gap on {date} that suits {people}"),
        ("alarm_set", "Set an alarm.",
         "time:time; label:topic=~labelled {}", "make AL",
         "set an alarm for {time} / wake me at {time} / make an alarm at {time}"),
    ),
    "mail": functions(
        ("mail_send", "Send an e-mail.",
         "to:email; subject:topic; body:text", "make ML",
         "send an e-mail to {to} about {subject} with the text {body} / write to {to}, subject "
         "{subject}: {body} / mail {to} on {subject}, saying {body}"),
        ("mail_search", "Search e-mails by topic.",
         "query:topic; sender:email=~sent by {}", "find EM days_ago=0..60 attachments=0..4",
         "search my mail for {query} / find e-mails about {query} / look for messages on {query}"),
        ("mail_forward", "Forward an e-mail.",
         "mail_id:id(EM); to:email", "change EM",
         "forward {mail_id} to {to} / pass {mail_id} on to {to} / send {mail_id} along to {to}"),
        ("mail_archive", "Archive an e-mail.",
         "mail_id:id(EM)", "change EM",
         "archive {mail_id} / move {mail_id} to the archive / put {mail_id} away"),
        ("mail_count", "Count unread e-mails in a folder.",
         "folder:folder", "read unread=0..120",
         "count the unread mails in {folder} / tell me how many unread messages {folder} has / "
         "check how much unread mail lies in {folder}"),
        ("message_send", "Send a chat message to a person.",
         "to:person; text:text; urgent:flag=false~with the urgent mark {}", "make MS",
         "message {to}: {text} / tell {to} this: {text} / send {to} the message {text}"),
    ),
    "finance": functions(
        ("stock_price", "Get the price of a stock.",
         "symbol:stock; currency:currency=USD~in {}", "read price=5..900 change_percent=-9..9",
         "get the price of {symbol} / look up the stock {symbol} / tell me what {symbol} costs at "
         "the moment"),
        ("currency_convert", "Convert an amount of money.",
         "amount:5..5000; source:currency; target:currency", "read result=1..9000",
         "convert {amount} {source} to {target} / change {amount} {source} into {target} / work "
         "out {amount} {source} in {target}"),
        ("transfer_make", "Transfer money to a person.",
         "to:person; amount:5..900; note:text=~with the note {}", "make TX",
         "transfer {amount} euros to {to} / send {to} {amount} euros / pay {to} {amount} euros"),
        ("balance_get", "Get the balance of an account.",
         "account:one(checking|savings|credit)", "read balance=-500..9000",
         "check the balance of my {account} account / tell me how much is in the {account} "
         "account / look up my {account} balance"),
        ("loan_payment", "Compute the monthly payment of a loan.",
         "amount:1000..90000; rate_percent:1..9; years:1..30", "compute loan",
         "compute the monthly payment for {amount} euros at {rate_percent} percent over {years} "
         "years / work out the instalment of a loan of {amount} at {rate_percent} percent for "
         "{years} years / calculate the loan: {amount}, {rate_percent} percent, {years} years"),
        ("bill_split", "Split a bill with tip.",
         "bill:20..400; tip_percent:5..20; people:2..9", "compute tip",
         "split a bill of {bill} with {tip_percent} percent tip among {people} / work out what "
         "each of {people} people pays for a bill of {bill} plus {tip_percent} percent / divide "
         "{bill} plus {tip_percent} percent tip by {people}"),
    ),
    "files": functions(
        ("file_search", "Search files by name.",
         "name:file; folder:folder=~in the folder {}", "find FX size_kb=2..9000 days_old=0..400",
         "find the file {name} / search for {name} / look for a file called {name}"),
        ("file_move", "Move a file to a folder.",
         "file_id:id(FX); folder:folder", "change FX",
         "move {file_id} to {folder} / put {file_id} into {folder} / shift {file_id} to the "
         "folder {folder}"),
        ("file_rename", "Rename a file.",
         "file_id:id(FX); name:file", "change FX",
         "rename {file_id} to {name} / give {file_id} the name {name} / call {file_id} {name}"),
        ("folder_create", "Create a folder.",
         "name:topic; parent:folder=Documents~inside {}", "make FO",
         "create a folder {name} / make a new folder called {name} / set up a folder named {name}"),
        ("file_share", "Share a file with people.",
         "file_id:id(FX); people:people; access:one(view|edit)=view~with the right to {}",
         "change FX",
         "share {file_id} with {people} / give {people} access to {file_id} / let {people} open "
         "{file_id}"),
        ("storage_info", "Get the storage used by a folder.",
         "folder:folder", "read used_mb=1..90000 files=1..4000",
         "tell me how big the folder {folder} is / get the storage used by {folder} / check the "
         "size of {folder}"),
    ),
    "staff": functions(
        ("employee_find", "Find employees by department.",
         "department:one(sales|research|support|finance); city:city=~in {}",
         "find EP years=0..30 level=1..5",
         "find people in {department} / list employees of {department} / look up who works in "
         "{department}"),
        ("leave_request", "Request leave.",
         "employee:person; start:date; days:1..20", "make LV",
         "request {days} days of leave for {employee} from {start} / enter leave: {employee}, "
         "{days} days from {start} / book {days} days off for {employee}, starting {start}"),
        ("leave_balance", "Get the leave days left of an employee.",
         "employee:person", "read days_left=0..30",
         "tell me how many days off {employee} has left / check the leave balance of {employee} / "
         "look up the remaining leave of {employee}"),
        ("shift_assign", "Assign a shift to an employee.",
         "employee_id:id(EP); date:date; shift:one(early|late|night)", "change EP",
         "give {employee_id} the {shift} shift on {date} / assign the {shift} shift of {date} to "
         "{employee_id} / put {employee_id} on {shift} shift for {date}"),
        ("salary_info", "Get the salary band of a level.",
         "level:1..9", "read lowest=2000..4000 highest=4100..9000",
         "look up the salary band of level {level} / tell me what level {level} earns / get the "
         "pay range for level {level}"),
        ("training_book", "Book a training for employees.",
         "subject:subject; people:people; date:date", "make TN",
         "book a training in {subject} for {people} on {date} / sign {people} up for {subject} on "
         "{date} / arrange a {subject} course on {date} for {people}"),
    ),
    "study": functions(
        ("course_search", "Search courses on a subject.",
         "subject:subject; level:one(beginner|advanced)=beginner~at {} level",
         "find CR weeks=2..16 price=0..300",
         "find a course on {subject} / search courses about {subject} / look for {subject} "
         "lessons"),
        ("course_enrol", "Enrol a person in a course.",
         "course_id:id(CR); student:person", "make EN",
         "enrol {student} in {course_id} / sign {student} up for {course_id} / register {student} "
         "for {course_id}"),
        ("quiz_create", "Create a quiz on a subject.",
         "subject:subject; questions:3..30", "make QZ",
         "make a quiz on {subject} with {questions} questions / create {questions} quiz questions "
         "about {subject} / set up a {subject} quiz of {questions} questions"),
        ("grade_get", "Get the grade of a student.",
         "student:person; subject:subject", "read grade=40..100",
         "look up the grade of {student} in {subject} / tell me how {student} did in {subject} / "
         "get the {subject} mark of {student}"),
        ("book_find", "Find a book in the library.",
         "title:book", "find LB shelf=1..90 copies=0..5",
         "find the book {title} in the library / look for {title} in the library / search the "
         "library for {title}"),
        ("book_lend", "Lend a library book.",
         "book_id:id(LB); reader:person; weeks:1..6=2~for {} weeks", "change LB",
         "lend {book_id} to {reader} / check out {book_id} for {reader} / give {reader} "
         "{book_id} on loan"),
    ),
    "maths": functions(
        ("numbers_add", "Add up numbers.",
         "values:numbers", "compute add",
         "add up {values} / compute the sum of {values} / tell me what {values} make together"),
        ("numbers_mean", "Compute the mean of numbers.",
         "values:numbers", "compute mean",
         "compute the mean of {values} / find the average of {values} / work out the mean value of "
         "{values}"),
        ("circle_area", "Compute the area of a circle.",
         "radius:1..90", "compute circle",
         "compute the area of a circle with radius {radius} / find the area for a radius of "
         "{radius} / work out how large a circle of radius {radius} is"),
        ("power_compute", "Raise a number to a power.",
         "base:2..20; exponent:2..9", "compute power",
         "raise {base} to the power {exponent} / compute {base} to the {exponent} / work out "
         "{base} to the power of {exponent}"),
        ("percent_compute", "Compute a percentage of a value.",
         "percent:1..99; value:10..9000", "compute percent",
         "compute {percent} percent of {value} / find {percent} percent of {value} / work out "
         "what {percent} percent of {value} is"),
        ("divisor_find", "Find the greatest common divisor.",
         "a:10..900; b:10..900", "compute divisor",
         "find the greatest common divisor of {a} and {b} / compute the gcd of {a} and {b} / work "
         "out the largest number dividing {a} and {b}"),
    ),
    "text": functions(
        ("text_translate", "Translate a phrase.",
         "phrase:phrase; language:language", "read confidence_percent=60..99 length=5..60",
         "translate '{phrase}' into {language} / put '{phrase}' into {language} / say '{phrase}' "
         "in {language}"),
        ("word_define", "Define a word.",
         "word:word", "read meanings=1..6 examples=1..9",
         "define '{word}' / look up the word '{word}' / tell me what '{word}' means"),
        ("words_count", "Count words and characters of a text.",
         "text:text", "compute count_words",
         "count the words of {text} / tell me how long the text {text} is / get the number of "
         "words in {text}"),
        ("case_change", "Change the case of a text.",
         "text:text; style:one(upper|lower)", "compute case",
         "put {text} into {style} case / write {text} in {style} case / convert {text} to {style} "
         "case"),
        ("text_reverse", "Reverse a text.",
         "text:text", "compute reverse",
         "reverse {text} / write {text} backwards / turn {text} around letter by letter"),
        ("length_convert", "Convert a length between units.",
         "value:1..500; source_unit:one(m|km|cm|mile|foot|inch); "
         "target_unit:one(m|km|cm|mile|foot|inch)", "compute length",
         "convert {value} {source_unit} to {target_unit} / change {value} from {source_unit} to "
         "{target_unit} / work out {value} {source_unit} in {target_unit}"),
    ),
    "database": functions(
        ("rows_query", "Query rows of a table.",
         "table:table; column:column; value:city; limit:1..50=10~with at most {} rows",
         "find RW total=10..900 age_days=0..90",
         "find rows of {table} where {column} is {value} / query {table} for {column} = {value} / "
         "list entries of {table} with {column} {value}"),
        ("rows_count", "Count rows of a table by a column.",
         "table:table; column:column", "read groups=2..40 rows=10..9000",
         "count the rows of {table} by {column} / tell me how many {table} there are per {column} "
         "/ group {table} by {column} and count"),
        ("row_delete", "Delete a row.",
         "row_id:id(RW)", "change RW",
         "delete {row_id} / remove {row_id} from the table / erase {row_id}"),
        ("row_update", "Set a column of a row.",
         "row_id:id(RW); column:column; value:city", "change RW",
         "set {column} of {row_id} to {value} / change {column} to {value} in {row_id} / update "
         "{row_id}: {column} is {value}"),
        ("table_export", "Export a table.",
         "table:table; format:one(csv|json|xml); compress:flag=false~with compression {}",
         "make EX",
         "export {table} as {format} / save the table {table} in {format} format / write {table} "
         "to a {format} file"),
        ("backup_create", "Create a backup of tables.",
         "table:table; keep_days:1..365", "make BU",
         "back up {table} and keep it for {keep_days} days / make a backup of {table}, kept "
         "{keep_days} days / create a {keep_days}-day backup of {table}"),
    ),
    "devices": functions(
        ("printer_print", "Print a file.",
         "file:file; copies:1..20; colour:flag=false~with colour {}", "make PJ",
         "print {copies} copies of {file} / print {file} {copies} times / send {file} to the "
         "printer, {copies} copies"),
        ("printer_status", "Get the status of a printer.",
         "room:room", "read paper_percent=0..100 ink_percent=0..100",
         "check the printer in the {room} / tell me the state of the {room} printer / look at the "
         "printer of the {room}"),
        ("sensor_list", "List sensors of a room.",
         "room:room", "find SN battery_percent=1..100 age_days=1..900",
         "list the sensors in the {room} / show which sensors the {room} has / find the sensors "
         "of the {room}"),
        ("sensor_calibrate", "Calibrate a sensor.",
         "sensor_id:id(SN); reference:10..90", "change SN",
         "calibrate {sensor_id} to {reference} / set the reference of {sensor_id} to {reference} "
         "/ adjust {sensor_id} with the reference {reference}"),
        ("vehicle_locate", "Locate a vehicle of the fleet.",
         "vehicle:vehicle; number:1..60", "read x_km=0..90 y_km=0..90",
         "find out where {vehicle} number {number} is / locate {vehicle} {number} / show the "
         "position of {vehicle} number {number}"),
        ("robot_clean", "Send the cleaning robot to a room.",
         "room:room; mode:one(quick|thorough)", "make RB",
         "let the robot clean the {room} in {mode} mode / start a {mode} cleaning of the {room} / "
         "send the robot to the {room}, {mode} mode"),
    ),
}  # fmt: skip
