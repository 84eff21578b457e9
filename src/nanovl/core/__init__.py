"""The nouns: plain data that flows between rooms, and the few things every room needs.

Holds validated dataclasses, configuration, errors, device choice, events and paths. Does not open
media, run tensors through anything or print. Reading order: errors, conversation, layout, inputs,
generation, config, device, events, paths, cluster.
"""
