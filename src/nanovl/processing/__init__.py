"""Media and text become tensors.

A conversation is planned from sizes alone (`Processor.plan` -> `TokenLayout`) and its pixels are
decoded later (`Processor.load` -> `ProcessedInputs`). This room touches no parameters and no GPU;
the network only through `fetch`.

Reading order: text first (`vocab`, `tekken`, `tokenizer`, `pieces`, `content`, `template`), then
what media is and where it comes from (`media`, `fetch`, `detect`, `attachments`), pictures
(`tiling`, `images`, `pixels`), video (`sampling`, `container`, `video`, `video_layout`), documents
(`pdf`), sound (`audio`, `speech`), and last how it all comes together (`config`, `opening`,
`sizing`, `fit`, `fingerprint`, `processor`) and how a sample looks
(`token_runs`, `glyphs`, `preview`).
"""
