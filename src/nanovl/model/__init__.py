"""The network: vision encoder, projector and hybrid decoder as plain `nn.Module`s.

Parameter names are those of the released checkpoint. Opens no files, knows no tokenizer, no
sampling and no process groups; everything a forward pass needs arrives in a `ForwardContext`.
Reading order: config, ssm, blocks, cache, context, mixers, lm, vision, projector, vlm.
"""
