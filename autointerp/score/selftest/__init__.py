"""The self-test: do metrics see a wrong label, and a right one, where the truth is known? No language model takes part.

1. Features are planted on real text: functions of a token, of a pair of tokens, of a token and what stands before it on
   its line (`planted.py`). The true label of each is the rule itself; a label that claims too much and one that misses
   half are made of it.
2. A judge that follows a label's rule to the letter reads the scorers' own questions (`rule_judge.py`); the census and
   the published protocols look the rule up.
3. Each metric is then asked: does the score fall for the wrong labels, does the true label come first among all labels,
   is a pipeline that must fail at chance, are answers that read nothing at chance (`trials.py`, `chance.py`)?
4. Bounds turn the figures into marks (`verdicts.py`), which pages show (`marks.py`).
"""
