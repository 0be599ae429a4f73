"""Keys: what can be done where (`actions`), what keys are called (`names`), and which key does what now (`keymap`).

`bind` makes a binding of an action, and `keymap_of` answers which key that is. Nothing else names a key.
"""
