"""The command `tunery`: everything that the packages below it can do, in one place."""
