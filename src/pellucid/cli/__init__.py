"""The command line: parse, call, print. One file per command; ``job`` is the work behind ``report``."""
