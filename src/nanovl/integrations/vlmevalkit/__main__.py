"""The command line of VLMEvalKit with nanovl's classes in it.

Source: evaluation specification, section 9.1.
"""

from __future__ import annotations

from nanovl.integrations.vlmevalkit.register import run

if __name__ == "__main__":
    run()
