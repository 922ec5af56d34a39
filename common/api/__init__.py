"""How REST is spoken here: bases for views, strict input, cursors, problems."""
