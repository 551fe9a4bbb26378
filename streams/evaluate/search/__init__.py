"""How well a search finds what is looked for, and what it costs: `anabranch evaluate-search`.

distort.py   what people do to words and pictures: slips, other words, a photograph of it
wordnet.py   other words for a word
trial.py     a catalogue, and queries whose right answers are known
stamps.py    Tux Paint's stamps as a trial
films.py     MovieLens with plots as a trial
encoded.py   the encoders in this process, their answers kept on disk
judge.py     places of the right answers, by words alone, by vectors alone, by both
clicks.py    what people who are made up teach by clicking
weights.py   what each ranking counts, chosen so that the right answers come first
cost.py      what a search takes as the catalogue grows, beside the index alone
run.py       the command
"""
