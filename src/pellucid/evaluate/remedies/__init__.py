"""What is done about a finding to see its effect. One file a remedy; each takes a ``Ground`` and returns a ``Remedy``."""
