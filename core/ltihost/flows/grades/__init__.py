"""Grades: an accepted score arrives.

intake    an application posts a score; it is stored, and only then answered
deliver   a worker claims what is due, sends it, and settles what became of it
judge     what an answer of the LMS means for a slot; pure
verify    what stands in the LMS, beside what should stand there
"""
