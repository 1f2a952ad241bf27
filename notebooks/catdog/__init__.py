"""Fine-tune VGG16 on folders of photos, serve it, and let testers try it in a browser.

The three notebooks beside this package tell the story; the work is done here.
Imports go one way: training never imports serving, and the page never imports TensorFlow.
"""

__version__ = "0.1.0"
