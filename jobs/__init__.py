"""The verbs of cvjobs: one file per command, and the adapters to what they are carried out with."""
