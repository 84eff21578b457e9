"""The command line: arguments in, one function of a room, the terminal out.

The only room that prints. Standard output carries the result and nothing else; progress, warnings
and errors go to standard error. Showing help imports no torch, so verbs import what they need when
they run. Reading order: console, options, main, then the verbs: chat (with answer and repl), info,
convert, quantize, data (with data_report), plan, train, synth (with synth_mix, synth_check,
synth_gallery and synth_model), eval (with eval_options, eval_run, eval_report and eval_sweep),
doctor, demo, serve, summarize (with apps), extract, caption, compare, read, batch (with
batch_bodies).
"""
