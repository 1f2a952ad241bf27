"""The tester's page (plain HTML, one style sheet, small scripts) and the small Flask app that serves it."""
