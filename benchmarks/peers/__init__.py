"""What peers make of a subject, and the table that puts them side by side.

A subject is a trained network with the data that judge it (`subjects`); a row is a `methods.Peer`,
which makes one model of one fold; `comparison` judges, counts and draws. Another tool enters the
table as another `Peer`.
"""
