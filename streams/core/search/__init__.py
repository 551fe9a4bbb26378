"""Search: what is asked in words, pictures, sounds or speech, answered from the vectors that recommend, too.

analysis.py    text -> words that compare, in any language; pieces of words
vocabulary.py  the words there are, and which of them was meant
labels.py      what items can be filtered and counted by
shelf.py       the items, and which of them pass the filters
fusion.py      many rankings -> one
gate.py        how much the meaning of words counts beside the words themselves
clicks.py      what clicks on answers teach of how much each ranking is to count
question.py    what can be asked, and what the answer is
settings.py    how much each ranking counts, and the other numbers
searcher.py    the best items for a question
"""
