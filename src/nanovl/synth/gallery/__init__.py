"""A data set as a static web site to look at, and samples taken out after looking.

Reading order: overlay (boxes and times of a ground truth), markup (Markdown and tables as HTML),
pictures (thumbnails and frames), sample (one sample as the page shows it), site (the folder), flags
(`synth reject`). Must not make samples.
"""

from __future__ import annotations

from nanovl.synth.gallery.flags import Rejected, read_flags, reject
from nanovl.synth.gallery.site import Site, build_site

__all__ = ["Rejected", "Site", "build_site", "read_flags", "reject"]
