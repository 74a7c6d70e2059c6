"""Commands: from a channel, by a policy that denies unless told otherwise, to the site's broker, and the answer back.

Nothing is stored, nothing is retained, nothing is carried out twice, and nothing late.
"""
