"""Pages laid out by a browser: screens of programs and sites, and article pages.

`screens` makes user interfaces with their elements, states and questions; `html-pages` makes
articles with their blocks. Both know what they show because they wrote it, and where it is because
the browser says so. Must not talk to the browser itself (`nanovl.synth.browser` does).

Source: data synthesis specification, sections 5 and 8.
"""
