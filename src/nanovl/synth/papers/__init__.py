"""Papers nobody wrote: LaTeX sources made here, compiled into pages with exact ground truth.

Reading order: prose and formulas (content), plan (a paper's structure), dress (classes and looks),
source (LaTeX), pages (compiled and held against the plan), view, contents, places and asks
(questions), generator. `sheets` is the generator of single formulas.

Source: data synthesis specification, sections 3.12 to 3.15 and 13.
"""
