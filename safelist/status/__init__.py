"""Whether everything runs: what the database, the targets' files and the filter say, and how that is judged.

``looking`` looks and returns plain facts, ``judging`` has a row for each thing that can be wrong, and the other modules
say it to a person, Nagios, Prometheus or a program.
"""
