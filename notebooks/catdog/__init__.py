"""Fine-tune VGG16 on folders of photos, serve it, and let testers try it in a browser.

The three notebooks beside this package tell the story; the work is done here. They import from `catdog.notebook` alone.
Which folder may import from which others stands in tests/test_architecture.py, and why in docs/architecture.md.
"""

from . import moved

__version__ = "0.1.0"
API = 1  # of `catdog.notebook`: another number where a notebook that somebody saved would no longer run

moved.keep_old_names()
