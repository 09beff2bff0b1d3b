"""What requests cost: prices, a spending limit, an estimate before anything is sent, tokens a character by model.

Nothing here sends anything. This room imports `asks` and `wire`; session and delivery import it.
"""
