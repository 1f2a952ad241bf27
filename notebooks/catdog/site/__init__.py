"""A trained model as a website of static files: the page, with the network inside the browser."""
