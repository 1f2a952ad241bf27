"""The tester's page (plain HTML, one script, one style sheet) and the small Flask app that serves it."""
