"""`doctor` and `clean`: checks, repair and removal of unused files."""
